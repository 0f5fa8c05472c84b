"""Networks of torchvision, timm and one's own, with their normalization layers replaced."""

import copy
import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from network_libraries import import_network_library
from torch import Tensor, nn

from normlab.config.compose import compose
from normlab.errors import ConfigurationError
from normlab.models import ImportedNetwork
from normlab.models.layers import list_places
from normlab.models.replacing import replace_normalizations
from normlab.normalizers import BatchNorm
from normlab.population.check import reason_not_vectorizable
from normlab.training.build import build
from normlab.training.checkpoints import capture_state, restore
from normlab.training.module import TrainingModule
from normlab.training.run import restore_network, train

from ..small_digits import SMALL
from ..small_network import SmallNetwork

RESNET = ("timm.create_model", "+model.network.model_name=test_resnet")
"""Scales of its last layers start at 0."""
PREACTIVATION = (
    "timm.models.resnetv2.resnetv2_18",
    *("+model.network.layers=[1,1,1,1]", "+model.network.channels=[8,8,16,16]"),
)
"""Its layers include an activation."""
VIT = (
    "timm.create_model",
    *("+model.network.model_name=vit_tiny_patch16_224", "+model.network.img_size=28"),
    *("+model.network.patch_size=7", "+model.network.depth=2"),
)
"""Its layers are passed tokens (N, T, C)."""
SWIN = (
    "timm.models.swin_transformer.swin_tiny_patch4_window7_224",
    *("+model.network.img_size=28", "+model.network.patch_size=2", "+model.network.embed_dim=16"),
    *("+model.network.depths=[1,1]", "+model.network.num_heads=[2,4]", "+model.network.drop_path_rate=0"),
)
"""Its layers are passed maps (N, H, W, C)."""
GROUP = ("normalizer=group", "normalizer.groups=2")
LAYER = ("normalizer=layer", "normalizer.eps=1e-5")


def module_of(target: str, *overrides: str) -> TrainingModule:
    """The training module of a run, in training mode."""
    if target.partition(".")[0] in ("torchvision", "timm"):
        import_network_library("torchvision.models")
        import_network_library("timm")
    own = () if target.partition(".")[0] in ("torchvision", "timm") else (SMALL,)
    settings = ("data=digits", *own, "model=imported", f"model.network._target_={target}", "batch_size=8")
    return build(compose(*settings, "optimizer.lr=0.01", *overrides).settings).module.train()


def here(name: str) -> str:
    return f"{__name__}.{name}"


def library(name: str, seed: int = 0) -> Callable[..., Any]:
    """A function of torchvision or timm, called with torch's generator as a run seeds it."""
    module, _, function = name.rpartition(".")

    def call(*args: Any, **kwargs: Any) -> Any:
        torch.manual_seed(seed)
        return getattr(import_network_library(module), function)(*args, **kwargs)

    return call


def batch_of(module: TrainingModule) -> tuple[Tensor, Tensor]:
    images, labels = module.batches.batch(0)
    return images.double(), labels


def assert_computes_the_same(module: TrainingModule, reference: nn.Module) -> None:
    """Compare in float64: the logits at start, after two steps, and in inference."""
    images, labels = batch_of(module)
    network, reference = module.network.double(), reference.double().train()
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.01) for each in (network, reference)]
    for _ in range(2):
        logits, expected = network(images), reference(images.expand(-1, 3, -1, -1))
        torch.testing.assert_close(logits, expected, rtol=1e-8, atol=1e-9)
        for optimizer, outputs in zip(optimizers, (logits, expected), strict=True):
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(outputs, labels))
            optimizer.step()
    logits, expected = network.eval()(images), reference.eval()(images.expand(-1, 3, -1, -1))
    torch.testing.assert_close(logits, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("target", "normalizer"),
    [
        (("torchvision.models.resnet18",), ("normalizer=batch",)),
        (RESNET, ("normalizer=batch",)),
        (PREACTIVATION, ("normalizer=batch",)),
        (VIT, (*LAYER, "normalizer.eps=1e-6")),
        (SWIN, LAYER),
    ],
    ids=lambda value: " ".join(value[:2]),
)
def test_with_the_layers_that_it_has_a_network_computes_what_it_does_untouched(
    target: tuple[str, ...], normalizer: tuple[str, ...]
) -> None:
    module = module_of(*target, *normalizer, "seed=3")
    network = compose("model=imported", f"model.network._target_={target[0]}", *target[1:]).settings["model"]["network"]
    arguments = {name: value for name, value in network.items() if not name.startswith("_")}
    assert_computes_the_same(module, library(target[0], seed=3)(num_classes=10, **arguments))


