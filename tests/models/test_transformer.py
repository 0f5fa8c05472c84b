"""Transformers: torch's encoder layers and timm's ViT as references, and what the placement of normalizers means."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from network_libraries import import_network_library
from torch import Tensor, nn

from normlab.config.compose import compose
from normlab.config.targets import bind
from normlab.models import GlorotUniform, LanguageModel, ViT, initialize
from normlab.models.layers import list_places
from normlab.models.transformer import Embedding, Placement, Transformer
from normlab.normalizers import BatchNorm
from normlab.population.check import reason_not_vectorizable
from normlab.training.build import build

from ..choices import tiny

IMAGE = (3, 12, 8)
PLACEMENTS: list[Placement] = ["pre", "post", "peri", "none"]

every_placement = pytest.mark.parametrize("placement", PLACEMENTS)
both_networks = pytest.mark.parametrize("model", ["vit", "language_model"])


def make(model: str, normalizer: Any = nn.LayerNorm, **settings: Any) -> nn.Module:
    """Return a small network in float64."""
    small = {"dim": 8, "depth": 2, "heads": 2, **settings}
    if model == "vit":
        return ViT(IMAGE, 5, normalizer, **small).double()
    return LanguageModel(5, 6, normalizer, **small).double()


def inputs_of(model: str, count: int = 3) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    if model == "vit":
        return torch.randn(count, *IMAGE, generator=draws, dtype=torch.float64)
    return torch.randint(0, 5, (count, 6), generator=draws)


@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_a_block_computes_what_an_encoder_layer_of_torch_does(
    placement: Placement, causal: bool, activation: str
) -> None:
    reference = nn.TransformerEncoderLayer(
        8, 2, 24, 0.0, activation, batch_first=True, norm_first=placement == "pre", dtype=torch.float64
    )
    for parameter in reference.parameters():
        nn.init.uniform_(parameter, -1, 1)
    transformer = Transformer(8, 1, 2, 3.0, nn.LayerNorm, placement, activation, causal).double()
    block = nn.Sequential(*list(transformer)[:2])  # without the last normalizer
    attention = [f"self_attn.{name}" for name in ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")]
    feed_forward = ["linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias"]
    one, other = (["norm1.weight", "norm1.bias"], ["norm2.weight", "norm2.bias"])
    names = (
        [*one, *attention, *other, *feed_forward] if placement == "pre" else [*attention, *one, *feed_forward, *other]
    )
    with torch.no_grad():
        for name, parameter in zip(names, block.parameters(), strict=True):
            parameter.copy_(reference.get_parameter(name))
    tokens = torch.randn(3, 5, 8, dtype=torch.float64)
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64) if causal else None
    torch.testing.assert_close(block(tokens), reference(tokens, src_mask=mask, is_causal=causal))


@pytest.mark.parametrize(("patch", "depth"), [(4, 1), (2, 3)])
def test_the_vision_transformer_computes_what_that_of_timm_does(patch: int, depth: int) -> None:
    timm = import_network_library("timm.models.vision_transformer")
    reference = timm.VisionTransformer(
        IMAGE[1:], patch, IMAGE[0], 5, "avg", 8, depth, 2, class_token=False, fc_norm=False, norm_layer=nn.LayerNorm
    ).double()
    for parameter in reference.parameters():
        nn.init.uniform_(parameter, -1, 1)
    network = make("vit", patch=patch, depth=depth)
    state = dict(reference.named_parameters())
    first = ["patch_embed.proj.weight", "patch_embed.proj.bias", "pos_embed"]
    with torch.no_grad():
        names = [*first, *(name for name in state if name not in first)]
        for name, parameter in zip(names, network.parameters(), strict=True):
            parameter.copy_(state[name].reshape(parameter.shape))
    torch.testing.assert_close(network(inputs_of("vit")), reference(inputs_of("vit")))


def test_the_default_networks_have_as_many_parameters_as_were_counted_by_hand() -> None:
    block = 4 * (64 * 64 + 64) + (64 * 256 + 256) + (256 * 64 + 64) + 4 * 64
    vit = ViT((1, 28, 28), 10, nn.LayerNorm)
    assert sum(each.numel() for each in vit.parameters()) == 6 * block + 17 * 64 + 49 * 64 + 2 * 64 + 65 * 10
    model = LanguageModel(65, 32, nn.LayerNorm)
    assert sum(each.numel() for each in model.parameters()) == 4 * block + (65 + 32) * 64 + 2 * 64 + 65 * 65


@both_networks
@pytest.mark.parametrize(
    ("placement", "per_block", "last"), [("pre", 2, 1), ("post", 2, 0), ("peri", 4, 1), ("none", 0, 0)]
)
def test_normalizers_are_where_the_placement_says_and_measurements_find_them(
    model: str, placement: str, per_block: int, last: int
) -> None:
    network = make(model, BatchNorm, placement=placement, depth=3)
    assert len(list_places(network)) == 3 * per_block + last
    seen: list[tuple[int, ...]] = []
    for _, normalizer in list_places(network):
        normalizer.register_forward_pre_hook(lambda _normalizer, inputs: seen.append(tuple(inputs[0].shape)))
    network(inputs_of(model))
    assert seen == [(3 * 6, 8)] * (3 * per_block + last)  # each token is an example


def test_each_placement_is_the_formula_of_its_paper() -> None:
    tokens = torch.randn(2, 4, 8, dtype=torch.float64)
    outputs = {}
    for placement in PLACEMENTS:
        network = Transformer(8, 1, 2, 2.0, lambda _: nn.Tanh(), placement, "relu", causal=False).double()
        initialize(network, 0, GlorotUniform())
        attention, feed_forward = (network[number].get_submodule("layer") for number in (0, 1))
        outputs[placement] = network(tokens)
    pre = tokens + attention(tokens.tanh())
    pre = pre + feed_forward(pre.tanh())
    post = (tokens + attention(tokens)).tanh()
    post = (post + feed_forward(post)).tanh()
    peri = tokens + attention(tokens.tanh()).tanh()
    peri = peri + feed_forward(peri.tanh()).tanh()
    none = tokens + attention(tokens)
    none = none + feed_forward(none)
    expected = {"pre": pre.tanh(), "post": post, "peri": peri.tanh(), "none": none}
    torch.testing.assert_close(outputs, expected)


@every_placement
@both_networks
@pytest.mark.parametrize(
    "normalizer",
    [nn.Identity, BatchNorm, nn.LayerNorm, partial(nn.GroupNorm, 2)],
    ids=["none", "batch", "layer", "group"],
)
def test_every_parameter_receives_a_finite_gradient(model: str, placement: Placement, normalizer: Any) -> None:
    network = make(model, normalizer, placement=placement)
    logits = network(inputs_of(model))
    assert logits.shape == ((3, 5) if model == "vit" else (3, 6, 5))
    gradients = torch.autograd.grad(logits.sum(), [*network.parameters()], allow_unused=True)
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@every_placement
def test_a_language_model_does_not_look_ahead_and_takes_shorter_sequences(placement: Placement) -> None:
    network = make("language_model", placement=placement)
    tokens = inputs_of("language_model")
    other = tokens.clone()
    other[:, 4:] = (other[:, 4:] + 1) % 5
    logits = network(tokens)
    torch.testing.assert_close(network(other)[:, :4], logits[:, :4])
    assert not torch.isclose(network(other)[:, 4:], logits[:, 4:]).any(dim=-1).all()
    torch.testing.assert_close(network(tokens[:, :3]), logits[:, :3])


def test_a_sequence_longer_than_the_context_raises_an_error() -> None:
    with pytest.raises(ValueError, match="a sequence of 7 tokens is longer than the context of 6: cut it"):
        make("language_model")(torch.zeros(1, 7, dtype=torch.int64))


@both_networks
def test_the_order_of_the_tokens_matters(model: str) -> None:
    network = make(model)
    initialize(network, 0, GlorotUniform())
    inputs = inputs_of(model)
    flipped = network(inputs.flip(2 if model == "vit" else 1))
    assert not torch.allclose(flipped, network(inputs) if model == "vit" else network(inputs).flip(1))


@both_networks
def test_embeddings_are_normal_and_drawn_from_streams_of_their_names(model: str) -> None:
    states = []
    for depth in (1, 2):
        torch.manual_seed(depth)
        network = make(model, depth=depth, dim=512)
        assert initialize(network, 0, GlorotUniform()) == []
        states.append(network.state_dict())
        embeddings = [module.weight for module in network.modules() if isinstance(module, Embedding)]
        assert len(embeddings) == (1 if model == "vit" else 2)
        for weight in embeddings:
            assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    for name, value in states[0].items():
        if name in states[1] and states[1][name].shape == value.shape and not name.startswith("transformer.2"):
            assert torch.equal(value, states[1][name]), name


class WithActivation(nn.ReLU):
    includes_activation = True

    def __init__(self, num_features: int) -> None:
        super().__init__()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"heads": 3}, "heads=3 must divide dim=8: choose one of 1, 2, 4, 8"),
    ({"heads": 0}, "dim, depth, heads and mlp_ratio · dim must be at least 1, got 8, 2, 0 and 32"),
    ({"dim": -8}, "got -8, 2, 2 and -32"),
    ({"depth": 0}, "got 8, 0, 2 and 32"),
    ({"mlp_ratio": 0.01}, "got 8, 2, 2 and 0"),
    ({"placement": "inside"}, "placement must be one of pre, post, peri, none, got 'inside'"),
    ({"activation": "rlu"}, "no activation 'rlu'"),
    ({"normalizer": WithActivation}, "WithActivation includes an activation, and none follows the normalizers of a"),
]


@both_networks
@pytest.mark.parametrize(("settings", "message"), WRONG, ids=str)
def test_a_network_that_cannot_be_built_raises_an_error_with_a_remedy(
    model: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(model, **settings)


@pytest.mark.parametrize("patch", [0, 3, 8, 12])
def test_a_patch_that_does_not_divide_the_image_raises_an_error_that_lists_those_that_do(patch: int) -> None:
    with pytest.raises(ValueError, match=f"patch={patch} must divide height and width .*12×8: choose one of 1, 2, 4$"):
        make("vit", patch=patch)


@pytest.mark.parametrize(
    ("model", "build_network"),
    [
        ("vit", lambda bound: bound(IMAGE, 10, nn.LayerNorm)),
        ("language_model", lambda bound: bound(9, 6, nn.LayerNorm)),
    ],
)
def test_the_shipped_config_equals_the_defaults(model: str, build_network: Callable[[Any], nn.Module]) -> None:
    network = build_network(bind(compose(f"model={model}").settings, "model"))
    assert str(network) == str(build_network(type(network)))


@every_placement
@both_networks
@pytest.mark.parametrize("normalizer", ["none", "batch"])
def test_seeds_can_be_trained_together(model: str, placement: Placement, normalizer: str) -> None:
    overrides = (*tiny(model), f"normalizer={normalizer}", f"model.placement={placement}")
    members = [build(compose(*overrides, f"seed={seed}").settings).module.train() for seed in (0, 1)]
    assert reason_not_vectorizable(members) is None
