"""Long short-term memory (LSTM) that normalizes inside the recurrence, over images or characters."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from normlab.models.layers import NormalizerFactory
from normlab.models.step_normalizer import Statistics, StepNormalizer
from normlab.randomness import generator

Reads = Literal["rows", "pixels", "permuted_pixels"]


class LSTM(nn.Module):
    """LSTM of Cooijmans et al. (2016, arXiv:1603.09025, equations 6 to 8) with a normalizer N at three places.

        f, i, o, g = N_x(W_x · x) + N_h(W_h · h) + b
        c' = σ(f) · c + σ(i) · tanh(g)
        h' = σ(o) · tanh(N_c(c'))

    Images (N, C, H, W) are classified from the last state, (N, K); tokens (N, T) at every step, (N, T, K). Batch
    normalization needs small initial scales here: `normalizer.initial_scale=0.1`.

    Args:
        normalizer: factory of the normalizers.
        input_shape, num_classes: (C, H, W) and K of images.
        vocabulary_size, context: K and T of tokens.
        hidden: size of the state.
        reads: an image by "rows", "pixels" or "permuted_pixels", one per step.
        image_size: side to which images are shrunk by averaging; null: as they are.
        permutation: order of permuted pixels: the seed of a random one, or a list of all positions.
        normalize_input, normalize_hidden, normalize_cell: whether there is a normalizer N_x, N_h, N_c.
        statistics: running averages of normalizers are kept "per_step" or "shared" by all steps.
        forget_bias: initial value of b for the forget gate f; elsewhere it is 0.

    Raises:
        ValueError: a setting is out of range, or the normalizer includes an activation.
    """

    positions: Tensor | None

    def __init__(
        self,
        normalizer: NormalizerFactory,
        input_shape: tuple[int, int, int] | None = None,
        num_classes: int | None = None,
        vocabulary_size: int | None = None,
        context: int | None = None,
        hidden: int = 100,
        reads: Reads = "rows",
        image_size: int | None = None,
        permutation: int | Sequence[int] = 0,
        normalize_input: bool = True,
        normalize_hidden: bool = True,
        normalize_cell: bool = True,
        statistics: Statistics = "per_step",
        forget_bias: float = 1.0,
    ) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        self.hidden, self.reads, self.image_size, self.forget_bias = hidden, reads, image_size, forget_bias
        if input_shape is not None and num_classes is not None:
            steps, inputs = self._count_steps(input_shape)
            outputs = num_classes
        elif vocabulary_size is not None and context is not None:
            steps, inputs, outputs = context, vocabulary_size, vocabulary_size
        else:
            raise ValueError("an LSTM needs input_shape and num_classes of images or vocabulary_size and context")
        positions = make_permutation(permutation, steps) if reads == "permuted_pixels" else None
        self.register_buffer("positions", positions, persistent=False)
        self.from_input = nn.Linear(inputs, 4 * hidden, bias=False)
        self.from_state = nn.Linear(hidden, 4 * hidden, bias=False)
        self.bias = nn.Parameter(torch.zeros(4 * hidden))

        def place(is_on: bool, features: int) -> StepNormalizer:
            return StepNormalizer(normalizer if is_on else nn.Identity, features, steps, statistics)

        self.normalize_input = place(normalize_input, 4 * hidden)
        self.normalize_hidden = place(normalize_hidden, 4 * hidden)
        self.normalize_cell = place(normalize_cell, hidden)
        self.output = nn.Linear(hidden, outputs)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the bias of the gates."""
        with torch.no_grad():
            self.bias.zero_()[: self.hidden] = self.forget_bias

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, K), or tokens (N, T) to logits (N, T, K)."""
        if inputs.ndim == 2:
            projections = functional.embedding(inputs.T, self.from_input.weight.T)  # W_x times one-hot vectors
            states = torch.stack(self._run(projections), dim=1)
        else:
            states = self._run(self.from_input(self._read(inputs)))[-1]
        logits: Tensor = self.output(states)
        return logits

    def _run(self, projections: Tensor) -> list[Tensor]:
        """Return the states (N, H) after each step, from W_x · x of all steps (T, N, 4 · H)."""
        weight = self.from_state.weight  # once: a reparametrization would compute it at every step
        state = memory = projections.new_zeros(projections.shape[1], self.hidden)
        states = []
        places = (self.normalize_input, self.normalize_hidden, self.normalize_cell)
        normalizers = (place.list_steps(len(projections)) for place in places)
        # Indexing inside the loop would fill a gradient of all steps at every step; `unbind` stacks them once.
        for projection, normalize_input, normalize_hidden, normalize_cell in zip(
            projections.unbind(dim=0), *normalizers, strict=True
        ):
            from_state = normalize_hidden(functional.linear(state, weight))
            gates = normalize_input(projection) + from_state + self.bias
            forget_gate, input_gate, output_gate, candidate = gates.chunk(4, dim=1)
            memory = forget_gate.sigmoid() * memory + input_gate.sigmoid() * candidate.tanh()
            state = output_gate.sigmoid() * normalize_cell(memory).tanh()
            states.append(state)
        return states

    def _count_steps(self, input_shape: tuple[int, int, int]) -> tuple[int, int]:
        """Return the number of steps T and of values that each reads, for images of a shape (C, H, W)."""
        channels, height, width = input_shape
        if self.image_size is not None:
            if not 1 <= self.image_size <= min(height, width):
                raise ValueError(
                    f"image_size must be 1 to {min(height, width)}, the side of the images, got {self.image_size}"
                )
            height = width = self.image_size
        if self.reads == "rows":
            return height, channels * width
        if self.reads in ("pixels", "permuted_pixels"):
            return height * width, channels
        raise ValueError(f"reads must be rows, pixels or permuted_pixels, got {self.reads!r}")

    def _read(self, images: Tensor) -> Tensor:
        """Return the values that are read at each step (T, N, …), from images (N, C, H, W)."""
        if self.image_size is not None:
            images = functional.adaptive_avg_pool2d(images, self.image_size)
        if self.reads == "rows":
            return images.permute(2, 0, 1, 3).flatten(start_dim=2)
        pixels = images.flatten(start_dim=2).permute(2, 0, 1)
        return pixels if self.positions is None else pixels[self.positions]


def make_permutation(permutation: int | Sequence[int], length: int) -> Tensor:
    """Return positions (length,) in the order of a permutation: a list of them, or the seed of a random one.

    Raises ValueError if a list does not contain each of 0, …, length − 1 once.
    """
    if isinstance(permutation, int):
        return torch.randperm(length, generator=generator(permutation, "permutation"))
    if sorted(permutation) != list(range(length)):
        raise ValueError(
            f"permutation has {len(permutation)} positions, and must have each of 0 to {length - 1} once, one for each"
            " step of the sequence: change it, or image_size"
        )
    return torch.tensor(permutation)
