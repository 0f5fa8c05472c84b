"""A pass through a new network: lazy parameters get shapes, and what keeps no contract is named."""

import pytest
import torch
from torch import Tensor, nn

from normlab.models import MLP
from normlab.models.dry_run import ShapeError, dry_run

IMAGES = torch.zeros(2, 1, 3, 4)


class Narrows(nn.Module):
    def __init__(self, num_features: int) -> None:
        super().__init__()

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs[:, 1:]


class Raises(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        raise RuntimeError("broken")


def test_lazy_parameters_get_their_shapes_and_the_network_is_left_in_training_mode() -> None:
    network = MLP((1, 3, 4), 10, lambda _: nn.LazyBatchNorm1d(), hidden=(5,))
    dry_run(network, IMAGES, (2, 10))
    assert all(module.training for module in network.modules())
    assert network.state_dict()["hidden.0.normalizer.weight"].shape == (5,)
    assert network.state_dict()["hidden.0.normalizer.num_batches_tracked"] == 0


def test_a_normalizer_that_changes_the_shape_is_named_with_its_file() -> None:
    with pytest.raises(ShapeError, match=r"Narrows \(.*test_dry_run.py\) must return the shape of its inputs") as error:
        dry_run(MLP((1, 3, 4), 10, Narrows, hidden=(5,)), IMAGES, (2, 10))
    assert "here (2, 5), but returns shape (2, 4)" in str(error.value)


@pytest.mark.parametrize("network", [nn.Flatten(), nn.LSTM(4, 10)], ids=["shape", "type"])
def test_a_network_whose_outputs_are_no_logits_is_named(network: nn.Module) -> None:
    images = torch.zeros(2, 3, 4) if isinstance(network, nn.LSTM) else IMAGES
    with pytest.raises(ShapeError, match=r"must return logits \(N, …, K\), here \(2, 10\), but returns"):
        dry_run(network, images, (2, 10))


def test_an_error_of_a_module_itself_is_left_to_training_unless_lazy_parameters_stay_without_a_shape() -> None:
    dry_run(nn.Sequential(nn.Flatten(), Raises(), nn.Linear(12, 10)), IMAGES, (2, 10))
    with pytest.raises(ValueError, match=r"Sequential .* has lazy parameters without a shape: broken"):
        dry_run(nn.Sequential(nn.Flatten(), Raises(), nn.LazyLinear(10)), IMAGES, (2, 10))


def test_it_draws_from_no_global_stream() -> None:
    before = torch.get_rng_state()
    dry_run(nn.Sequential(nn.Flatten(), nn.LazyLinear(10), nn.RReLU()), IMAGES, (2, 10))
    assert torch.equal(torch.get_rng_state(), before)
