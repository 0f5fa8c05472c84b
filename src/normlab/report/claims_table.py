"""Tables of claims: a row per claim and variant, as numbers for `claims.csv` and as text for readers."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from normlab.report.claims import FIRST_LOOK, LAST_LOOK
from normlab.report.formatting import NOTHING, format_interval, format_number
from normlab.report.judge import LEVEL
from normlab.report.verdicts import JudgedClaim, Verdict

HEADINGS = ("variant", "metric", "estimate", "interval", "claimed", "seeds", "verdict")
COLUMNS = (
    *("experiment", "claim", "variant", "metric", "estimate", "low", "high", "region_low", "region_high"),
    *("n", "wins", "verdict", "seeds_needed"),
)


@dataclass(frozen=True)
class ClaimLine:
    """A claim about one variant, as text in the order of `HEADINGS`."""

    cells: tuple[str, ...]
    notes: tuple[str, ...]


def tabulate_claims(claims: Sequence[JudgedClaim]) -> pd.DataFrame:
    """Return a row per claim and variant; numbers that do not exist are empty, and infinite ends are `inf`."""
    rows = []
    for judged in claims:
        for verdict in judged.verdicts:
            found = verdict.judgement
            rows.append(
                (
                    *(judged.experiment, judged.claim.name, verdict.variant, verdict.metric),
                    *(found.estimate, found.low, found.high, *judged.claim.region),
                    *(found.n, verdict.wins, found.outcome, found.seeds_needed),
                )
            )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"seeds_needed": "Int64"})


def format_claim(judged: JudgedClaim) -> list[ClaimLine]:
    """Return a line for each variant that a claim is about."""
    return [ClaimLine(_format_cells(judged, verdict), verdict.notes) for verdict in judged.verdicts]


def _format_cells(judged: JudgedClaim, verdict: Verdict) -> tuple[str, ...]:
    found, claim = verdict.judgement, judged.claim
    variant = verdict.variant
    if claim.rival is not None and claim.along is None:
        variant += f" {'over' if claim.comparison == 'over' else 'like'} {', '.join(claim.rival.values())}"
    metric = verdict.metric
    if claim.at is not None:
        metric += f" at step {claim.at}"
    elif claim.until is not None:
        metric = f"steps until {metric} is {claim.until:g}"
    elif claim.rate is not None:
        metric = f"share of runs with {metric} of {claim.rate:g}"
    if claim.along is not None:
        metric += f", per {claim.per} of {claim.along}"
    return (
        variant,
        metric,
        format_number(found.estimate),
        format_interval(found.low, found.high),
        format_region(claim.region),
        f"{verdict.wins} of {found.n}" if found.n else "0",
        _describe_outcome(verdict),
    )


def _describe_outcome(verdict: Verdict) -> str:
    found = verdict.judgement
    if found.outcome != "undecided" or verdict.obstacle:
        return found.outcome
    if found.n >= LAST_LOOK:
        return f"undecided after {LAST_LOOK} seeds"
    if found.seeds_needed is None:
        return f"undecided: probably too close for {LAST_LOOK} seeds"
    return f"undecided: about {found.seeds_needed} more seed{'s' * (found.seeds_needed != 1)} per side"


def format_region(region: tuple[float, float]) -> str:
    """Return `at least 0.5`, `at most 2` or `−0.005 to 0.005`."""
    low, high = (f"{end:g}".replace("-", "−") for end in region)
    if math.isinf(region[1]):
        return f"at least {low}"
    return f"at most {high}" if math.isinf(region[0]) else f"{low} to {high}"


def count_outcomes(claims: Sequence[JudgedClaim]) -> str:
    """Return `4 of 5 claims supported, 1 undecided`; empty if there are no claims."""
    if not claims:
        return ""
    counts = Counter(judged.outcome for judged in claims)
    total = len(claims)
    text = f"{counts['supported']} of {total} claim{'s' * (total != 1)} supported"
    return ", ".join([text, *(f"{counts[it]} {it}" for it in ("refuted", "undecided", "not run") if counts[it])])


def describe_origin(judged: JudgedClaim) -> str:
    """Return the date and hash of a claim, and how many runs had ended before it was made."""
    noted = judged.noted
    late = f", added after {noted.runs_before} run{'s' * (noted.runs_before != 1)}" if noted.runs_before else ""
    return f"Claim {noted.hash} of {noted.date}{late}."


def explain_claims() -> str:
    """Return how to read intervals and verdicts of claims."""
    return (
        "Intervals of claims are Student's t, wider than the ordinary 95 % interval: whatever the number of seeds"
        f" from {FIRST_LOOK} to {LAST_LOOK}, at most {100 * LEVEL:.0f} % of experiments have a false verdict if"
        " the values of seeds are normal. A claim is supported if its interval lies inside the claimed region, refuted"
        f" if outside, else undecided. Seeds: how many lie in the region on their own. {NOTHING}: too few seeds for an"
        " interval."
    )
