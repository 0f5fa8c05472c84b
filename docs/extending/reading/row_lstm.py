"""An LSTM that reads an image row by row, and classifies it from its last state."""

from collections.abc import Callable

from torch import Tensor, nn

from normlab.models.layers import make_dense_block


class RowLSTM(nn.Module):
    """LSTM over rows, then a block with the normalizer, then logits.

    The LSTM is written out (Hochreiter and Schmidhuber, Long Short-Term Memory, 1997, with a forget gate), because
    `torch.func.vmap`, which trains populations, has no rule for `nn.LSTM`. With `nn.LSTM` its runs train one by one.

    Args:
        input_shape: (C, H, W) of the images; a step of the LSTM reads the C · W values of a row.
        num_classes: K.
        normalizer: from a number of features to a layer.
        hidden: size of the state.
        activation: of the block.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        normalizer: Callable[[int], nn.Module],
        hidden: int = 32,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        channels, _, width = input_shape
        self.hidden = hidden
        self.from_row = nn.Linear(channels * width, 4 * hidden)
        self.from_state = nn.Linear(hidden, 4 * hidden, bias=False)
        self.block = make_dense_block(hidden, hidden, normalizer, activation)
        self.logits = nn.Linear(hidden, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, K)."""
        rows = self.from_row(images.transpose(1, 2).flatten(start_dim=2))  # (N, H, 4 · hidden)
        state = memory = rows.new_zeros(len(rows), self.hidden)
        for row in rows.unbind(dim=1):
            input_gate, forget_gate, output_gate, new = (row + self.from_state(state)).chunk(4, dim=-1)
            memory = forget_gate.sigmoid() * memory + input_gate.sigmoid() * new.tanh()
            state = output_gate.sigmoid() * memory.tanh()
        logits: Tensor = self.logits(self.block(state))
        return logits
