"""What is not trained stays at its start to the bit, whatever the network, the optimizer and the way of training."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import normlab
from normlab.errors import ConfigurationError
from normlab.models.layers import list_normalizers, name_normalizer_parameters, name_output_parameters
from normlab.population.run import train_together
from normlab.runs.run import Run
from normlab.training.build import build

from ..choices import choices_of, tiny

SMALL = ("batch_size=16", "steps=6", "normalizer=batch", "evaluate.one_by_one=0", "observe.val.first=3")


def compose(place: Path, *overrides: str) -> Run:
    return normlab.compose(*tiny("mlp"), *SMALL, f"output_root={place}", *overrides)


def changed(run: Run, network: dict[str, Tensor]) -> dict[str, Tensor]:
    """By the names of parameters, which weights of a network differ from their start in a run."""
    start = build(run.settings).module.network.named_parameters()
    return {name: network[name] != value for name, value in start}


def network_of(run: Run) -> dict[str, Tensor]:
    network: dict[str, Tensor] = torch.load(run.directory.checkpoint, weights_only=True)["network"]
    return network


@pytest.mark.parametrize("model", choices_of("model"))
def test_the_parts_of_every_network_are_its_normalizers_and_the_map_to_the_logits(model: str) -> None:
    module = build(normlab.compose(*tiny(model), *SMALL, "batch_size=2").settings).module
    network = module.network
    weights = [network.get_parameter(name) for name in name_output_parameters(network)]
    logits = network(module.batches.batch(0)[0])
    assert sorted(weight.ndim for weight in weights) == [1, 2]
    assert {len(weight) for weight in weights} == {logits.shape[-1]}
    of_normalizers = name_normalizer_parameters(network)
    assert of_normalizers
    for name, parameter in network.named_parameters():
        others = [each for _, normalizer in list_normalizers(network) for each in normalizer.parameters()]
        assert (name in of_normalizers) == any(parameter is other for other in others)


@pytest.mark.parametrize("model", ["mlp", "resnet", "lstm", "vit"])
@pytest.mark.parametrize("trainable", ["normalizers", "output", "normalizers_and_output"])
def test_only_the_chosen_parts_are_trained(model: str, trainable: str) -> None:
    run = normlab.compose(*tiny(model), *SMALL, f"trainable={trainable}", "optimizer=adamw", "seed=1")
    module = build(run.settings).module.train()
    for step in range(3):
        module.step(step)
    parts = {"normalizers": name_normalizer_parameters, "output": name_output_parameters}
    chosen = {name for part, name_all in parts.items() if part in trainable for name in name_all(module.network)}
    moved = changed(run, module.network.state_dict())
    assert {name for name, where in moved.items() if bool(where.any())} == chosen


OPTIMIZERS = [("optimizer=momentum",), ("optimizer=adam",), ("optimizer=adamw", "optimizer.weight_decay=0")]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=" ".join)
def test_of_a_random_subset_as_many_weights_as_the_normalizers_have_are_trained(optimizer: tuple[str, ...]) -> None:
    run = normlab.compose(*tiny("convnet"), *SMALL, "trainable=random_subset", *optimizer)
    module = build(run.settings).module.train()
    for step in range(6):
        module.step(step)
    of_normalizers = name_normalizer_parameters(module.network)
    count = sum(module.network.get_parameter(name).numel() for name in of_normalizers)
    moved = changed(run, module.network.state_dict())
    trained = sum(int((~mask).sum()) for mask in module.recipe.masks.values())
    assert trained == count
    assert 0.5 * count < sum(int(where.sum()) for where in moved.values()) <= count  # some have no gradient
    assert all(not moved[name][mask].any() for name, mask in module.recipe.masks.items())
    assert not any(moved[name].any() for name in of_normalizers)


def test_a_random_subset_is_drawn_from_seed_and_name_at_the_fraction_that_is_asked_for() -> None:
    def masks(*overrides: str) -> dict[str, Tensor]:
        run = normlab.compose(*tiny("mlp"), "trainable=random_subset", "trainable.fraction=0.25", *overrides)
        return dict(build(run.settings).module.recipe.masks)

    first, again, other, deeper = (masks(*o) for o in ((), (), ("seed=1",), ("model.hidden=[100,100,30]",)))
    total = sum(mask.numel() for mask in first.values())
    assert sum(int((~mask).sum()) for mask in first.values()) == round(total / 4)
    assert all(torch.equal(mask, again[name]) for name, mask in first.items())
    largest = max(first, key=lambda name: first[name].numel())
    assert not torch.equal(first[largest], other[largest])
    assert (first[largest] == deeper[largest]).float().mean() > 0.95  # the share of one parameter varies a little


def test_a_population_and_lightning_train_the_same_subset(tmp_path: Path) -> None:
    overrides = ("trainable=random_subset", "trainable.fraction=0.1", "optimizer=adam")
    together = [compose(tmp_path / "together", *overrides, f"seed={seed}") for seed in range(2)]
    train_together(together)
    inert = "+callbacks.inert._target_=pytorch_lightning.Callback"
    for run in together:
        record = run.directory.read()
        assert record is not None
        assert record.environment["trained_together"] == 2
        lightning = compose(tmp_path / "alone", *overrides, inert, f"seed={run.settings['seed']}")
        normlab.train(lightning)
        masks = build(run.settings).module.recipe.masks
        for each in (run, lightning):
            moved = changed(each, network_of(each))
            assert all(not moved[name][mask].any() for name, mask in masks.items())
            assert any(where.any() for where in moved.values())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("trainable=normalizers", "normalizer=none"), "trainable: this network has no such parameters: choose"),
        (("trainable=random_subset", "normalizer=none"), r"fraction=null, as many as the normalizers have, is 0 of"),
        (("trainable=random_subset", "trainable.fraction=2"), r"trainable.fraction=2 is \d+ of \d+ weights: choose"),
        (("trainable=random_subset", "optimizer=adamw"), r"weight_decay would move .*choose optimizer.weight_decay=0"),
        (("trainable=random_subset", "trainable.fraction=some"), r"trainable.fraction='some' has the wrong type"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    tmp_path: Path, overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        normlab.train(compose(tmp_path, *overrides))
    assert list(tmp_path.iterdir()) == []
