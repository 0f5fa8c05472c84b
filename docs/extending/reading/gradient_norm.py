"""The norm of the loss's gradient, which says how far training is from a stationary point."""

from typing import ClassVar

import torch

from normlab.measurements import Metric, State
from normlab.measurements.scores import inference_mode


class GradientNorm:
    """Euclidean norm over all parameters, of the mean loss of the first training examples in evaluation mode.

    Args:
        examples: number of training examples.
    """

    metrics: ClassVar = {"gradient/norm": Metric("lower", low=0.0)}

    def __init__(self, examples: int = 1000) -> None:
        self.examples = examples

    def measure(self, state: State) -> dict[str, float]:
        inputs, targets = (part[: self.examples] for part in state.splits.train)
        weights = [parameter for parameter in state.network.parameters() if parameter.requires_grad]
        with inference_mode(state.network), torch.enable_grad():
            loss = state.objective(state.network(state.preprocess(inputs)), targets)
            gradients = torch.autograd.grad(loss, weights)
        return {"gradient/norm": torch.cat([gradient.flatten() for gradient in gradients]).norm().item()}
