"""Verdicts on claims: runs are reduced to one number per seed, which the judge compares with the claimed region."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from normlab.report.claims import FIRST_LOOK, LAST_LOOK, PER, Claim, Selector, parse_claims
from normlab.report.judge import Judgement, Outcome, judge
from normlab.report.load import Results, Run
from normlab.report.reading import Case, Numbers, Reading
from normlab.report.statistics import UNBOUNDED
from normlab.report.tuning import get_main_metric
from normlab.report.variants import Label, format_label, parse_number
from normlab.runs.claims import NotedClaim, read_claims


@dataclass(frozen=True)
class Verdict:
    """A claim about one variant, judged."""

    variant: str
    metric: str
    judgement: Judgement
    wins: int = 0
    """Seeds whose own number lies in the claimed region."""
    notes: tuple[str, ...] = ()
    compared: tuple[Label, ...] = ()
    """The variants that it rests on."""
    obstacle: str = ""
    """Reason for which no further seeds can decide it; empty if they may."""


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with its verdicts, one for each variant that it is about."""

    experiment: str
    claim: Claim
    verdicts: tuple[Verdict, ...]
    noted: NotedClaim

    @property
    def outcome(self) -> Outcome:
        """Supported if it is for all variants, refuted if it is for one."""
        found = {verdict.judgement.outcome for verdict in self.verdicts}
        for outcome in ("refuted", "not run", "undecided", "supported"):
            if outcome in found:
                return outcome
        return "not run"


def judge_claims(results: Results) -> tuple[list[JudgedClaim], list[str]]:
    """Judge the claims of all experiments that have runs; return also mistakes in claims, a line each."""
    judged, problems = [], []
    by_directory: dict[Path, list[Run]] = {}
    for run in results.details:
        by_directory.setdefault(run.directory.experiment, []).append(run)
    for directory, runs in by_directory.items():
        variants: dict[str, dict[int, Run]] = {}
        for run in runs:
            variants.setdefault(run.variant, {})[run.record.seed] = run
        cases = [Case(name, seeds) for name, seeds in variants.items()]
        noted = read_claims(directory)
        for name, note in noted.items():
            try:
                for claim in parse_claims({name: note.claim}):
                    metric = claim.metric or get_main_metric(results, runs)
                    verdicts = judge_claim(claim, cases, metric, results, len(noted))
                    judged.append(JudgedClaim(runs[0].record.experiment, claim, tuple(verdicts), note))
            except ValueError as mistake:
                problems.append(str(mistake))
    return judged, problems


def judge_claim(claim: Claim, cases: Sequence[Case], metric: str, results: Results, claims: int) -> list[Verdict]:
    """Judge a claim for each variant that it is about; all `claims` of the experiment share the level.

    Raises ValueError if the metric has no direction and the claim needs one, or if a factor is none.
    """
    reading = Reading(metric, results, claim)
    if claim.needs_direction and reading.info.get("better") not in ("higher", "lower"):
        raise ValueError(f"claims.{claim.name} needs to know which values of {metric} are better, which no run records")
    verdicts = []
    for selector in claim.of:
        chosen = [case for case in cases if case.matches({**selector, **claim.where})]
        if claim.rival is not None and not selector:
            chosen = [case for case in chosen if not case.matches(claim.rival)]
        groups = [[case] for case in chosen] if claim.along is None else _group(chosen, claim, claim.along)
        if not groups:
            verdicts.append(_miss(format_label(selector), metric, "no such variant was run"))
        verdicts += [_judge_group(claim, group, cases, reading, claims) for group in groups]
    return verdicts


def _judge_group(claim: Claim, group: Sequence[Case], cases: Sequence[Case], reading: Reading, claims: int) -> Verdict:
    """Judge a variant, or the variants along a factor."""
    rest = {key: value for key, value in group[0].factors.items() if key != claim.along}
    name = group[0].name if claim.along is None else format_label(rest) or "all"
    try:
        involved = [_find_involved(claim, case, cases) for case in group]
    except LookupError as missing:
        return _miss(name, reading.metric, str(missing.args[0]))
    sides = [case for found in involved for case in found]
    values = {case.name: reading.read_all(case) for case in sides}
    numbers = [_subtract([values[case.name] for case in found], reading.improvement) for found in involved]
    bounds, resolution, by_seed = reading.bounds, reading.resolution, numbers[0]
    if claim.rival is not None:
        bounds = bounds[0] - bounds[1], bounds[1] - bounds[0]
    if claim.than_where is not None:
        bounds = 2 * bounds[0], 2 * bounds[1]
    if claim.along is not None:
        levels = np.array([float(case.factors[claim.along]) for case in group])
        if claim.per != "unit":
            levels = np.log(levels) / math.log(PER[claim.per])
        shared = pd.concat(numbers, axis=1).dropna().sort_index()
        by_seed = pd.Series({seed: np.polyfit(levels, row, 1)[0] for seed, row in shared.iterrows()}, dtype="float64")
        bounds, resolution = UNBOUNDED, resolution / float(np.ptp(levels))
    are_binary = claim.rate is not None and claim.rival is None and claim.along is None
    judged = judge(by_seed.tolist(), claim.region, claims, resolution, bounds, are_binary)
    notes = _describe_seeds([*values.values()], by_seed)
    obstacle = "; ".join(f"{name}: {why}" for name in values if (why := reading.results.at_edge.get(name)))
    if obstacle:
        notes.append(f"undecided: {obstacle}")
    diverged = {seed for case in sides for seed, run in case.runs.items() if run.status == "diverged"}
    if diverged := diverged & set().union(*(case.runs for case in group)):
        why, note = _describe_divergence(claim, diverged, by_seed, reading)
        obstacle = obstacle or why
        notes.append(note)
    if obstacle:
        judged = replace(judged, outcome="undecided", seeds_needed=None)
    wins = int(by_seed.iloc[:LAST_LOOK].between(*claim.region).sum())
    return Verdict(name, reading.metric, judged, wins, tuple(notes), tuple(case.factors for case in sides), obstacle)


