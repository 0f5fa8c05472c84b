"""Tables of claims: a row per claim and variant, as numbers for `claims.csv` and as text for readers."""

import math
from collections.abc import Sequence

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
EXPLANATION = (
    "Intervals of claims are Student's t, wider than the ordinary 95 % interval: whatever the number of seeds"
    f" from {FIRST_LOOK} to {LAST_LOOK}, at most {100 * LEVEL:.0f} % of experiments have a false verdict if"
    " the values of seeds are normal. A claim is supported if its interval lies inside the claimed region, refuted"
    f" if outside, else undecided. Seeds: how many lie in the region on their own. {NOTHING}: too few seeds for an"
    " interval."
)
"""How to read intervals and verdicts of claims."""


def tabulate_claims(claims: Sequence[JudgedClaim]) -> pd.DataFrame:
    """Return a row per claim and variant; numbers that do not exist are empty, and infinite ends are `inf`."""
    rows = [
        (
            *(judged.experiment, judged.claim.name, verdict.variant, verdict.metric),
            *(found.estimate, found.low, found.high, *judged.claim.region),
            *(found.n, verdict.wins, found.outcome, found.seeds_needed),
        )
        for judged in claims
        for verdict in judged.verdicts
        for found in [verdict.judgement]
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"seeds_needed": "Int64"})


def format_claim(judged: JudgedClaim) -> list[tuple[str, ...]]:
    """Return a row for each variant that a claim is about, as text in the order of `HEADINGS`."""
    claim, rows = judged.claim, list[tuple[str, ...]]()
    rival = "" if claim.rival is None or claim.along else f" {claim.comparison} {', '.join(claim.rival.values())}"
    for verdict in judged.verdicts:
        found, metric = verdict.judgement, verdict.metric
        if claim.at is not None:
            metric += f" at step {claim.at}"
        elif claim.until is not None:
            metric = f"steps until {metric} is {claim.until:g}"
        elif claim.rate is not None:
            metric = f"share of runs with {metric} of {claim.rate:g}"
        if claim.along is not None:
            metric += f", per {claim.per} of {claim.along}"
        numbers = format_number(found.estimate), format_interval(found.low, found.high), _format_region(claim.region)
        wins = f"{verdict.wins} of {found.n}" if found.n else "0"
        rows.append((verdict.variant + rival, metric, *numbers, wins, _describe_outcome(verdict)))
    return rows


def write_remarks(judged: JudgedClaim) -> str:
    """Return the notes on variants, hash and date of the claim, and how many runs had ended before it was made."""
    rows = zip(format_claim(judged), judged.verdicts, strict=True)
    remarks = [f"{name}: {note}." for (name, *_), verdict in rows for note in verdict.notes]
    noted = judged.noted
    late = f", added after {noted.runs_before} run{'s' * (noted.runs_before != 1)}" if noted.runs_before else ""
    return " ".join([*remarks, f"Claim {noted.hash} of {noted.date}{late}."])


def _describe_outcome(verdict: Verdict) -> str:
    found = verdict.judgement
    if found.outcome != "undecided" or verdict.obstacle:
        return found.outcome
    if found.n >= LAST_LOOK:
        return f"undecided after {LAST_LOOK} seeds"
    if found.seeds_needed is None:
        return f"undecided: probably too close for {LAST_LOOK} seeds"
    return f"undecided: about {found.seeds_needed} more seed{'s' * (found.seeds_needed != 1)} per side"


def _format_region(region: tuple[float, float]) -> str:
    """Return `at least 0.5`, `at most 2` or `−0.005 to 0.005`."""
    low, high = (f"{end:g}".replace("-", "−") for end in region)
    if math.isinf(region[1]):
        return f"at least {low}"
    return f"at most {high}" if math.isinf(region[0]) else f"{low} to {high}"
