"""Networks and updates of normlab against those written from the papers in plain PyTorch, in `benchmarks`."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from against_plain import copy_parameters
from plain_lstm import PlainLSTM
from plain_resnet import PlainResNet, train
from plain_transformer import PlainTransformer
from torch import nn

from normlab.training.module import TrainingModule

from ..choices import tiny
from ..population.test_stack import members

UPDATES = 50

NORMS: dict[str, Any] = {"none": lambda features: nn.Identity(), "batch": nn.BatchNorm1d}


def assert_losses_agree(plain: nn.Module, *overrides: str) -> None:
    """Compare losses and weights of updates in float64 that start from the same weights and see the same batches."""
    module: TrainingModule = members(*overrides, "optimizer=momentum", "optimizer.lr=0.02", seeds=(0,))[0]
    plain.double().train()
    copy_parameters(module.network, plain)
    start = copy.deepcopy(plain)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.02, momentum=0.9)
    expected = train(plain, map(module.batches.batch, range(UPDATES)), optimizer)
    losses = torch.stack([module.step(step) for step in range(UPDATES)])
    torch.testing.assert_close(losses, expected, rtol=1e-9, atol=0)
    ends = copy.deepcopy(plain)
    copy_parameters(module.network, ends)
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(ends.get_parameter(name), parameter, rtol=1e-7, atol=1e-9)
        assert not torch.equal(parameter, start.get_parameter(name))


@pytest.mark.parametrize(
    ("residual", "normalizer"),
    [
        *((residual, normalizer) for residual in ("none", "identity", "skipinit") for normalizer in NORMS),
        ("fixup", "none"),
    ],
)
@pytest.mark.parametrize("n", [1, 2])
def test_the_residual_network_changes_as_the_one_written_from_the_papers(
    residual: str, normalizer: str, n: int
) -> None:
    plain = PlainResNet(1, 10, n, 4, residual, normalized=normalizer == "batch")
    settings = (f"normalizer={normalizer}", f"model.residual={residual}", f"model.depth={6 * n + 2}")
    assert_losses_agree(plain, *tiny("resnet"), *settings)


@pytest.mark.parametrize("normalizer", ["normalizer=none", "normalizer=batch normalizer.initial_scale=0.1"])
def test_the_lstm_changes_as_the_one_written_from_the_paper(normalizer: str) -> None:
    settings = ("model.reads=pixels", "model.image_size=4", *normalizer.split())
    assert_losses_agree(PlainLSTM(4, 10, "batch" in normalizer), *tiny("lstm"), *settings)


@pytest.mark.parametrize("placement", ["pre", "post", "peri", "none"])
@pytest.mark.parametrize("normalizer", NORMS)
@pytest.mark.parametrize(
    ("model", "make"),
    [
        ("vit", partial(PlainTransformer, 0, 4, 10, depth=2, patch=5)),
        ("language_model", partial(PlainTransformer, 7, 6, 7, depth=2)),
    ],
    ids=["vit", "language_model"],
)
def test_the_transformers_change_as_those_written_from_the_papers(
    model: str, make: Any, normalizer: str, placement: str
) -> None:
    settings = (f"normalizer={normalizer}", f"model.placement={placement}", "model.dim=64", "model.heads=4")
    assert_losses_agree(make(norm=NORMS[normalizer], placement=placement), *tiny(model), *settings)


def test_the_vision_transformer_changes_so_with_layer_normalization() -> None:
    plain = PlainTransformer(0, 4, 10, depth=2, norm=nn.LayerNorm, placement="pre", patch=5)
    settings = ("normalizer._target_=torch.nn.LayerNorm", "model.dim=64", "model.heads=4")
    assert_losses_agree(plain, *tiny("vit"), *settings)
