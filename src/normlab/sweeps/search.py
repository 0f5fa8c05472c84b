"""A search by Optuna among the values that a sweep may take, which resumes an earlier one."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import optuna
from hydra.core.override_parser.types import Override
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from normlab.errors import ConfigurationError
from normlab.runs.directory import State
from normlab.runs.run import Run

METRIC = "val/accuracy"
ATTEMPTS = 2
"""Starts of a trial whose runs die, before it counts as failed."""

Trial = optuna.Trial | optuna.trial.FrozenTrial


class Search:
    """The trials of one search: with the same overrides and the same storage, a search resumes.

    Args:
        overrides: of the sweep. Choices, ranges and intervals (`tag(log, interval(1e-4, 1))`) are searched, all
            values of `seed` are run in each trial.
        storage: the file that keeps the trials.
        sampler: from a keyword `seed` to an Optuna sampler.
        n_trials: number of trials in all.
    """

    def __init__(
        self, overrides: Sequence[Override], storage: Path, sampler: Callable[..., BaseSampler], n_trials: int
    ) -> None:
        last = {override.get_key_element(): override for override in overrides}  # the command line comes last
        self.fixed = [override.input_line or "" for override in last.values() if not override.is_sweep_override()]
        swept = {key: override for key, override in last.items() if override.is_sweep_override()}
        seeds = swept.pop("seed", None)
        self.seeds = [f"seed={seed}" for seed in seeds.sweep_string_iterator()] if seeds else []
        self.space = {key: _make_distribution(override) for key, override in swept.items()}
        self.n_trials = n_trials
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        if ":/" in str(storage):  # a URL, of which a path keeps one slash
            raise ConfigurationError(f"hydra.sweeper.storage={storage} is no path of a file: trials are kept in a file")
        storage = storage.absolute()  # Optuna links to it from its own directory
        storage.parent.mkdir(parents=True, exist_ok=True)
        text = "\n".join(sorted(override.input_line or "" for override in last.values()))
        try:
            self.study = optuna.create_study(
                study_name=hashlib.sha256(text.encode()).hexdigest()[:8],
                storage=JournalStorage(JournalFileBackend(str(storage))),
                direction="maximize",
                load_if_exists=True,
            )
        except ValueError as error:
            raise ConfigurationError(
                f"{storage} holds a line that is not JSON, such as a last one that was cut short: remove that line, or"
                f" choose another file with hydra.sweeper.storage ({error})"
            ) from error
        self.is_exhausted = False
        """Whether the sampler has no further values to propose."""
        self._deaths: Counter[int] = Counter()
        self.study.sampler = sampler(seed=len(self.trials))  # a fixed seed would propose the same values again

    @property
    def trials(self) -> Sequence[Trial]:
        """All trials so far, those of earlier starts included."""
        return self.study.get_trials(deepcopy=False)

    def next(self, count: int) -> Sequence[Trial]:
        """Return the trials to run now: those that an earlier start left incomplete, else new ones; none at the end."""
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if running:
            return running
        missing = 0 if self.is_exhausted else self.n_trials - len(self.trials)
        return [self.study.ask(self.space) for _ in range(min(count, missing))]

    def jobs_of(self, trial: Trial) -> list[list[str]]:
        """Return the overrides of each run of a trial."""
        chosen = [f"{key}={value}" for key, value in trial.params.items()]
        return [[*self.fixed, *chosen, *([seed] if seed else [])] for seed in self.seeds or [""]]

    def require_metric(self, runs: Sequence[Run]) -> None:
        """Raise ConfigurationError unless all runs measure what the search maximizes."""
        for splits in (run.settings["evaluate"]["splits"] for run in runs):
            if METRIC.partition("/")[0] not in splits:
                raise ConfigurationError(
                    f"a search maximizes {METRIC}, which evaluate.splits=[{','.join(splits)}] does not measure: add val"
                )

    def tell(self, trial: Trial, states: Sequence[State], stopped: bool = False) -> None:
        """Record the result of a trial; one whose runs were stopped resumes at the next start.

        A trial fails with one of its runs, or if runs die `ATTEMPTS` times. A run that diverged, or whose accuracy is
        not finite, counts as accuracy 0, the worst there is, so that the search avoids its values.
        """
        records = [state.record for state in states if state.record is not None and state.is_result]
        self._deaths[trial.number] += not stopped and any(state.status in ("died", "missing") for state in states)
        if any(state.status == "failed" for state in states) or self._deaths[trial.number] == ATTEMPTS:
            self._tell(trial.number, state=TrialState.FAIL)
        elif len(records) == len(states):
            self._tell(trial.number, mean(record.metrics.get(METRIC, 0.0) for record in records))

    def _tell(self, *args: Any, **kwargs: Any) -> None:
        try:
            self.study.tell(*args, **kwargs)
        except RuntimeError as error:  # by which a sampler that has proposed all values ends a search of Optuna's own
            if "Study.stop" not in str(error):
                raise
            self.is_exhausted = True

    def best(self) -> str:
        """Return a line on the best trial so far."""
        ended = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not ended:
            return f"no trial of {self.n_trials} is complete"
        best = self.study.best_trial
        chosen = " ".join(f"{key}={value}" for key, value in best.params.items())
        return f"best of {len(ended)} trials: {chosen}, {METRIC} {best.value:.4f}"


def _make_distribution(override: Override) -> BaseDistribution:
    """Return the values of an override as Optuna takes them. Raises ConfigurationError if there are none."""
    sweep: Any = override.value()
    values = [] if override.is_interval_sweep() else list(override.sweep_string_iterator())
    try:
        if override.is_interval_sweep():
            return _between(sweep.start, sweep.end, log="log" in sweep.tags)
        if override.is_range_sweep():
            low, high = sorted(map(type(sweep.start), (values[0], values[-1])))
            return _between(low, high, step=abs(sweep.step))
        return CategoricalDistribution(values)
    except (ValueError, IndexError) as error:
        raise ConfigurationError(f"{override.input_line} cannot be searched: {error}") from error


def _between(low: float, high: float, **further: Any) -> BaseDistribution:
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, **further)
    return FloatDistribution(low, high, **further)
