"""A residual network and its training loop, written from the papers in plain PyTorch, against those of normlab.

He et al., 2015, arXiv:1512.03385, sections 3.3 and 4.2; De and Smith, 2020, arXiv:2002.10444; Zhang et al., 2019,
arXiv:1901.09321, section 3.2. Both sides make the same updates on the same batches, in turn; the losses agree.

Command: python benchmarks/plain_resnet.py (about 2 minutes on one core)
"""

from collections.abc import Iterable
from functools import partial

import torch
from against_plain import compare
from torch import Tensor, nn
from torch.nn import functional


class PlainBlock(nn.Module):
    """Two convolutions, with normalization if asked for, and a shortcut of any kind; Fixup has no normalization."""

    def __init__(self, inputs: int, outputs: int, stride: int, residual: str, normalized: bool) -> None:
        super().__init__()
        self.inputs, self.outputs, self.stride = inputs, outputs, stride
        self.residual, self.normalized = residual, normalized
        bias = not normalized and residual != "fixup"
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=bias)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=bias)
        if normalized:
            self.norm1, self.norm2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        if residual == "skipinit":
            self.alpha = nn.Parameter(torch.zeros(()))
        if residual == "fixup":
            self.bias1a, self.bias1b, self.bias2a = (nn.Parameter(torch.zeros(())) for _ in range(3))
            self.scale, self.bias2b = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        if self.stride == 2:
            shortcut = x[:, :, ::2, ::2]
        if self.outputs > self.inputs:
            missing = self.outputs - self.inputs
            shortcut = torch.cat([shortcut, shortcut.new_zeros(len(x), missing, *shortcut.shape[2:])], dim=1)
        if self.residual == "fixup":
            branch = self.conv1(x + self.bias1a) + self.bias1b
            branch = self.scale * self.conv2(torch.relu(branch) + self.bias2a) + self.bias2b
        else:
            branch = self.conv1(x)
            branch = torch.relu(self.norm1(branch) if self.normalized else branch)
            branch = self.conv2(branch)
            branch = self.norm2(branch) if self.normalized else branch
        if self.residual == "none":
            return torch.relu(branch)
        if self.residual == "skipinit":
            branch = self.alpha * branch
        return torch.relu(shortcut + branch)


class PlainResNet(nn.Module):
    def __init__(self, channels: int, classes: int, n: int, width: int, residual: str, normalized: bool) -> None:
        super().__init__()
        self.residual, self.normalized = residual, normalized
        if residual == "fixup":
            self.bias_out, self.bias_in, self.bias1 = (nn.Parameter(torch.zeros(())) for _ in range(3))
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=not normalized and residual != "fixup")
        if normalized:
            self.norm1 = nn.BatchNorm2d(width)
        blocks = [PlainBlock(width, width, 1, residual, normalized) for _ in range(n)]
        for wide in (2 * width, 4 * width):
            blocks.append(PlainBlock(wide // 2, wide, 2, residual, normalized))
            blocks += [PlainBlock(wide, wide, 1, residual, normalized) for _ in range(n - 1)]
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x + self.bias_in) + self.bias1 if self.residual == "fixup" else self.conv1(x)
        x = self.blocks(torch.relu(self.norm1(x) if self.normalized else x)).mean(dim=(2, 3))
        logits: Tensor = self.fc(x + self.bias_out if self.residual == "fixup" else x)
        return logits


def train(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], optimizer: torch.optim.Optimizer) -> Tensor:
    """Make an update for each batch of images or tokens; return the losses before them."""
    losses = []
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss = functional.cross_entropy(network(inputs).flatten(end_dim=-2), targets.flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def main() -> None:
    plain = {
        f"model=resnet model.depth=8 model.residual={residual} normalizer={normalizer}": partial(
            PlainResNet, 1, 10, n=1, width=16, residual=residual, normalized=normalizer == "batch"
        )
        for normalizer, residuals in {
            "none": ("none", "identity", "skipinit", "fixup"),
            "batch": ("none", "identity"),
        }.items()
        for residual in residuals
    }
    compare(__doc__, plain, train)


if __name__ == "__main__":
    main()
