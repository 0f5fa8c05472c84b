"""Every shipped model with every shipped normalizer: trained, or refused with a reason."""

import pytest
import torch

from normlab.config.compose import compose
from normlab.errors import ConfigurationError
from normlab.training.build import build

from ..choices import choices_of, tiny


@pytest.mark.parametrize("normalizer", choices_of("normalizer"))
@pytest.mark.parametrize("model", choices_of("model"))
def test_a_model_is_trained_with_a_normalizer_or_refused_with_a_reason(model: str, normalizer: str) -> None:
    run = compose(*tiny(model), f"normalizer={normalizer}", "optimizer.lr=0.01", "batch_size=8")
    try:
        module = build(run.settings).module.train()
    except ConfigurationError as error:
        message = str(error)
        assert len(message.splitlines()) == 1
        assert ": " in message  # what is wrong, and a remedy
        return
    losses = torch.stack([module.step(step) for step in range(4)])
    assert losses.isfinite().all()
    assert len(set(losses.tolist())) == 4
    assert all(parameter.isfinite().all() for parameter in module.network.parameters())
    assert module.network.eval()(module.batches.batch(0)[0]).isfinite().all()
