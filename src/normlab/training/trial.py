"""A trial of a run's objective, update and measurements on a few examples, before anything is written."""

import copy
import io
import logging
import traceback
from typing import Any

import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor, nn

from normlab.contracts import locate
from normlab.data import BatchStream, Split, Splits
from normlab.measurements import State
from normlab.measurements.contract import Objective, check_values
from normlab.measurements.normalizer_statistics import copy_for_training
from normlab.models.dry_run import describe_outputs
from normlab.training.module import TrainingModule
from normlab.training.observations import Evaluations, Observations

log = logging.getLogger(__name__)

FEW = 8
"""Largest number of examples of a step on trial."""


def try_objective(objective: Objective, splits: Splits) -> None:
    """Compute the loss of zero logits. Raises ValueError, naming function and file, if that is no scalar."""
    targets = splits.train.targets[:2]
    logits = torch.zeros(*targets.shape, splits.task.count_classes(*splits.train), device=targets.device)
    shapes = f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)}"
    wanted = f"{locate(getattr(objective, 'func', objective))} must return the mean loss of {shapes}, a scalar"
    try:
        loss = objective(logits, targets)
    except Exception as error:
        raise ValueError(f"objective: {wanted}, but raises {type(error).__name__}: {error}") from error
    if not isinstance(loss, Tensor) or loss.ndim > 0:
        raise ValueError(f"objective: {wanted}, but returns {describe_outputs(loss)}")


def try_step(module: TrainingModule) -> None:
    """Make a step on some examples of the first batch with a copy of the network and a new optimizer.

    Raises ValueError, naming the innermost module that the error passed through, also if a checkpoint of the two could
    not be read again.
    """
    examples = module.batches.indices(0)[:FEW]
    inputs, targets = module.batches.examples(examples)
    try:
        with copy_for_training(module.network) as network, torch.enable_grad():
            parameters = dict(network.named_parameters())
            optimizer = module.recipe.build_optimizer(module.make_optimizer, parameters)
            with module.forward_context():
                loss = module.objective(network(inputs), targets)
            torch.autograd.backward(loss)
            module.recipe.adjust_gradients(parameters)
            if module.automatic_optimization:
                optimizer.step(lambda: loss.item())
            else:
                optimizer.step()
            _try_checkpoint({"network": network.state_dict(), "optimizer": optimizer.state_dict()})
    except Exception as error:
        selves = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
        modules = [locate(each) for each in selves if isinstance(each, nn.Module)]
        place = f" in {modules[-1]}" if modules else ""
        raise ValueError(
            f"a training step with {len(examples)} examples fails{place}: {type(error).__name__}: {error}"
        ) from error


def _try_checkpoint(states: dict[str, Any]) -> None:
    """Raise ValueError, naming the part, if a checkpoint could not be read again as plain data and tensors."""
    for owner, state in states.items():
        for name, value in state.items():
            if isinstance(value, Tensor):  # can always be read
                continue
            buffer = io.BytesIO()
            try:
                torch.save(value, buffer)
                buffer.seek(0)
                torch.load(buffer, weights_only=True)
            except Exception as error:
                raise ValueError(
                    f"{name} in the state of the {owner}, {type(value).__name__}, cannot be read from a checkpoint: use"
                    f" tensors, numbers, texts, lists and dicts ({str(error).strip().splitlines()[0]})"
                ) from error


def try_measurements(
    observations: Observations, evaluations: Evaluations, module: TrainingModule, splits: Splits
) -> None:
    """Take the measurements of a user's own on two examples of each split, to find values of a wrong kind.

    One that raises is left to training: it may need more examples. Raises ValueError, naming class and file.
    """
    keys = {f"observe.{name}": measurement for name, (_, measurement) in observations.items()}
    keys |= {f"evaluate.{name}": measurement for name, measurement in evaluations.items()}
    own = {key: it for key, it in keys.items() if not type(it).__module__.startswith("normlab.")}
    if not own:
        return
    train, val, test = (Split(*(part[:2] for part in split)) for split in (splits.train, splits.val, splits.test))
    preprocess = module.batches.preprocess
    batches, test_batches = (BatchStream(split, preprocess, len(split.targets), 1, seed=0) for split in (train, test))
    few = Splits(train, val, test, splits.task)
    network = copy.deepcopy(module.network)
    state = State(network, module.objective, few, preprocess, batches, test_batches, step=1, batches_done=1)
    for key, measurement in own.items():
        try:
            with isolate_rng():
                values = measurement.measure(state)
        except Exception as error:
            log.debug("%s on two examples: %s", key, error)
            continue
        try:
            names = {name for name, value in check_values(values).items() if not isinstance(value, Tensor)}
        except TypeError as error:
            raise ValueError(f"{key}: {locate(measurement)}: {error}") from error
        if key.startswith("evaluate") and (undeclared := sorted(names - measurement.metrics.keys())):
            raise ValueError(
                f"{key}: {locate(measurement)} measures {', '.join(undeclared)}, whose direction a final metric needs:"
                " add it to `metrics`"
            )
