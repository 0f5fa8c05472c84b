"""Networks trained together end as they do alone, also where one of them diverges, and leave the same checkpoints."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from normlab.config.compose import compose
from normlab.data.batches import BatchStream
from normlab.population.check import reason_not_vectorizable
from normlab.population.stack import Stack
from normlab.training.build import build
from normlab.training.checkpoints import capture_state, restore
from normlab.training.module import TrainingModule

from ..choices import choices_of, pairs_of_model_and_normalizer, tiny
from ..small_digits import SMALL


def members(*overrides: str, seeds: Sequence[int] = (0, 1, 2), **changes: Any) -> list[TrainingModule]:
    """Classifiers in float64 that differ in their seed alone, each with an optimizer of its own."""
    found = []
    for seed in seeds:
        parts = build(compose("data=digits", SMALL, "batch_size=16", *overrides, f"seed={seed}").settings)
        batches = BatchStream(parts.data.splits.train, in_float64(parts.data.preprocess), 16, 50, seed)
        given = {"network": parts.module.network.double(), "optimizer": parts.module.make_optimizer, **changes}
        found.append(TrainingModule(objective=parts.module.objective, batches=batches, **given))
    return found


def in_float64(preprocess: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def convert(inputs: Tensor) -> Tensor:
        outputs = preprocess(inputs)
        return outputs.double() if outputs.is_floating_point() else outputs  # tokens stay integers

    return convert


def trained_alone(members: Sequence[TrainingModule], steps: range) -> Tensor:
    """Make the updates of each by itself; return the losses (members, updates)."""
    return torch.stack([torch.stack([member.step(step) for step in steps]) for member in members])


def differences(ones: Sequence[TrainingModule], others: Sequence[TrainingModule]) -> list[str]:
    """The names of weights and buffers that differ by more than 1e-9."""
    return [
        name
        for one, other in zip(ones, others, strict=True)
        for name, value in one.network.state_dict().items()
        if not torch.allclose(value, other.network.state_dict()[name], rtol=1e-9, atol=1e-12)
    ]


@pytest.mark.parametrize(("model", "normalizer"), pairs_of_model_and_normalizer())
def test_in_float64_every_network_ends_where_it_does_alone(model: str, normalizer: str) -> None:
    overrides = (*tiny(model), f"normalizer={normalizer}")
    alone, together = members(*overrides, seeds=(0, 1)), members(*overrides, seeds=(0, 1))
    losses = trained_alone(alone, range(50))
    assert torch.allclose(Stack(together).train(range(50)), losses, rtol=1e-9)
    assert differences(alone, together) == []
    assert [member.steps_done for member in together] == [50, 50]
    assert not torch.allclose(losses[0], losses[1], rtol=1e-5)


def test_attention_in_a_population_warns_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    Stack(members(*tiny("vit"), seeds=(0, 1))).train(range(2))
    assert not [each for each in recwarn if "performance" in str(each.message)]


@pytest.mark.parametrize("objective", choices_of("objective"))
@pytest.mark.parametrize("optimizer", choices_of("optimizer"))
def test_every_optimizer_and_objective_updates_all_as_it_does_one(optimizer: str, objective: str) -> None:
    overrides = ("model=convnet", "normalizer=batch", f"optimizer={optimizer}", f"objective={objective}")
    alone, together = members(*overrides), members(*overrides)
    trained_alone(alone, range(20))
    Stack(together).train(range(20))
    assert differences(alone, together) == []


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "rmsprop"])
def test_members_go_on_alone_or_in_another_population_from_what_one_hands_out(optimizer: str) -> None:
    overrides = ("normalizer=batch", f"optimizer={optimizer}")
    alone, together = members(*overrides), members(*overrides)
    trained_alone(alone, range(10))
    population = Stack(together)
    population.train(range(5))
    population.distribute_optimizer_state()
    trained_alone(together[:1], range(5, 10))
    Stack(together[1:]).train(range(5, 10))
    assert differences(alone, together) == []


@pytest.mark.parametrize("model", [("model=convnet",), ("model=mlp", "model.hidden=[32,16]")], ids=["convnet", "mlp"])
def test_a_weight_its_gradient_and_its_state_lie_alike_in_memory_as_fused_optimizers_need(model: Sequence[str]) -> None:
    overrides = (*model, "normalizer=batch", "optimizer=adam")
    alone, together, fresh = (members(*overrides, seeds=(0, 1)) for _ in range(3))
    trained_alone(alone, range(10))
    population = Stack(together)
    population.train(range(5))
    population.distribute_optimizer_state()
    for member, other in zip(fresh, together, strict=True):
        restore(member, capture_state(other))
    trained_alone(fresh[:1], range(5, 10))
    Stack(fresh[1:]).train(range(5, 10))
    for optimizer in (alone[0].optimizer, population.optimizer, together[0].optimizer, fresh[0].optimizer):
        for weight, state in optimizer.state.items():
            for part in (weight.grad, state["exp_avg"], state["exp_avg_sq"]):
                assert part is None or order_in_memory(part) == order_in_memory(weight)
    assert differences(alone, fresh) == []


def order_in_memory(values: Tensor) -> list[int]:
    """The axes longer than one, from the outermost to the innermost."""
    strides = values.stride()
    return sorted((axis for axis, size in enumerate(values.shape) if size > 1), key=lambda axis: -strides[axis])


def test_gradients_become_those_of_large_dense_weights_without_a_copy() -> None:
    stack = Stack(members("model=mlp", "model.hidden=[32]", seeds=(0, 1)))
    weight = stack.parameters["hidden.0.linear_map.weight"]
    computed: list[Tensor] = []
    weight.register_hook(lambda gradient: computed.append(gradient.detach()))  # type: ignore[no-untyped-call]
    stack.train(range(1))
    assert weight.grad is not None
    assert weight.grad.data_ptr() == computed[0].data_ptr()


def test_one_that_diverges_stops_counting_and_touches_no_neighbour() -> None:
    alone, together = members("normalizer=batch"), members("normalizer=batch")
    trained_alone(alone, range(10))
    population = Stack(together)
    population.train(range(4))
    with torch.no_grad():
        together[1].network.output.bias.fill_(torch.inf)  # type: ignore[union-attr, operator]
    population.train(range(4, 7))
    population.train(range(7, 10))
    assert [member.diverged_at for member in together] == [None, 5, None]
    assert [member.steps_done for member in together] == [10, 5, 10]
    assert differences(alone[::2], together[::2]) == []


class PicksByValue(nn.Identity):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs if inputs.sum() > 0 else -inputs


class ReplacesItsBuffer(nn.Module):
    largest: Tensor

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.register_buffer("largest", torch.zeros(num_features))

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.largest = torch.maximum(self.largest, inputs.detach().amax(dim=0))
        return inputs / (1 + self.largest)


class WholeWeight(torch.optim.SGD):
    """Steps of one length for each weight as a whole."""

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad /= parameter.grad.norm()
        super().step()


def network(layer: Callable[[int], nn.Module]) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(100, 8), layer(8), nn.Linear(8, 10)).double()


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (PicksByValue, "data-dependent"),
        (lambda features: nn.Dropout(), "random"),
        (ReplacesItsBuffer, "after 2 steps"),
    ],
    ids=["control flow by value", "random numbers", "a buffer replaced"],
)
def test_a_layer_that_cannot_be_vectorized_is_told_before_training(
    layer: Callable[[int], nn.Module], reason: str
) -> None:
    made = [member for seed in (0, 1) for member in members(seeds=[seed], network=network(layer))]
    before = {name: value.clone() for name, value in made[0].network.state_dict().items()}
    told = reason_not_vectorizable(made)
    assert told is not None
    assert reason in told
    assert all(torch.equal(before[name], value) for name, value in made[0].network.state_dict().items())


def test_an_optimizer_that_looks_at_whole_weights_is_told_before_training() -> None:
    told = reason_not_vectorizable(members(optimizer=lambda parameters: WholeWeight(parameters, lr=0.1)))
    assert told is not None
    assert "differs from that of a network trained alone" in told


def test_shipped_networks_can_be_trained_together() -> None:
    for optimizer in choices_of("optimizer"):
        assert reason_not_vectorizable(members("normalizer=batch_norm_1d", f"optimizer={optimizer}")) is None


def test_members_at_different_updates_are_refused() -> None:
    unequal = members()
    unequal[1].steps_done = 3
    with pytest.raises(ValueError, match="the same number of steps"):
        Stack(unequal)
