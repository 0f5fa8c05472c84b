"""The checks of a config that need nothing but the config."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf

from normlab.config.schema import Accelerator, Config, Report
from normlab.content import digest_content
from normlab.errors import ConfigurationError
from normlab.runs.identity import flatten

SPLITS = ("train", "val", "test")
OBSERVABLE = (*SPLITS, "train_batch", "test_batch", "normalizers", "histograms")
"""Measurements that ship (see `normlab.measurements.build`)."""
REFUSED = {
    "accelerator": "use accelerator.kind",
    "barebones": "metrics.csv and TensorBoard are always written",
    "callbacks": "use +callbacks.NAME._target_",
    "check_val_every_n_epoch": "use observe.NAME.first and .every",
    "deterministic": "use accelerator.deterministic",
    "devices": "use accelerator.processes",
    "enable_checkpointing": "use +callbacks.NAME._target_=pytorch_lightning.callbacks.ModelCheckpoint",
    "fast_dev_run": "use steps=1",
    "limit_train_batches": "use steps",
    "limit_val_batches": "use observe.NAME.first and .every",
    "logger": "metrics.csv and TensorBoard are always written; for others use +loggers.NAME._target_",
    "max_epochs": "use epochs or steps",
    "min_epochs": "use epochs or steps",
    "num_nodes": "use accelerator.processes",
    "num_sanity_val_steps": "use observe.NAME.first and .every",
    "overfit_batches": "use a smaller data set",
    "plugins": "use accelerator",
    "precision": "use accelerator.precision",
    "reload_dataloaders_every_n_epochs": "the data stay in memory",
    "strategy": "use accelerator.processes",
    "sync_batchnorm": "use sync_statistics",
    "val_check_interval": "use observe.NAME.first and .every",
}
"""Arguments of Lightning's Trainer that would contradict the record, the steps or the schedules of a run → remedy."""
HARMLESS = ("benchmark", "detect_anomaly", "enable_model_summary")
"""Arguments of the Trainer that mean the same to chunks of steps; a run with any other is trained batch by batch."""
CLOSED: dict[str, type] = {"": Config, "accelerator": Accelerator, "report": Report}
"""Groups whose keys the schema lists; "" is the whole config."""
VERIFIED = tuple(f"normlab.data.{name}" for name in ("cifar10", "cifar100", "fashion_mnist", "mnist"))
"""Sources of published data sets: they are the same below any `data.root`."""


def validate(config: DictConfig, working_directory: str | None = None) -> dict[str, Any]:
    """Return the config as plain data, with all interpolations resolved.

    Raises ConfigurationError, naming key and remedy, if a value is missing, unresolvable or out of range.

    Args:
        config: of a run.
        working_directory: of the command, in which relative paths start even if Hydra has changed that of the job.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigurationError(f"{error.full_key} has no value: set {error.full_key}=VALUE") from error
    except Exception as error:
        raise ConfigurationError(str(error)) from error
    assert isinstance(plain, dict)
    settings = {str(key): value for key, value in plain.items()}
    for missing in (field.name for field in fields(Config) if field.name not in settings):
        raise ConfigurationError(f"the key {missing} was deleted, and every run needs it: set it instead")
    settings["observe"] = {name: _complete_rule(name, rule) for name, rule in settings["observe"].items()}
    _check_keys(settings)
    _check_numbers(settings)
    _check_published(settings["published"])
    _check_ranges(settings)
    _check_accelerator(settings)
    for node, key in ((settings, "output_root"), (settings["data"], "root")):
        anchor_path(node, key, working_directory)
    settings["data_digest"] = _digest_data(settings["data"])
    return settings


def anchor_path(node: dict[Any, Any], key: str, working_directory: str | None) -> None:
    """Let a relative path start in a directory, even if Hydra has changed that of the job."""
    if working_directory is not None and str(Path.cwd()) != working_directory and isinstance(node.get(key), str):
        node[key] = str(working_directory / Path(node[key]).expanduser())


def select_observations(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the rules under `observe` without those that are set to null."""
    return {name: rule for name, rule in config["observe"].items() if rule is not None}


