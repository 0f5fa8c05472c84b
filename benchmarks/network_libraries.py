"""torchvision and timm beside a CPU build of torch: references for networks, layers and their speed."""

import importlib
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

FOLDER = Path(sys.prefix) / "networks"
"""Apart from the environment, where Lightning would import a torchvision that does not fit this build of torch."""

OPERATORS = (
    *("nms", "qnms", "roi_align", "_roi_align_backward", "qroi_align", "roi_pool", "_roi_pool_backward"),
    *("ps_roi_align", "_ps_roi_align_backward", "ps_roi_pool", "_ps_roi_pool_backward"),
    *("deform_conv2d", "_deform_conv2d_backward"),
)
"""Compiled operators of torchvision, which its modules look up when they are imported; nothing here calls them."""


def import_network_library(name: str) -> ModuleType:
    """Import a module of torchvision or timm from the folder that `make test` fills.

    The folder is on the path for this import alone: child processes inherit the path.

    Raises:
        ModuleNotFoundError: the folder is missing.
    """
    _declare_operators()
    sys.path.append(str(FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))


@cache
def _declare_operators() -> torch.library.Library:
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in OPERATORS:
        library.define(f"{operator}(Tensor a) -> Tensor")  # type: ignore[no-untyped-call]
    return library


class OverLastAxis(nn.Module):
    """A layer of the last axis, applied to axis 1."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layer(inputs.movedim(1, -1))
        return outputs.movedim(-1, 1)
