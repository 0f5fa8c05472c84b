"""The losses of the experiments: from logits and class numbers to a scalar."""

from torch import Tensor
from torch.nn import functional


def softmax_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the batch of the cross entropy of a softmax, as `tf.losses.softmax_cross_entropy`.

    Args:
        logits: (N, num_classes).
        labels: class numbers (N,).
    """
    return functional.cross_entropy(logits, labels)


def sigmoid_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over batch and classes of the cross entropy of one sigmoid per class against one-hot labels.

    As `tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(…))`: 0.693 at the start, 0.325 for a network
    that knows the share of each of ten balanced classes and nothing more.

    Args:
        logits: (N, num_classes).
        labels: class numbers (N,).
    """
    one_hot = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return functional.binary_cross_entropy_with_logits(logits, one_hot)
