"""ScaleNorm: each example is scaled to one length over its channels.

Source: Nguyen and Salazar, Transformers without Tears: Improving the Normalization of Self-Attention, 2019, equation 2.
https://arxiv.org/abs/1910.05895
"""

import math

import torch
from torch import Tensor, nn


class ScaleNorm(nn.Module):
    """g · x / max(‖x‖, eps), with the norm over the channels and one learned g, √C at the start.

    Args:
        num_features: channels C of inputs (N, C), (N, C, L) or (N, C, H, W).
        eps: smallest norm to divide by.
    """

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.scale = nn.Parameter(torch.tensor(math.sqrt(num_features)))

    def forward(self, inputs: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(inputs, dim=1, keepdim=True)
        outputs: Tensor = self.scale * inputs / norm.clamp(min=self.eps)
        return outputs
