"""Random streams that depend on a seed and a name alone, so that runs can be compared in pairs."""

import hashlib

import torch


def generator(seed: int, name: str) -> torch.Generator:
    """Return a fresh CPU generator for the stream called `name` of run seed `seed`.

    Streams with different names are independent, and none knows how much another has drawn: a network
    with one more layer leaves the weights of its other layers and the order of its batches untouched.
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    # 63 bits: what torch.Generator.manual_seed takes as a non-negative number.
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
