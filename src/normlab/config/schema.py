"""What a config may hold: every top-level key with its type and default."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class Observation:
    """When something is measured during training, counted in updates made."""

    first: int = MISSING
    every: int = MISSING
    unless: str | None = None  # another observation that is taken instead where both are due


@dataclass
class FinalEvaluation:
    """What is measured after the last update."""

    splits: list[str] = field(default_factory=lambda: ["train", "val", "test"])
    one_by_one: int = 100  # the first so many test images are also scored each by itself


@dataclass
class Accelerator:
    """Where and how the arithmetic is done."""

    kind: str = "auto"
    threads: int | None = 1
    precision: str = "32-true"
    compile: bool = False
    processes: int = 1
    cuda_graph: bool = False
    deterministic: bool = False


@dataclass
class Report:
    """What the report of an experiment says of it, and judges its runs by."""

    claim: str = ""  # what the experiment shows, in words
    source: str = ""  # where its set-up and published figures come from
    baseline: str | None = None  # what variants are compared with: a normalizer, or KEY=VALUE; null: none
    metric: str | None = None  # final metric that is judged; null: val/accuracy
    threshold: float | None = None  # value of it at which a run counts as a success


@dataclass
class Config:
    """Every top-level key. A group without a type of its own holds a `_target_` and what it is called with."""

    seed: int = 0
    steps: int = MISSING
    batch_size: int = MISSING
    data: dict[str, Any] = MISSING
    preprocessing: dict[str, Any] = MISSING
    model: dict[str, Any] = MISSING
    normalizer: dict[str, Any] = MISSING
    initializer: dict[str, Any] = MISSING
    convolution_initializer: Any = None  # null: as `initializer`; a dict type would resolve it before Hydra can
    by_normalizer: dict[str, Any] = field(default_factory=dict)  # a table to look things up in, by normalizer
    objective: dict[str, Any] = MISSING
    optimizer: dict[str, Any] = MISSING
    accelerator: Accelerator = field(default_factory=Accelerator)
    sync_statistics: bool = True  # of the processes of one run
    observe: dict[str, Observation | None] = field(default_factory=dict)
    evaluate: FinalEvaluation = field(default_factory=FinalEvaluation)
    report: Report = field(default_factory=Report)
    published: dict[str, Any] = field(default_factory=dict)  # published figures, by normalizer
    trainer: dict[str, Any] = field(default_factory=dict)  # further arguments of Lightning's Trainer
    callbacks: dict[str, Any] = field(default_factory=dict)  # callbacks of the user's own, by a name
    output_root: str = "outputs"
    force: bool = False  # make a finished run anew; its directory is moved aside


def register_schema() -> None:
    """Make the schema known to Hydra under the name that the primary config lists first."""
    ConfigStore.instance().store(name="schema", node=Config)
