"""Schema of a config: every top-level key with its type and default."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class Accelerator:
    """Device, precision and processes of a run."""

    kind: str = "auto"
    threads: int | None = 1
    precision: str = "32-true"
    compile: bool = False
    processes: int = 1
    cuda_graph: bool = False
    deterministic: bool = False


@dataclass
class Report:
    """Description of an experiment in its report, and the criteria for its runs."""

    source: str = ""  # origin of its setup and published figures
    baseline: str | None = None  # variant to compare with: a normalizer or KEY=VALUE; null: none
    metric: str | None = None  # final metric to compare; null: val/accuracy
    figures: list[str] = field(default_factory=list)  # further figures: dotted names of functions, as in `FIGURES`
    tune: str | None = None  # factor, such as optimizer.lr, at whose best value each variant is compared
    cost: dict[str, float] = field(default_factory=dict)  # of a run: seconds_per_1000_steps of one core, megabytes
    threshold: float | None = None  # value of the metric from which a run counts as a success


@dataclass
class Config:
    """Every top-level key. A group of type dict holds a `_target_` and its arguments."""

    seed: int = 0
    batch_size: int = MISSING  # before steps, which it determines at equal epochs: reports name variants by the first
    steps: int | None = None  # null: from epochs, or else 10,000
    epochs: float | None = None  # in place of steps
    data: dict[str, Any] = MISSING
    preprocessing: dict[str, Any] = MISSING
    augmentation: dict[str, Any] = MISSING
    sampler: dict[str, Any] = MISSING
    model: dict[str, Any] = MISSING
    normalizer: dict[str, Any] = MISSING
    initializer: dict[str, Any] = MISSING
    reparametrization: dict[str, Any] = MISSING
    convolution_initializer: Any = None  # null: as `initializer`; dict would be resolved too early
    by_normalizer: dict[str, Any] = field(default_factory=dict)  # lookup table for interpolations, by normalizer
    objective: dict[str, Any] = MISSING
    optimizer: dict[str, Any] = MISSING
    schedule: dict[str, Any] = MISSING  # of the learning rate
    gradient: dict[str, Any] = MISSING  # clipping
    trainable: dict[str, Any] = MISSING  # parameters that are trained
    accelerator: Accelerator = field(default_factory=Accelerator)
    sync_statistics: bool = True  # over the processes of a run
    observe: dict[str, Any] = field(default_factory=dict)  # measurements during training, by name
    evaluate: dict[str, Any] = field(default_factory=dict)  # measurements after the last step, by name
    report: Report = field(default_factory=Report)
    claims: dict[str, Any] = field(default_factory=dict)  # statements about its runs, by name: see docs/report.md
    published: dict[str, Any] = field(default_factory=dict)  # published figures, by normalizer
    trainer: dict[str, Any] = field(default_factory=dict)  # further arguments of Lightning's Trainer
    callbacks: dict[str, Any] = field(default_factory=dict)  # Lightning's or a user's own, by name
    loggers: dict[str, Any] = field(default_factory=dict)  # further loggers of Lightning, by name
    output_root: str = "outputs"
    name: str | None = None  # of the folder for runs without an experiment; null: single
    force: bool = False  # rerun a finished run; its directory is moved aside
    reuse: bool = False  # take runs of other code as they are
    data_digest: str | None = None  # of the content of `data.root`, unless that is a data set that ships


def register_schema() -> None:
    """Register the schema with Hydra under the name that `config.yaml` lists first."""
    ConfigStore.instance().store(name="normlab_schema", node=Config)
