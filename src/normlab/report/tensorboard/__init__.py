"""What a report adds to TensorBoard: mean curves of variants, the comparison's layout, figures and texts."""
