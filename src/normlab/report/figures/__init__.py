"""Figures of a report; `draw` writes all of them."""

from normlab.report.figures.sequence import draw as draw
