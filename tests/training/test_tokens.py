"""A language model of a user's own is trained, scored, paired, resumed and stacked like any other network."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import normlab
from normlab.data import NextToken
from normlab.runs.run import Run
from normlab.training.build import build
from normlab.training.checkpoints import capture_state, restore

from ..integration.conftest import curves_of

TARGETS = {
    "data._target_": f"{__name__}.Alphabet",
    "model._target_": f"{__name__}.LanguageModel",
}


class Alphabet:
    """Windows of a periodic text, which a small recurrent network learns by heart."""

    task = NextToken()

    def __init__(self) -> None:
        text = torch.arange(2_000).square() % 11
        windows = text.unfold(0, 9, 1)
        pairs = windows[:, :-1], windows[:, 1:]
        self.train, self.val, self.test = zip(*(part.tensor_split([1_500, 1_750]) for part in pairs), strict=True)


class LanguageModel(nn.Module):
    """Embedding, GRU and a normalized projection at each position."""

    def __init__(
        self, vocabulary_size: int, context: int, normalizer: Callable[[int], nn.Module], width: int = 24
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, width)
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.normalizer = normalizer(width)
        self.output = nn.Linear(width, vocabulary_size)

    def forward(self, tokens: Tensor) -> Tensor:
        states, _ = self.recurrent(self.embedding(tokens))
        normalized = self.normalizer(states.flatten(end_dim=1)).view_as(states)
        logits: Tensor = self.output(normalized)
        return logits


def compose(*overrides: str) -> Run:
    """Compose a run with the data set and the model above in place of shipped ones."""
    run = normlab.compose("data=digits", "optimizer=adam", "optimizer.lr=0.01", "steps=200", *overrides)
    settings: dict[str, Any] = {**copy.deepcopy(dict(run.settings))}
    for key, target in TARGETS.items():
        settings[key.partition(".")[0]] = {"_target_": target}
    return Run(settings, run.choices)


def test_a_language_model_learns_its_text_and_every_position_counts(tmp_path: Path) -> None:
    run = compose("normalizer=batch", f"output_root={tmp_path}", "observe.val.first=100", "observe.val.every=100")
    record = normlab.train(run)
    assert record.status == "finished"
    assert record.metrics["test/accuracy"] > 0.8  # the first token of a window does not determine the next
    assert set(curves_of(run.directory.path)["val/accuracy"]) == {100, 200}


@pytest.mark.parametrize("normalizer", ["none", "batch"])
def test_variants_with_one_seed_share_embedding_and_recurrent_weights_and_batches(normalizer: str) -> None:
    one, other = (build(compose(f"normalizer={name}").settings).module for name in (normalizer, "slim"))
    states = other.network.state_dict()
    for name, value in one.network.state_dict().items():
        if not name.startswith("normalizer"):
            assert torch.equal(value, states[name]), name
    assert torch.equal(one.batches.batch(7)[0], other.batches.batch(7)[0])


def test_it_resumes_to_the_same_bits() -> None:
    whole, first, second = (build(compose("normalizer=batch").settings).module for _ in range(3))
    for step in range(6):
        whole.step(step)
    for step in range(3):
        first.step(step)
    restore(second, capture_state(first))
    for step in range(3, 6):
        second.step(step)
    states = whole.network.state_dict()
    assert all(torch.equal(value, states[name]) for name, value in second.network.state_dict().items())


def test_preprocessing_of_tokens_is_refused_by_name() -> None:
    with pytest.raises(normlab.errors.ConfigurationError, match="inputs of NextToken have no features"):
        build(compose("preprocessing=zca").settings)


def test_a_model_of_images_on_tokens_is_refused_with_what_each_side_needs_and_what_to_choose() -> None:
    run = compose()
    settings = {**run.settings, "model": normlab.compose("model=vit").settings["model"]}
    with pytest.raises(
        normlab.errors.ConfigurationError,
        match=r"ViT takes input_shape and num_classes, but NextToken data give vocabulary_size and context: choose",
    ):
        build(settings)
