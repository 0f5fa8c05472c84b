"""The record of a run, the content of `run.json`."""

from dataclasses import dataclass, field
from typing import Any, Literal

RECORD_VERSION = 1

Status = Literal["running", "finished", "failed", "diverged", "interrupted"]


@dataclass
class Record:
    """The content of `run.json`."""

    run_id: str
    experiment: str
    seed: int
    choices: dict[str, str]
    """Config group → choice."""
    steps: int
    """Steps requested."""
    status: Status = "running"
    metrics: dict[str, float] = field(default_factory=dict)
    """Final metrics by name, such as `test/accuracy`."""
    seconds: float | None = None
    """Wall-clock time of training with its observations, without start-up and final evaluation."""
    steps_per_second: float | None = None
    statistics_batch: dict[str, int] = field(default_factory=dict)
    """Block → number of examples whose statistics its normalizer uses in training, if it keeps running averages: the
    whole batch, or one process's part of it."""
    replaced: dict[str, str] = field(default_factory=dict)
    """Layer of an imported network → what became of it, such as BatchNorm2d → GroupNorm."""
    environment: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """Module → digest of the code that is no released package (see `normlab.runs.sources`)."""
    published: dict[str, Any] = field(default_factory=dict)
    """The experiment's published figures, by normalizer."""
    training: Literal["chunks", "automatic optimization"] = "chunks"
    """Whether Lightning made chunks of steps or, for callbacks and arguments of its Trainer, one batch per step."""
    diverged_at: int | None = None
    """The step whose loss was not finite, if the run diverged."""
    stopped_at: int | None = None
    """The step after which a callback or an argument of the Trainer ended the run early."""
    error: str | None = None
    """Type, message and traceback, if the run failed."""
    metrics_info: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Metric, of a curve or final → which values are `better`, "higher" or "lower", its bounds `low` and `high`, the
    value of a network that guesses (`guess`), and the smallest difference between two values (`resolution`)."""
    version: int = RECORD_VERSION
    """Of the layout of this record and its directory."""

    @property
    def is_result(self) -> bool:
        """Whether nothing is left to do: the run finished, or diverged, which is a result too."""
        return self.status in ("finished", "diverged")

    @property
    def core_seconds(self) -> float:
        """Time of training on all of its cores; runs that were trained together share it evenly."""
        threads, processes = (int(self.environment.get(key) or 1) for key in ("threads", "processes"))
        return (self.seconds or 0.0) * threads * processes

    @property
    def reason(self) -> str:
        """Why the run did not finish, in one line; empty if it did, or if that is not known."""
        if self.diverged_at is not None:
            return f"the loss of step {self.diverged_at} is not finite"
        return (self.error or "").strip().rpartition("\n")[2]
