"""Losses of the experiments, which map logits (N, …, K) and class indices (N, …) to a scalar."""

from torch import Tensor
from torch.nn import functional


def softmax_cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean softmax cross entropy of logits (N, …, K) and class indices (N, …), over examples and positions.

    Same as `tf.losses.softmax_cross_entropy`. With label smoothing ε the targets are (1 − ε) · one-hot + ε / K (Szegedy
    et al., 2016, arXiv:1512.00567, section 7).
    """
    return functional.cross_entropy(logits.flatten(end_dim=-2), targets.flatten(), label_smoothing=label_smoothing)


def sigmoid_cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean sigmoid cross entropy of logits (N, …, K) and class indices (N, …), over examples, positions and classes.

    Same as `tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(…))` with one-hot targets: 0.693 at the start,
    0.325 for a network that predicts the prior of ten balanced classes. With label smoothing ε the targets are
    (1 − ε) · one-hot + ε / 2, as in `tf.losses.sigmoid_cross_entropy`.
    """
    one_hot = functional.one_hot(targets, logits.shape[-1]).to(logits.dtype)
    return functional.binary_cross_entropy_with_logits(logits, one_hot * (1 - label_smoothing) + label_smoothing / 2)
