"""A normalizer inside a recurrence, with statistics for each step of the sequence or shared by all."""

from typing import Literal, get_args

from torch import nn

from normlab.models.layers import NormalizerFactory

Statistics = Literal["per_step", "shared"]


class StepNormalizer(nn.Module):
    """Normalizers of all steps of a sequence, which share their parameters and, if so set, their statistics.

    Sequences may be longer than the one it is built for: later steps use the statistics of the last one (Cooijmans et
    al., 2016, arXiv:1603.09025, section 3.1). A normalizer without buffers is one module whatever the setting.

    Args:
        normalizer: factory of the normalizers.
        num_features: C of the inputs of each step, (N, C).
        steps: length T of the sequences.
        statistics: "per_step" or "shared".

    Raises:
        ValueError: there are no such statistics, or the normalizer includes an activation.
    """

    def __init__(self, normalizer: NormalizerFactory, num_features: int, steps: int, statistics: Statistics) -> None:
        super().__init__()
        if statistics not in get_args(Statistics):
            raise ValueError(f"statistics must be per_step or shared, got {statistics!r}")
        self.normalizer = normalizer(num_features)
        """Of the last step, and of all without a normalizer of their own."""
        if getattr(self.normalizer, "includes_activation", False):
            raise ValueError(
                f"{type(self.normalizer).__name__} includes an activation, and the gates of a recurrent network have"
                " theirs: choose another normalizer"
            )
        has_statistics = any(True for _ in self.normalizer.buffers())
        count = steps - 1 if statistics == "per_step" and has_statistics else 0
        self.earlier = nn.ModuleList(normalizer(num_features) for _ in range(count))
        for normalizer_of_step in self.earlier:
            share_parameters(self.normalizer, normalizer_of_step)

    def list_steps(self, steps: int) -> list[nn.Module]:
        """Return the normalizer of each step of a sequence, which maps its inputs (N, C) to outputs (N, C).

        There is no `forward` with the step as an argument, because another call of a module at each step takes 5% of an
        update.
        """
        return [*self.earlier, *[self.normalizer] * steps][:steps]


def share_parameters(source: nn.Module, module: nn.Module) -> None:
    """Make the parameters of a module those of another one of the same class."""
    for name, parameter in source.named_parameters():
        owner, _, own_name = name.rpartition(".")
        setattr(module.get_submodule(owner), own_name, parameter)
