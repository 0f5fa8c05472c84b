"""From run directories to tables, figures, a page and TensorBoard; `load.py` gives the frames behind them."""