@pytest.mark.parametrize(
    ("normalizer", "layer"),
    [(GROUP, partial(nn.GroupNorm, 2)), (("normalizer=none",), nn.Identity)],
    ids=["group", "none"],
)
def test_another_normalizer_computes_what_torchvision_does_with_it(
    normalizer: tuple[str, ...], layer: Callable[[int], nn.Module]
) -> None:
    module = module_of("torchvision.models.resnet18", *normalizer)
    if layer is nn.Identity:
        reference = library("torchvision.models.resnet18")(num_classes=10)
        for name, part in [*reference.named_modules()]:
            if isinstance(part, nn.BatchNorm2d):
                reference.set_submodule(name, nn.Identity())
    else:
        reference = library("torchvision.models.resnet18")(num_classes=10, norm_layer=layer)
    assert_computes_the_same(module, reference)


@pytest.mark.parametrize(
    ("target", "normalizer"),
    [
        (("torchvision.models.resnet18",), ("normalizer=batch",)),
        (RESNET, GROUP),
        (PREACTIVATION, ("normalizer=none",)),
        (VIT, ("normalizer=batch",)),
        (VIT, ("normalizer=layer_channels",)),
    ],
    ids=lambda value: " ".join(value[:2]),
)
def test_seeds_of_an_imported_network_train_together(target: tuple[str, ...], normalizer: tuple[str, ...]) -> None:
    members = [module_of(*target, *normalizer, f"seed={seed}") for seed in (0, 1)]
    assert reason_not_vectorizable(members) is None
    assert torch.stack([members[0].step(step) for step in range(2)]).isfinite().all()


def test_dropout_trains_alone_for_a_reason() -> None:
    members = [module_of(*VIT, "+model.network.drop_rate=0.5", f"seed={seed}") for seed in (0, 1)]
    assert "random" in (reason_not_vectorizable(members) or "")


@pytest.mark.parametrize("normalizer", ["none", "batch", "noisy_batch"])
def test_training_goes_on_from_a_checkpoint_to_the_same_weights(normalizer: str) -> None:
    whole, first, second = (module_of("tests.small_network.SmallNetwork", f"normalizer={normalizer}") for _ in range(3))
    for step in range(6):
        whole.step(step)
    for step in range(3):
        first.step(step)
    restore(second, copy.deepcopy(capture_state(first)))
    for step in range(3, 6):
        second.step(step)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name


def test_record_and_log_say_what_was_replaced_and_the_network_is_restored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = f"model.network._target_={here('WithOtherLayers')}"
    run = compose(
        "data=digits", SMALL, "model=imported", target, "normalizer=batch", "steps=2", f"output_root={tmp_path}"
    )
    with caplog.at_level(logging.INFO):
        record = train(run)
    assert record.replaced == {
        "network.norm1": "BatchNorm2d → BatchNorm",
        "network.norm2": "BatchNorm2d → BatchNorm",
        "network.local": "network.local (LocalResponseNorm) kept",
        "network.whole": "network.whole (LayerNorm) kept",
    }
    line = "2 × BatchNorm2d → BatchNorm, 1 × network.local (LocalResponseNorm) kept, 1 × network.whole (LayerNorm) kept"
    assert f"{run.id}: {line}" in caplog.messages
    assert run.directory.read() == record
    state = torch.load(run.directory.checkpoint, weights_only=True)["network"]
    restored = restore_network(run.directory.path)
    assert all(torch.equal(value, state[name]) for name, value in restored.state_dict().items())


