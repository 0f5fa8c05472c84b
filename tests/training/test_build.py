"""What two variants with one seed share, and what single images score."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from normlab.config.compose import compose
from normlab.data.splits import Split
from normlab.errors import ConfigurationError
from normlab.measurements.scores import iterate_split, score
from normlab.training.build import build
from normlab.training.run import train

from ..choices import choices_of


def test_two_variants_with_one_seed_start_from_the_same_shared_weights_and_see_the_same_batches() -> None:
    without = build(compose("experiment=demo", "normalizer=none", "seed=5").settings).module
    normalized = build(compose("experiment=demo", "normalizer=tf_layers", "seed=5").settings).module
    weights = dict(without.network.named_parameters())
    shared = {name: value for name, value in normalized.network.named_parameters() if name in weights}
    assert sum(value.ndim > 1 for value in shared.values()) == 21
    assert all(torch.equal(weights[name], value) for name, value in shared.items())
    for (images, labels), (other_images, other_labels) in zip(without.batches, normalized.batches, strict=True):
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)


def test_another_seed_starts_from_other_weights_and_sees_other_batches() -> None:
    first, second = (build(compose("experiment=demo", f"seed={seed}").settings).module for seed in (0, 1))
    assert not torch.equal(first.batches.indices(0), second.batches.indices(0))
    assert not torch.equal(first.network.output.weight, second.network.output.weight)  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize("normalizer", choices_of("normalizer"))
def test_images_scored_one_by_one_score_as_in_one_batch(normalizer: str) -> None:
    optimizer = ("optimizer=adam", "optimizer.lr=0.003")
    parts = build(compose("data=digits", "model=convnet", f"normalizer={normalizer}", *optimizer, "steps=60").settings)
    network, objective = parts.module.network, parts.module.objective
    train_plainly(network, parts.module.make_optimizer(network.parameters()), objective, parts.module.batches)
    hundred = Split(parts.data.splits.test.inputs[:100], parts.data.splits.test.targets[:100])
    alone, together = (
        score(network, objective, parts.data.splits.task, iterate_split(hundred, parts.data.preprocess, size))
        for size in (1, 100)
    )
    assert alone["accuracy"] == together["accuracy"]
    assert alone["loss"] == pytest.approx(together["loss"], rel=1e-5)
    assert alone["accuracy"] > 0.3  # of ten classes


def test_a_cuda_graph_without_a_gpu_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is for CUDA GPUs"):
        build(compose("data=digits", "accelerator=cpu", "accelerator.cuda_graph=true").settings)


@pytest.mark.parametrize("override", ["accelerator.processes=2", "accelerator.precision=16-mixed"])
def test_a_cuda_graph_of_an_update_that_waits_is_refused(override: str) -> None:
    with pytest.raises(ConfigurationError, match="cuda_graph records a step that waits for nothing"):
        compose("data=digits", "accelerator.cuda_graph=true", override)


def test_deterministic_algorithms_are_used_where_they_are_asked_for_and_not_afterwards() -> None:
    for switch in (True, False):
        build(compose("data=digits", f"accelerator.deterministic={switch}").settings)
        assert torch.are_deterministic_algorithms_enabled() == switch


def train_plainly(network: nn.Module, optimizer: torch.optim.Optimizer, objective, batches) -> None:  # type: ignore[no-untyped-def]
    network.train()
    for images, labels in batches:
        optimizer.zero_grad()
        objective(network(images), labels).backward()
        optimizer.step()


class Double(nn.Identity):
    """Changes what torch keeps for the whole process."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        torch.set_default_dtype(torch.float64)
        torch.set_flush_denormal(True)
        torch.set_grad_enabled(False)
        torch.set_num_threads(1)


def test_a_run_does_not_hang_on_what_an_earlier_one_in_its_process_has_set(tmp_path: Path) -> None:
    alone = compose("data=digits", "steps=5", f"output_root={tmp_path / 'alone'}", "accelerator.threads=null")
    later = compose("data=digits", "steps=5", f"output_root={tmp_path / 'later'}", "accelerator.threads=null")
    expected = train(alone)
    with suppress(ConfigurationError):
        build(replace(later, settings={**later.settings, "normalizer": {"_target_": f"{__name__}.Double"}}).settings)
    assert torch.get_default_dtype() == torch.float64
    found = train(later)
    assert found.metrics == expected.metrics
    assert later.directory.metrics.read_bytes() == alone.directory.metrics.read_bytes()
    assert found.environment["threads"] == expected.environment["threads"]
