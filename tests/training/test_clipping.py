"""Clipping does what torch's and timm's functions do, to one network, to each member of a population, and in runs."""

import copy
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from network_libraries import import_network_library
from torch import Tensor, nn

import normlab
from normlab.errors import ConfigurationError
from normlab.runs.run import Run
from normlab.training.clipping import AdaptiveClip, NormClip
from normlab.training.recipe import Recipe

Reference = Callable[[nn.Module], Any]

SHAPES = {"scalar": (), "bias": (5,), "dense": (5, 7), "filters": (5, 3, 2, 2), "head": (4, 5)}


class Parameters(nn.Module):
    """Parameters of all shapes with gradients of sizes between 0 and 3, some larger than what clipping leaves."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        for name, shape in SHAPES.items():
            weights, gradients = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
            weights = weights * (torch.rand(shape[:1] + (1,) * (len(shape) - 1), generator=generator) > 0.3)
            parameter = nn.Parameter(weights)
            parameter.grad = gradients * 10 ** (torch.rand(shape, generator=generator) * 6 - 5.5)
            self.register_parameter(name, parameter)


def clip_with_torch(largest: float) -> Reference:
    return lambda network: nn.utils.clip_grad_norm_(network.parameters(), largest)


def clip_with_timm(factor: float, eps: float) -> Reference:
    def clip(network: nn.Module) -> None:
        timm = import_network_library("timm.utils.agc")
        timm.adaptive_clip_grad([value for name, value in network.named_parameters() if name != "head"], factor, eps)

    return clip


CASES = {
    "norm": (NormClip(0.7), clip_with_torch(0.7)),
    "norm above all": (NormClip(1e6), clip_with_torch(1e6)),
    "adaptive": (AdaptiveClip(), clip_with_timm(0.01, 1e-3)),
    "adaptive, other settings": (AdaptiveClip(0.1, 0.5), clip_with_timm(0.1, 0.5)),
}
every_case = pytest.mark.parametrize(("clip", "reference"), CASES.values(), ids=CASES)


@every_case
def test_a_network_and_every_member_of_a_population_are_clipped_as_by_the_reference(
    clip: Any, reference: Reference
) -> None:
    recipe = Recipe(clip=clip, outputs={"head"})
    networks = [Parameters(seed) for seed in range(4)]
    expected = copy.deepcopy(networks)
    for network, other in zip(networks, expected, strict=True):
        for name, parameter in network.named_parameters():
            other.get_parameter(name).grad = None if parameter.grad is None else parameter.grad.clone()
        reference(other)
    stacks = {}
    for name, first in networks[0].named_parameters():
        by_member = [network.get_parameter(name) for network in networks]
        stacks[name] = torch.stack([each.detach() for each in by_member]).requires_grad_()
        stacks[name].grad = torch.stack([each.grad for each in by_member if each.grad is not None])
        assert first.grad is not None
    recipe.adjust_gradients(stacks, stacked=True)
    for number, (network, other) in enumerate(zip(networks, expected, strict=True)):
        recipe.adjust_gradients(dict(network.named_parameters()))
        for name, parameter in other.named_parameters():
            stacked = stacks[name].grad
            assert stacked is not None
            torch.testing.assert_close(network.get_parameter(name).grad, parameter.grad, rtol=1e-12, atol=0)
            torch.testing.assert_close(stacked[number], parameter.grad, rtol=1e-12, atol=0)


def compose(place: Path, *overrides: str) -> Run:
    return normlab.compose(
        *("data=digits", "steps=12", "normalizer=batch", "model=convnet", "model.channels=[4,8]"),
        *("observe.val={first: 4, every: 4}", "evaluate.one_by_one=0", f"output_root={place}"),
        *overrides,
    )


def weights_of(run: Run) -> dict[str, Tensor]:
    network: dict[str, Tensor] = torch.load(run.directory.checkpoint, weights_only=True)["network"]
    return network


@pytest.mark.parametrize(
    "overrides",
    [
        ("gradient=clip_norm", "gradient.max_norm=0.1"),
        ("gradient=adaptive_clip",),
        ("gradient=clip_norm", "gradient.max_norm=0.1", "optimizer=adam", "accelerator.precision=16-mixed"),
        ("gradient=adaptive_clip", "accelerator.precision=16-mixed"),
    ],
    ids=" ".join,
)
def test_lightning_clips_by_the_recipe_too(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    chunks = compose(tmp_path, *overrides)
    batches = compose(tmp_path, *overrides, "+callbacks.inert._target_=pytorch_lightning.Callback")
    plain = compose(tmp_path, *overrides[2 if "clip_norm" in overrides[0] else 1 :])
    for run in (chunks, batches, plain):
        assert normlab.train(run).status == "finished"
    assert chunks.directory.metrics.read_bytes() == batches.directory.metrics.read_bytes()
    assert all(torch.equal(value, weights_of(batches)[name]) for name, value in weights_of(chunks).items())
    assert chunks.directory.metrics.read_bytes() != plain.directory.metrics.read_bytes()


def test_clipping_by_norm_leaves_the_weights_of_lightnings_own(tmp_path: Path) -> None:
    ours = compose(tmp_path, "gradient=clip_norm", "gradient.max_norm=0.1")
    lightnings = compose(tmp_path, "+trainer.gradient_clip_val=0.1")
    for run in (ours, lightnings):
        assert normlab.train(run).status == "finished"
    for name, value in weights_of(lightnings).items():
        torch.testing.assert_close(weights_of(ours)[name], value, rtol=1e-4, atol=1e-6)


class Raises:
    def __call__(self, weights: Any, gradients: Any, outputs: Collection[str]) -> None:
        raise RuntimeError("a clip of one's own")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("gradient=clip_norm", "gradient.max_norm=0"), "gradient: .*max_norm must be above 0, got 0"),
        (("gradient=adaptive_clip", "gradient.factor=-1"), "gradient: .*factor must be above 0, got -1"),
        (("gradient=clip_norm", "gradient.max_norm=much"), r"gradient\.max_norm='much' has the wrong type"),
        (("gradient=clip_norm", "+trainer.gradient_clip_val=1"), "would both clip: .* choose gradient=none"),
        (
            (f"gradient._target_={__name__}.Raises",),
            "a training step .* fails: RuntimeError: a clip of one's own",
        ),
    ],
)
def test_clipping_that_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        normlab.train(compose(tmp_path, *overrides))
    assert list(tmp_path.iterdir()) == []
