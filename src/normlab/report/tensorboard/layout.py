"""What TensorBoard's Custom Scalars page shows: variants with their intervals first, then every run's curves."""

import re
from collections.abc import Sequence

from tensorboard.plugins.custom_scalar.layout_pb2 import (  # type: ignore[import-untyped]
    Category,
    Chart,
    Layout,
    MarginChartContent,
    MultilineChartContent,
)

COMPARISON = "With against without: mean of each variant, and its 95 % interval where it has several runs"
EVERY_RUN = "Every run, and the mean of each variant"
LAYOUT_VERSION = 0


def margin_tags(metric: str) -> tuple[str, str, str]:
    """Return the tags of the mean and of both ends of its interval.

    No training run has any of the three: where a run has one of them alone, the page warns of missing tags. The first
    part puts them in a group of their own, which comes behind all that runs write.
    """
    group = f"variants/{metric}"
    return f"{group}/mean", f"{group}/mean_lower", f"{group}/mean_upper"


def layout_of(metrics: Sequence[str]) -> Layout:
    """Return two open categories with a chart per metric each; none where there are no metrics."""
    # The page shows margin charts of one category last one first (seen with 2.21; it keeps other charts' order).
    of_variants = [Chart(title=metric, margin=_margin(metric)) for metric in reversed(metrics)]
    of_runs = [
        Chart(title=metric, multiline=MultilineChartContent(tag=[f"^{re.escape(metric)}$"])) for metric in metrics
    ]
    categories = [
        Category(title=title, chart=charts, closed=False)
        for title, charts in ((COMPARISON, of_variants), (EVERY_RUN, of_runs))
        if charts
    ]
    return Layout(version=LAYOUT_VERSION, category=categories)


def _margin(metric: str) -> MarginChartContent:
    # One series a chart: a run that lacks all tags of several would be warned of.
    value, lower, upper = margin_tags(metric)
    return MarginChartContent(series=[MarginChartContent.Series(value=value, lower=lower, upper=upper)])
