"""IDX format of the original MNIST files: a header of sizes, then one unsigned byte per pixel or label."""

import math

import numpy as np
from numpy.typing import NDArray


def parse_idx(content: bytes) -> NDArray[np.uint8]:
    """Parse the content of an IDX file of unsigned bytes.

    Layout: two zero bytes, the type (0x08, unsigned byte), the number of dimensions, each size as a
    big-endian 32-bit integer, then the values in row-major order (http://yann.lecun.com/exdb/mnist).
    The announced sizes are checked before any memory is allocated.

    Raises:
        ValueError: the content is not an IDX file of unsigned bytes, or its length does not match its header.
    """
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise ValueError(f"not an IDX file of unsigned bytes: it starts with {content[:4].hex(' ') or 'nothing'}")
    rank = content[3]
    start = 4 + 4 * rank
    if len(content) < start:
        raise ValueError(f"the IDX header announces {rank} sizes, but the file ends after {len(content)} bytes")
    shape = tuple(int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank))
    if math.prod(shape) != len(content) - start:
        raise ValueError(
            f"the IDX header claims {' × '.join(map(str, shape))} values, but {len(content) - start} bytes follow it"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
