"""A batch-normalized LSTM written from the paper in plain PyTorch: a reference for numbers and for speed.

Cooijmans et al., Recurrent Batch Normalization, 2016, equations 6 to 8, with statistics for each time step.
https://arxiv.org/abs/1603.09025
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class PlainLSTM(nn.Module):
    """Reads sequences (N, T, I) and returns logits (N, K) of the last state.

    Args:
        inputs, hidden, classes: I, H and K.
        steps: T, with batch normalization of each; 0 for none.
    """

    def __init__(self, inputs: int, hidden: int, classes: int, steps: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.w_x = nn.Parameter(torch.empty(4 * hidden, inputs))
        self.w_h = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.b = nn.Parameter(torch.zeros(4 * hidden))
        self.output = nn.Linear(hidden, classes)
        self.normalizes = steps > 0
        if self.normalizes:
            widths = {"x": 4 * hidden, "h": 4 * hidden, "c": hidden}
            self.gammas = nn.ParameterDict({name: torch.full((width,), 0.1) for name, width in widths.items()})
            self.betas = nn.ParameterDict({name: torch.zeros(width) for name, width in widths.items()})
            for name, width in widths.items():
                self.register_buffer(f"mean_{name}", torch.zeros(steps, width))
                self.register_buffer(f"variance_{name}", torch.ones(steps, width))

    def forward(self, sequences: Tensor) -> Tensor:
        wx = functional.linear(sequences.transpose(0, 1), self.w_x)
        h = c = wx.new_zeros(len(sequences), self.hidden)
        for t, wx_t in enumerate(wx.unbind(0)):
            gates = self.normalize("x", t, wx_t) + self.normalize("h", t, functional.linear(h, self.w_h)) + self.b
            f, i, o, g = gates.chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(self.normalize("c", t, c))
        logits: Tensor = self.output(h)
        return logits

    def normalize(self, name: str, t: int, values: Tensor) -> Tensor:
        if not self.normalizes:
            return values
        mean, variance = self.get_buffer(f"mean_{name}")[t], self.get_buffer(f"variance_{name}")[t]
        return functional.batch_norm(values, mean, variance, self.gammas[name], self.betas[name], self.training)


def train(
    network: nn.Module,
    make_optimizer: Callable[..., torch.optim.Optimizer],
    batches: Callable[[int], tuple[Tensor, Tensor]],
    steps: int,
) -> list[Tensor]:
    """Return the losses before each of some updates."""
    optimizer = make_optimizer(network.parameters())
    losses = []
    for step in range(steps):
        inputs, labels = batches(step)
        optimizer.zero_grad()
        loss = functional.cross_entropy(network(inputs), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.detach())
    return losses
