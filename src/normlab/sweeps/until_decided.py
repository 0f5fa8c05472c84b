"""Seeds until decided: after each look at the claims, seeds are added to the variants of those that are undecided."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override

from normlab.config.checks import require_between
from normlab.errors import ConfigurationError
from normlab.report.claims import FIRST_LOOK, LAST_LOOK
from normlab.runs.claims import note_budget
from normlab.runs.run import Run, explain_unwritable
from normlab.sweeps.plan import group_by_directory
from normlab.sweeps.workers import run_in_processes


@dataclass(frozen=True)
class Undecided:
    """A claim about one variant that further seeds may decide."""

    run_ids: frozenset[str]
    """All runs at hand of the variants that it compares."""
    seeds_needed: int | None
    """Further seeds that would probably decide it; None if it is too close for that."""


class UntilDecided:
    """The runs of a sweep at its present look, which depend on the results of earlier looks alone.

    So a sweep that was killed repeats the same looks, and finds their runs finished.

    Args:
        budget: for each variant its runs, in the order of seeds.
        first_seeds: number of seeds at the first look.
    """

    def __init__(self, budget: Sequence[Sequence[Run]], first_seeds: int) -> None:
        self.budget = budget
        self.seeds = [first_seeds] * len(budget)
        self.runs = [run for runs in budget for run in runs[:first_seeds]]
        """Those of earlier looks first."""

    def note_budget(self) -> None:
        """Note all runs of the budget, from which reports count those spared. Raises ConfigurationError."""
        for directory, runs in group_by_directory(chain(*self.budget)).items():
            with explain_unwritable(directory):
                note_budget(directory, [run.id for run in runs])

    def add_seeds(self) -> None:
        """Look at the claims, and add seeds to the variants of those that are undecided.

        If a run has no result, none are added.
        """
        if not all(run.state().is_result for run in self.runs):
            return
        looks = [(directory, {run.id for run in runs}) for directory, runs in group_by_directory(self.runs).items()]
        # In a process of its own, as the report: pandas would double the memory of the driver.
        outcomes = run_in_processes(list_undecided, looks, workers=1)
        for outcome in outcomes:
            if outcome.error is not None:
                raise ConfigurationError(f"the claims could not be judged: {outcome.error}")
            for undecided in outcome.value:
                self._add(undecided)

    def _add(self, undecided: Undecided) -> None:
        places = [place for place, runs in enumerate(self.budget) if any(run.id in undecided.run_ids for run in runs)]
        most, shared = len(self.budget[0]), min(self.seeds[place] for place in places)
        target = min(shared + count_further(undecided.seeds_needed or most - shared), most)
        for place in places:
            self.runs += self.budget[place][self.seeds[place] : target]
            self.seeds[place] = max(self.seeds[place], target)


def list_undecided(place: tuple[Path, Collection[str]]) -> list[Undecided]:
    """Judge the claims of an experiment by some of its runs.

    Args:
        place: directory of the experiment, and ids of the runs. Others there do not count, so that a repeated sweep
            sees the same as the first time.
    """
    from normlab.report.load import load
    from normlab.report.tuning import tune
    from normlab.report.verdicts import judge_claims

    directory, ids = place
    results = load(directory, keep=lambda run: run.id in ids)
    undecided = []
    for judged in judge_claims(tune(results)[0])[0]:
        for verdict in judged.verdicts:
            if verdict.judgement.outcome != "undecided" or verdict.obstacle:
                continue
            runs = [
                run.id for run in results.details if any(it.items() <= run.label.items() for it in verdict.compared)
            ]
            undecided.append(Undecided(frozenset(runs), verdict.judgement.seeds_needed))
    return undecided


def count_further(needed: int) -> int:
    """Return how many seeds to add if so many would probably decide a claim, or are left for one that is too close.

    Half of them: one at a time leaves most cores idle, and all at once are often too many (`benchmarks/looks.py`).
    """
    return max(1, needed // 2)


def check_settings(until: str, first_seeds: int, max_seeds: int) -> None:
    """Raise ConfigurationError unless the settings of the sweeper are sound."""
    if until != "decided":
        raise ConfigurationError(
            f"hydra.sweeper.until={until} is unknown: choose decided, or null for the seeds that are listed"
        )
    require_between("hydra.sweeper.first_seeds", first_seeds, FIRST_LOOK, LAST_LOOK)
    require_between("hydra.sweeper.max_seeds", max_seeds, first_seeds, LAST_LOOK)


def require_claims(settings: Mapping[str, Any]) -> None:
    """Raise ConfigurationError unless there is a claim to decide."""
    if not any(claim is not None for claim in settings["claims"].values()):
        raise ConfigurationError(
            "hydra.sweeper.until=decided adds seeds until claims are decided, and there are none: choose an experiment"
            " with claims, or leave it out"
        )


def order_seeds(overrides: Sequence[Override], total: int) -> str:
    """Return the override of a full budget: the seeds of a sweep, and after them 0, 1, 2, … up to `total` seeds."""
    named: list[str] = []
    for override in overrides:
        if override.get_key_element() == "seed":  # the last one counts
            named = [*override.sweep_string_iterator()] if override.is_sweep_override() else [str(override.value())]
    seeds = dict.fromkeys([*named, *map(str, range(total))])
    return f"seed={','.join(islice(seeds, total))}"


def group_variants(runs: Iterable[Run]) -> list[list[Run]]:
    """Return the runs of each variant, in the order in which they were planned."""
    variants: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        variants.setdefault(tuple(it for it in run.overrides if not it.startswith("seed=")), []).append(run)
    return [*variants.values()]
