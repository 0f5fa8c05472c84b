"""A batch-normalized LSTM written from the paper in plain PyTorch: a reference for numbers and for speed.

Cooijmans et al., Recurrent Batch Normalization, 2016, equations 6 to 8, with statistics for each time step.
https://arxiv.org/abs/1603.09025

Command: python benchmarks/plain_lstm.py (about a minute on one core)
"""

import torch
from against_plain import compare
from plain_resnet import train
from torch import Tensor, nn
from torch.nn import functional


class PlainLSTM(nn.Module):
    """Reads the pixels of images (N, 1, H, W), one at each step, and returns logits (N, K) of the last state.

    Args:
        side: of the square that images are shrunk to.
        hidden: size of the state.
        normalizes: with batch normalization, scales starting at 0.1.
    """

    def __init__(self, side: int, hidden: int, normalizes: bool) -> None:
        super().__init__()
        self.side, self.hidden, self.normalizes = side, hidden, normalizes
        self.b = nn.Parameter(torch.zeros(4 * hidden))
        self.w_x = nn.Parameter(torch.empty(4 * hidden, 1))
        self.w_h = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.affine = nn.ParameterDict()
        if normalizes:
            for name, width in (("x", 4 * hidden), ("h", 4 * hidden), ("c", hidden)):
                self.affine[f"gamma_{name}"] = torch.full((width,), 0.1)
                self.affine[f"beta_{name}"] = torch.zeros(width)
                self.register_buffer(f"mean_{name}", torch.zeros(side**2, width))
                self.register_buffer(f"variance_{name}", torch.ones(side**2, width))
        self.output = nn.Linear(hidden, 10)

    def forward(self, images: Tensor) -> Tensor:
        pixels = functional.adaptive_avg_pool2d(images, self.side).flatten(1)
        wx = functional.linear(pixels.T.unsqueeze(2), self.w_x)
        h = c = wx.new_zeros(len(images), self.hidden)
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
        gamma, beta = self.affine[f"gamma_{name}"], self.affine[f"beta_{name}"]
        return functional.batch_norm(values, mean, variance, gamma, beta, self.training)


SETTINGS = "model=lstm model.reads=pixels model.image_size=8 model.hidden=50"

if __name__ == "__main__":
    plain = {
        f"{SETTINGS} normalizer=none": lambda: PlainLSTM(8, 50, normalizes=False),
        f"{SETTINGS} normalizer=batch normalizer.initial_scale=0.1": lambda: PlainLSTM(8, 50, normalizes=True),
    }
    compare(__doc__, plain, train)
