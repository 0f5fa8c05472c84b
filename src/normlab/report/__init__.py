"""From run directories to tables, figures, a page and TensorBoard; `load` gives the frames behind them to notebooks."""

from normlab.report.load import Results, load

__all__ = ["Results", "load"]
