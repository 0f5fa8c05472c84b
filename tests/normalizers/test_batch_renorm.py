"""Batch renormalization against batch normalization at its limits and the formulas of the paper."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from normlab.config.compose import compose
from normlab.normalizers import BatchRenorm
from normlab.population.stack import Stack
from normlab.training.build import build

from .test_batch_norm import assert_same_training, both_ranks, random_batches, torch_layer

SCHEDULE: dict[str, Any] = {"start": 3, "r_max_step": 12, "d_max_step": 7}
AT_ONCE: dict[str, Any] = {"start": 0, "r_max_step": 0, "d_max_step": 0}


class ByFormula(nn.Module):
    """Algorithm 1 with a count in Python and no gradient through r and d."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, r_max: float, d_max: float, momentum: float, eps: float) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(3)), nn.Parameter(torch.zeros(3))
        self.register_buffer("running_mean", torch.zeros(3))
        self.register_buffer("running_var", torch.ones(3))
        self.r_max, self.d_max, self.momentum, self.eps = r_max, d_max, momentum, eps
        self.step = 0

    def forward(self, x: Tensor) -> Tensor:
        over, shape = [0, *range(2, x.ndim)], (1, 3, *[1] * (x.ndim - 2))
        mu, sigma = self.running_mean, (self.running_var + self.eps).sqrt()
        if not self.training:
            x_hat = (x - mu.view(shape)) / sigma.view(shape)
            return x_hat * self.weight.view(shape) + self.bias.view(shape)
        mu_b = x.mean(over)
        sigma_b = (((x - mu_b.view(shape)) ** 2).mean(over) + self.eps).sqrt()
        r_bound = 1 + (self.r_max - 1) * min(max(self.step - 3, 0) / 9, 1)
        d_bound = self.d_max * min(max(self.step - 3, 0) / 4, 1)
        r = torch.tensor([min(max(value, 1 / r_bound), r_bound) for value in (sigma_b / sigma).tolist()])
        d = torch.tensor([min(max(value, -d_bound), d_bound) for value in ((mu_b - mu) / sigma).tolist()])
        x_hat = (x - mu_b.view(shape)) / sigma_b.view(shape) * r.to(x).view(shape) + d.to(x).view(shape)
        with torch.no_grad():
            self.running_mean = (1 - self.momentum) * mu + self.momentum * mu_b
            self.running_var = (1 - self.momentum) * self.running_var + self.momentum * x.var(over, correction=1)
        self.step += 1
        return x_hat * self.weight.view(shape) + self.bias.view(shape)


@both_ranks
@pytest.mark.parametrize(
    "settings", [{"r_max": 1.0, "d_max": 0.0, **AT_ONCE}, {"start": 20}], ids=["no correction", "before the start"]
)
def test_without_correction_it_is_the_layer_of_pytorch(rank: str, settings: dict[str, Any]) -> None:
    ours = BatchRenorm(3, momentum=0.1, **settings).double()
    assert_same_training(ours, torch_layer(rank).double(), random_batches(rank), atol=1e-11)


@both_ranks
@pytest.mark.parametrize(("r_max", "d_max"), [(3.0, 5.0), (1.2, 0.3)])
def test_training_and_inference_match_the_formulas_while_the_bounds_grow(rank: str, r_max: float, d_max: float) -> None:
    ours = BatchRenorm(3, momentum=0.05, eps=1e-3, r_max=r_max, d_max=d_max, **SCHEDULE).double()
    reference = ByFormula(r_max, d_max, momentum=0.05, eps=1e-3).double()
    assert_same_training(ours, reference, random_batches(rank), atol=1e-7)  # r and d of the formula are float32


@both_ranks
def test_where_no_bound_is_reached_training_computes_what_inference_does(rank: str) -> None:
    layer = BatchRenorm(3, momentum=0.1, r_max=1e4, d_max=1e4, **AT_ONCE).double()
    for batch in random_batches(rank):
        expected = copy.deepcopy(layer).eval()(batch)
        torch.testing.assert_close(layer(batch), expected, rtol=1e-9, atol=1e-9)


def test_a_layer_restored_from_its_state_goes_on_with_the_schedule() -> None:
    batches = random_batches("2-D")
    whole, other = (BatchRenorm(3, **SCHEDULE).double() for _ in range(2))
    for batch in batches[:6]:
        whole(batch)
    other.load_state_dict(copy.deepcopy(whole.state_dict()))
    for batch in batches[6:]:
        assert torch.equal(other(batch), whole(batch))
    assert int(whole.updates) == len(batches)


def test_members_of_a_population_follow_the_schedule_as_alone() -> None:
    normalizer = ("normalizer=batch_renorm", "normalizer.start=1", "normalizer.r_max_step=3", "normalizer.d_max_step=2")
    model = ("data=digits", "model=convnet", "model.channels=[4,4]", "model.kernel_sizes=[3,3]")
    together, alone = (
        [build(compose(*model, *normalizer, f"seed={seed}").settings).module.train() for seed in (0, 1)]
        for _ in range(2)
    )
    Stack(together).train(range(5))
    for one, other in zip(together, alone, strict=True):
        for step in range(5):
            other.step(step)
        states = other.network.state_dict()
        for name, value in one.network.state_dict().items():
            torch.testing.assert_close(value, states[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [{"r_max": 0.5}, {"r_max": float("inf")}, {"d_max": -1.0}, {"start": -1}, {"start": 9, "r_max_step": 8}],
    ids=str,
)
def test_a_schedule_that_cannot_be_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        BatchRenorm(3, **settings)
