"""Losses of the experiments, which map logits (N, …, K) and class indices (N, …) to a scalar."""

from torch import Tensor
from torch.nn import functional


def softmax_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean softmax cross entropy of logits (N, …, K) and class indices (N, …), over examples and positions.

    Same as `tf.losses.softmax_cross_entropy`.
    """
    return functional.cross_entropy(logits.flatten(end_dim=-2), targets.flatten())


def sigmoid_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean sigmoid cross entropy of logits (N, …, K) and class indices (N, …), over examples, positions and classes.

    Same as `tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(…))` with one-hot targets: 0.693 at the start,
    0.325 for a network that predicts the prior of ten balanced classes.
    """
    one_hot = functional.one_hot(targets, logits.shape[-1]).to(logits.dtype)
    return functional.binary_cross_entropy_with_logits(logits, one_hot)
