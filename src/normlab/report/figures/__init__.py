"""The figures of a report: `draw` writes every one that the runs give."""

from normlab.report.figures.sequence import draw as draw