def _find_involved(claim: Claim, case: Case, cases: Sequence[Case]) -> list[Case]:
    """Return a variant, its rival if there is one, and both at the other level if there is one. Raises LookupError."""
    involved = [case]
    if claim.rival is not None:
        involved.append(_find_counterpart(case, claim.rival, cases))
    if claim.than_where is not None:
        involved += [_find_counterpart(each, claim.than_where, cases) for each in involved]
    return involved


def _subtract(values: Sequence[Numbers], improvement: int) -> Numbers:
    """Return the numbers of one variant, the improvement on the second, or that minus the one of two others."""
    if len(values) == 1:
        return values[0]
    numbers = values[0] - values[1] if len(values) == 2 else (values[0] - values[1]) - (values[2] - values[3])
    return improvement * numbers.dropna()


def _find_counterpart(case: Case, changes: Selector, cases: Sequence[Case]) -> Case:
    """Return the variant with some values changed and all other factors the same. Raises LookupError."""
    kept = {key: value for key, value in case.factors.items() if key not in changes}
    found = [each for each in cases if each.matches(changes) and kept.items() <= each.factors.items()]
    if len(found) == 1:
        return found[0]
    why = "matches several variants" if found else "was not run"
    raise LookupError(f"{format_label({**kept, **changes})} {why}")


def _group(cases: Sequence[Case], claim: Claim, factor: str) -> list[list[Case]]:
    """Group variants that differ in one factor alone; none if it does not vary. Raises ValueError if it has words."""
    groups: dict[tuple[tuple[str, str], ...], list[Case]] = {}
    for case in cases:
        if factor not in case.factors:
            return []
        value = parse_number(case.factors[factor])
        if value is None or (claim.per != "unit" and value <= 0):
            why = "is no number" if value is None else f"has no logarithm: leave out per={claim.per}"
            raise ValueError(f"claims.{claim.name}.along={factor} has the value {case.factors[factor]}, which {why}")
        rest = tuple(item for item in case.factors.items() if item[0] != factor)
        groups.setdefault(rest, []).append(case)
    return [group for group in groups.values() if len(group) > 1]


def _describe_seeds(sides: Sequence[Numbers], values: Numbers) -> list[str]:
    notes = []
    if any(side.index.symmetric_difference(values.index).size for side in sides):
        notes.append(f"the sides have different seeds: the {len(values)} that they share are used")
    if len(values) > LAST_LOOK:
        notes.append(f"judged by the first {LAST_LOOK} of {len(values)} seeds")
    if 0 < len(values) < FIRST_LOOK:
        numbers = ", ".join(f"{value:.4g}" for value in values)
        notes.append(f"fewer than {FIRST_LOOK} seeds decide nothing: {numbers}")
    return notes


def _describe_divergence(claim: Claim, diverged: set[int], values: Numbers, reading: Reading) -> tuple[str, str]:
    """Return why diverged runs leave a claim undecided, if they do, and a note."""
    seeds = ", ".join(map(str, sorted(diverged)))
    if claim.until is not None or claim.rate is not None:
        return "", f"diverged runs (seeds {seeds}) count as not passing after they diverged"
    finished = values[~values.index.isin(diverged)]
    rest = f"; the mean of the other {len(finished)} seeds is {finished.mean():.4g}" if len(finished) else ""
    obstacle = ""
    if reading.info.get("guess") is None:
        obstacle = f"seeds {seeds} diverged, and {reading.metric} has no value for diverged runs"
    elif claim.comparison == "like":
        obstacle = f"seeds {seeds} diverged, and diverged runs are like no others"
    if obstacle:
        return obstacle, f"undecided: {obstacle}{rest}"
    return "", f"diverged runs (seeds {seeds}) count as guessing, {reading.info['guess']:.4g}{rest}"


def _miss(variant: str, metric: str, why: str) -> Verdict:
    return Verdict(variant, metric, Judgement(math.nan, math.nan, math.nan, "not run", 0), notes=(why,))