class WithOtherLayers(nn.Sequential):
    """Normalization layers of which some can be replaced, one of them at two places."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=3)
        self.norm1 = nn.BatchNorm2d(4)
        self.local = nn.LocalResponseNorm(2)
        self.whole = nn.LayerNorm((4, 3, 3))
        self.norm2 = self.norm1
        self.flat = nn.Flatten()
        self.output = nn.Linear(36, num_classes)


@pytest.mark.parametrize(
    ("layer", "arguments", "shape", "axis"),
    [
        ("torch.nn.BatchNorm1d", (5,), (6, 5, 5), 1),
        ("torch.nn.BatchNorm3d", (5,), (6, 5), 1),
        ("torch.nn.SyncBatchNorm", (5,), (6, 5, 5, 5), 1),
        ("torch.nn.InstanceNorm2d", (5,), (6, 5, 5, 5), 1),
        ("torch.nn.GroupNorm", (1, 5), (6, 5, 5, 5), 1),
        ("torch.nn.LayerNorm", (5,), (6, 5), -1),
        ("torch.nn.LayerNorm", (5,), (6, 5, 5), -1),
        ("torch.nn.LayerNorm", (5,), (6, 5, 5, 5), -1),
        ("torch.nn.RMSNorm", (5,), (6, 5, 5), -1),
        ("torchvision.ops.misc.FrozenBatchNorm2d", (5,), (6, 5, 5, 5), 1),
        ("torchvision.models.convnext.LayerNorm2d", (5,), (6, 5, 5, 5), 1),
        ("timm.layers.LayerNorm2d", (5,), (6, 5, 5, 5), 1),
        ("timm.layers.GroupNorm1", (5,), (6, 5, 5, 5), 1),
        ("timm.layers.RmsNorm", (5,), (6, 5, 5), -1),
        ("timm.layers.RmsNorm2d", (5,), (6, 5, 5, 5), 1),
        ("timm.layers.SimpleNorm", (5,), (6, 5, 5), -1),
        ("timm.layers.FrozenBatchNormAct2d", (5,), (6, 5, 5, 5), 1),
        ("timm.layers.LayerNormAct", (5,), (6, 5, 5), -1),
        ("timm.layers.LayerNormAct2d", (5,), (6, 5, 5, 5), 1),
    ],
)
def test_the_normalizer_gets_the_channels_from_the_axis_of_the_layer_and_its_activation_follows(
    layer: str, arguments: tuple[int, ...], shape: tuple[int, ...], axis: int
) -> None:
    module, _, name = layer.rpartition(".")
    network = nn.Sequential(getattr(import_network_library(module), name)(*arguments))
    replace_normalizations(network, BatchNorm)
    inputs = torch.randn(shape)
    features_last = inputs.movedim(axis, -1)
    rows = features_last.flatten(end_dim=-2)
    expected = nn.BatchNorm1d(5)(rows).unflatten(0, features_last.shape[:-1]).movedim(-1, axis)
    torch.testing.assert_close(network(inputs), expected.relu() if "Act" in name else expected)


def test_a_layer_at_two_places_has_one_successor() -> None:
    network: Any = module_of(here("WithOtherLayers"), "normalizer=batch").network
    assert network.network.norm1 is network.network.norm2
    assert [name for name, _ in list_places(network)] == ["network.norm1"]


def test_only_the_classes_asked_for_are_replaced() -> None:
    network: Any = module_of("tests.small_network.SmallNetwork", "model.replace=[LayerNorm,GroupNorm]").network
    assert network.replaced == {"network.norm2": "GroupNorm → Identity", "network.norm3": "LayerNorm → Identity"}
    assert type(network.network.norm1) is nn.BatchNorm2d


class Trained(nn.Module):
    """Has left its start, as a network with trained weights has; it knows seven classes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, stride=3)
        self.norm = nn.BatchNorm2d(4)
        self.fresh = nn.BatchNorm2d(4)
        self.token = nn.Parameter(torch.randn(4))
        self.output = nn.Linear(4, 7)
        with torch.no_grad():
            self.first.weight.copy_(torch.arange(36.0).view(4, 1, 3, 3))
            for start, value in enumerate(self.norm.state_dict().values()):  # which share memory with the layer
                value.copy_(torch.arange(2.0 + start, 6.0 + start) if value.ndim else torch.tensor(start))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.output(self.fresh(self.norm(self.first(images))).mean((2, 3)) + self.token)
        return logits