def list_automatic_keys(config: Mapping[str, Any]) -> list[str]:
    """Return the keys for which Lightning trains batch by batch, by automatic optimization, instead of in chunks."""
    callbacks = [f"callbacks.{name}" for name, rule in config["callbacks"].items() if rule is not None]
    return [*callbacks, *(f"trainer.{key}" for key in config["trainer"] if key not in HARMLESS)]


def changes_rate(config: Mapping[str, Any]) -> bool:
    """Return whether the schedule changes the learning rate during the run."""
    return bool(config["schedule"] != {"_target_": "normlab.training.schedules.constant", "warmup": 0})


def clips_gradients(config: Mapping[str, Any]) -> bool:
    """Return whether `gradient` names anything but the identity."""
    return bool(config["gradient"].get("_target_") != "torch.nn.Identity")


def _complete_rule(name: str, rule: Any) -> dict[str, Any] | None:
    if rule is None:
        return None
    if not isinstance(rule, Mapping):
        raise ConfigurationError(f"observe.{name}={rule} is no schedule: set observe.{name}.first and .every, or null")
    return {"unless": None, **rule}


def _digest_data(data: Mapping[str, Any]) -> str | None:
    """Return a digest of a user's own data; published data sets are verified when they are read."""
    root = data.get("root")
    if not isinstance(root, str) or data.get("_target_") in VERIFIED:
        return None
    try:
        return digest_content(Path(root).expanduser())
    except OSError as error:
        raise ConfigurationError(f"data.root={root} cannot be read: {error}") from error


def _check_keys(config: Mapping[str, Any]) -> None:
    """Refuse keys that nothing reads, which `+` adds to a config; targets check their own."""
    for prefix, schema in CLOSED.items():
        known = [field.name for field in fields(schema)]
        for key in config[prefix] if prefix else config:
            if key not in known:
                place = f"{prefix}.{key}" if prefix else key
                raise ConfigurationError(f"nothing reads the key {place}: choose one of {', '.join(known)}")
    for name, rule in select_observations(config).items():
        if "_target_" not in rule and (unknown := rule.keys() - {"first", "every", "unless"}):
            raise ConfigurationError(f"nothing reads observe.{name}.{min(unknown)}: choose first, every or unless")
    for key in config["trainer"].keys() & REFUSED.keys():
        raise ConfigurationError(
            f"trainer.{key} would contradict the record, the steps or the schedules of a run: {REFUSED[key]}"
        )


def _check_numbers(config: Mapping[str, Any]) -> None:
    for key, value in flatten(config).items():
        for number in value if isinstance(value, list) else [value]:
            # Infinity is a number to some, such as the order of a norm.
            is_number = math.isfinite if key.startswith("optimizer.") else lambda number: not math.isnan(number)
            if isinstance(number, float) and not is_number(number) and not key.startswith("published."):
                raise ConfigurationError(f"{key}={number} is no finite number")


def _check_published(published: Mapping[str, Any]) -> None:
    for normalizer, figures in published.items():
        try:
            finals = {**figures}
            curves = finals.pop("curves", {}).values()
            for number in chain(finals.values(), *curves, *(curve.values() for curve in curves)):
                float(number)
        except (AttributeError, TypeError, ValueError):
            raise ConfigurationError(
                f"published.{normalizer}={figures} is not of the form METRIC: NUMBER or curves: METRIC: STEP: NUMBER"
            ) from None


