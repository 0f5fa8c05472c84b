"""Random numbers that are a pure function of integers, such as a seed and a count of updates.

A generator has a state that moves with every draw, which neither a checkpoint of a network holds nor
`torch.func.vmap` can draw from for each member of a population. Here a number is a hash of its key and position.
"""

import torch
from torch import Tensor

MASK = 0xFFFFFFFF
"""Of the low 32 bits; a product of two such numbers wraps around in int64, with these bits right."""


def make_key(seed: Tensor, *words: Tensor | int) -> Tensor:
    """Return a key (), int64, for integers (), each of which counts with its low 32 bits."""
    key = _mix(seed & MASK)
    for word in words:
        key = _mix((31 * key + word + 1) & MASK)
    return key


def draw_uniform(key: Tensor, shape: tuple[int, ...], first: int = 0) -> Tensor:
    """Return numbers in (0, 1), float32, of which neither end is reached.

    Args:
        key: from `make_key`; other keys give other streams.
        shape: of the numbers.
        first: position in the stream of the first one.
    """
    count = torch.Size(shape).numel()
    positions = torch.arange(first, first + count, device=key.device).view(shape)
    bits = _mix(_mix(positions & MASK) ^ key) >> 9
    return (bits.to(torch.float32) + 0.5) * 2.0**-23  # 24 significant bits: exact in float32


def _mix(words: Tensor) -> Tensor:
    """Return a bijection of 32-bit words: the finalizer of MurmurHash3 (Austin Appleby, in the public domain)."""
    words = ((words ^ (words >> 16)) * 0x85EBCA6B) & MASK
    words = ((words ^ (words >> 13)) * 0xC2B2AE35) & MASK
    return words ^ (words >> 16)