def test_trained_weights_stay_and_trained_scales_shifts_and_averages_are_taken_over_where_they_fit() -> None:
    trained = Trained()
    with_batch: Any = module_of(here("Trained"), "normalizer=batch", "normalizer.initial_scale=0.1").network.network
    with_group: Any = module_of(here("Trained"), *GROUP).network.network
    with_biases: Any = module_of(here("Trained"), "normalizer=batch", "normalizer.scale=false").network.network
    for network in (with_batch, with_group, with_biases):
        assert torch.equal(network.first.weight, trained.first.weight)
    for name, value in trained.norm.state_dict().items():
        if name != "num_batches_tracked":
            assert torch.equal(with_batch.norm.normalizer.state_dict()[name], value)
    assert torch.equal(with_group.norm.normalizer.weight, trained.norm.weight)
    assert torch.equal(with_group.norm.normalizer.bias, trained.norm.bias)
    assert torch.equal(with_biases.norm.normalizer.bias, trained.norm.bias)
    assert (with_batch.fresh.normalizer.weight == 0.1).all()  # the layer before had not left its start


def test_the_run_initializes_linear_maps_and_normalizers_if_asked_to() -> None:
    own: Any = module_of(
        here("Trained"), "normalizer=batch", "normalizer.initial_scale=0.1", "model.initialize=true"
    ).network
    drawn = own.network.first.weight
    assert (own.network.norm.normalizer.weight == 0.1).all()
    assert not torch.equal(drawn, Trained().first.weight)
    assert drawn.abs().max() <= (6 / (9 + 36)) ** 0.5  # Glorot's bound


def test_an_output_layer_for_other_classes_is_replaced() -> None:
    network: Any = module_of(here("Trained"), "normalizer=batch").network
    assert network.network.output.out_features == 10
    assert network.replaced["network.output"] == "7 → 10 outputs"


def test_own_initial_values_depend_on_the_seed_alone() -> None:
    def values(normalizer: str, seed: int) -> dict[str, Tensor]:
        network = module_of("tests.small_network.SmallNetwork", f"normalizer={normalizer}", f"seed={seed}").network
        return {name: value for name, value in network.named_parameters() if "norm" not in name}

    first, second, other = values("none", 1), values("batch", 1), values("none", 2)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["network.mix.weight"], other["network.mix.weight"])


def test_own_initial_values_depend_on_nothing_drawn_before_and_move_no_generator() -> None:
    torch.manual_seed(4)
    one = ImportedNetwork(BatchNorm, partial(SmallNetwork), (1, 10, 10), 10).network.mix.weight
    drawn = torch.rand(3)
    other = ImportedNetwork(BatchNorm, partial(SmallNetwork), (1, 10, 10), 10).network.mix.weight
    assert torch.equal(one, other)
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(4)))


class PreActivation(nn.Module):
    """Its activation works in place on what the shortcut needs too, if the layer before gives back its input."""

    def __init__(self, num_classes: int, inplace: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, stride=3)
        self.norm = nn.BatchNorm2d(4)
        self.activation = nn.ReLU(inplace)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.output = nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.first(images)
        hidden = hidden + self.second(self.activation(self.norm(hidden)))
        logits: Tensor = self.output(hidden.mean((2, 3)))
        return logits