def _check_ranges(config: Mapping[str, Any]) -> None:
    name = config["name"]
    if name is not None and not re.fullmatch(r"\w[\w.-]*", name):
        raise ConfigurationError(f"name={name} is no name of a folder: choose letters, digits, dots and hyphens")
    require_between("seed", config["seed"], 0, 2**32 - 1)
    require_between("steps", config["steps"], 1)
    require_between("batch_size", config["batch_size"], 1)
    require_between("evaluate.one_by_one", config["evaluate"].get("one_by_one"), 0)
    splits = config["evaluate"].get("splits")
    if not isinstance(splits, list):
        raise ConfigurationError(f"evaluate.splits={splits} has the wrong type: it is a list, such as [val,test]")
    for split in splits:
        _require_choice("evaluate.splits", split, SPLITS)
    observations = select_observations(config)
    for name, rule in observations.items():
        if "_target_" not in rule and name not in OBSERVABLE:
            raise ConfigurationError(
                f"observe.{name} needs a _target_, the class that measures it: without one it can be"
                f" {', '.join(OBSERVABLE)}"
            )
        require_between(f"observe.{name}.first", rule.get("first"), 1)
        require_between(f"observe.{name}.every", rule.get("every"), 1)
        if rule["unless"] is not None:
            _require_choice(f"observe.{name}.unless", rule["unless"], tuple(observations))
    lr = config["optimizer"].get("lr")
    if isinstance(lr, int | float) and lr < 0:
        raise ConfigurationError(f"optimizer.lr={lr} is out of range: choose at least 0")
    smoothing = config["objective"].get("label_smoothing", 0.0)
    if isinstance(smoothing, int | float) and not 0 <= smoothing <= 1:
        raise ConfigurationError(f"objective.label_smoothing={smoothing} is out of range: choose 0 to 1")
    if clips_gradients(config) and config["trainer"].get("gradient_clip_val"):
        raise ConfigurationError(
            "trainer.gradient_clip_val and gradient would both clip: leave it out, or choose gradient=none"
        )


def _check_accelerator(config: Mapping[str, Any]) -> None:
    accelerator = config["accelerator"]
    _require_choice("accelerator.kind", accelerator["kind"], ("auto", "cpu", "gpu"))
    _require_choice("accelerator.precision", accelerator["precision"], ("32-true", "bf16-mixed", "16-mixed"))
    if accelerator["threads"] is not None:
        require_between("accelerator.threads", accelerator["threads"], 1)
    processes = accelerator["processes"]
    require_between("accelerator.processes", processes, 1)
    if config["batch_size"] % processes:
        raise ConfigurationError(
            f"batch_size={config['batch_size']} cannot be shared evenly by accelerator.processes={processes}:"
            f" choose a multiple of {processes}"
        )
    automatic = list_automatic_keys(config)
    for key, default in {"cuda_graph": False, "processes": 1}.items():
        if automatic and accelerator[key] != default:
            raise ConfigurationError(
                f"{automatic[0]} makes Lightning train batch by batch, which excludes accelerator.{key}: choose"
                f" accelerator.{key}={str(default).lower()}"
            )
    if accelerator["cuda_graph"] and changes_rate(config):
        raise ConfigurationError(
            "accelerator.cuda_graph records the learning rate, which schedule changes: choose"
            " accelerator.cuda_graph=false, or schedule=constant without warmup"
        )
    if accelerator["cuda_graph"] and (processes > 1 or accelerator["precision"] == "16-mixed"):
        raise ConfigurationError(
            "accelerator.cuda_graph records a step that waits for nothing, while a step of several processes waits for"
            " the others, and one in 16-mixed for its loss scale: choose accelerator.processes=1 and another"
            " accelerator.precision"
        )


def require_between(key: str, value: int | None, smallest: int, largest: int | None = None) -> None:
    """Raise ConfigurationError, naming the key, unless a value is an integer in a range."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"{key}={value} has the wrong type: it is an integer")
    if value < smallest or (largest is not None and value > largest):
        wanted = f"at least {smallest}" if largest is None else f"{smallest} to {largest}"
        raise ConfigurationError(f"{key}={value} is out of range: choose {wanted}")


def _require_choice(key: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{key} names {value!r}, which is none of {', '.join(choices)}")