def test_an_activation_in_place_leaves_the_input_of_no_normalizer_alone() -> None:
    module = module_of(here("PreActivation"), "normalizer=none")
    torch.manual_seed(0)
    reference: Any = PreActivation(10, inplace=False)
    reference.norm = nn.Identity()
    images, _ = module.batches.batch(0)
    torch.testing.assert_close(module.network(images), reference(images))


class Encoder(nn.Module):
    """PyTorch's transformer, which in inference may compute its layer normalization by itself."""

    def __init__(self, num_classes: int, norm_first: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Linear(10, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.output = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.output(self.encoder(self.embedding(images.squeeze(1))).mean(1))
        return logits


def test_the_transformer_of_pytorch_uses_the_normalizer_in_inference_too() -> None:
    module = module_of(here("Encoder"), "normalizer=none")
    images, _ = module.batches.batch(0)
    with torch.no_grad():
        torch.testing.assert_close(module.network.eval()(images), module.network.train()(images))


class NextTokens(nn.Module):
    """A language model with a layer normalization."""

    def __init__(self, vocabulary_size: int, context: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, context)
        self.norm = nn.LayerNorm(context)
        self.output = nn.Linear(context, vocabulary_size)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.output(self.norm(self.embedding(tokens)))
        return logits


def test_a_network_for_tokens_is_built_for_them() -> None:
    module = module_of(here("NextTokens"), "normalizer=batch", "data._target_=tests.small_tokens.SmallTokens")
    assert torch.stack([module.step(step) for step in range(2)]).isfinite().all()


def test_grey_images_are_repeated_for_a_first_convolution_of_three_channels() -> None:
    module = module_of("torchvision.models.resnet18")
    images, _ = module.batches.batch(0)
    network: Any = module.network.eval()
    torch.testing.assert_close(network(images), network.network(images.repeat(1, 3, 1, 1)))
    grey: Any = module_of("timm.models.resnet.resnet18", "+model.network.in_chans=1").network.eval()
    torch.testing.assert_close(grey(images), grey.network(images))


class NoNormalizer(nn.Sequential):
    def __init__(self, num_classes: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(100, num_classes))


def no_network() -> int:
    return 1


@pytest.mark.parametrize(
    ("target", "overrides", "message"),
    [
        (here("NoNormalizer"), (), "no normalization layer that can be replaced: .* among Flatten, Linear"),
        (here("Trained"), ("model.replace=[BatchNorm]",), "replace names BatchNorm: choose among BatchNorm2d, Conv2d"),
        (here("Trained"), ("model.replace=BatchNorm2d",), "has the wrong type: it is a list"),
        (here("Trained"), ("normalizer=evonorm_b0",), "EvoNormB0 includes an activation.*: choose"),
        (here("Trained"), ("normalizer=group", "normalizer.channels_per_group=3"), r"network.norm has 4 features: "),
        (here("no_network"), (), r"no_network .* returns no torch.nn.Module"),
        (here("gone"), (), r"model.network._target_=.*gone cannot be imported"),
        ("???", (), "model.network._target_ has no value: "),
    ],
)
def test_a_mistake_is_one_message(target: str, overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as mistake:
        module_of(target, *overrides)
    assert len(str(mistake.value).splitlines()) == 1


def test_images_of_other_channels_than_the_first_convolution_takes_are_refused() -> None:
    import_network_library("torchvision.models")
    with pytest.raises(ValueError, match=r"network.conv1 takes 3 channels, and the images have 2: set"):
        ImportedNetwork(BatchNorm, partial(library("torchvision.models.resnet18")), (2, 28, 28), 10)


@pytest.mark.parametrize("package", ["torchvision", "timm"])
def test_a_missing_package_is_named_with_the_way_to_get_it(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    run = compose("data=digits", SMALL, "model=imported", f"model.network._target_={package}.models.resnet18")
    with pytest.raises(ConfigurationError, match=r"cannot be imported: .*: pip install 'normlab\[networks\]'"):
        build(run.settings)
