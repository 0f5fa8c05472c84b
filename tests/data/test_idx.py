"""Reading the IDX format: every well-formed file, and nothing else."""

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from normlab.data.idx import parse_idx

UNSIGNED_BYTE = 0x08


def header(*sizes: int, kind: int = UNSIGNED_BYTE) -> bytes:
    return struct.pack(f">HBB{len(sizes)}I", 0, kind, len(sizes), *sizes)


def idx(values: NDArray[np.uint8]) -> bytes:
    return header(*values.shape) + values.tobytes()


@settings(deadline=None, max_examples=150)
@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6)))
def test_what_was_written_is_read_back(values: NDArray[np.uint8]) -> None:
    parsed = parse_idx(idx(values))
    assert parsed.dtype == np.uint8
    assert parsed.shape == values.shape
    np.testing.assert_array_equal(parsed, values)


def test_sizes_are_big_endian_and_values_are_in_row_major_order() -> None:
    parsed = parse_idx(bytes.fromhex("00000802 00000002 00000003 010203 040506"))
    assert parsed.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_a_size_beyond_one_byte_is_read_whole() -> None:
    assert parse_idx(header(258) + bytes(258)).shape == (258,)


@pytest.mark.parametrize(
    "start",
    [b"\x01\x00\x08\x01", b"\x00\x01\x08\x01", b"\x1f\x8b\x08\x00", b"<!DO"],
    ids=["first byte", "second byte", "still gzipped", "web page"],
)
def test_a_file_that_starts_otherwise_is_refused(start: bytes) -> None:
    with pytest.raises(ValueError, match=f"not an IDX file of unsigned bytes: it starts with {start.hex(' ')}"):
        parse_idx(start + struct.pack(">I", 2) + bytes(2))


@pytest.mark.parametrize("kind", [0x00, 0x07, 0x09, 0x0B, 0x0C, 0x0D, 0x0E])
def test_a_type_other_than_unsigned_byte_is_refused(kind: int) -> None:
    with pytest.raises(ValueError, match="not an IDX file of unsigned bytes"):
        parse_idx(header(2, kind=kind) + bytes(2))


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(ValueError, match="it starts with nothing"):
        parse_idx(b"")


@pytest.mark.parametrize("length", range(1, 4))
def test_a_file_that_ends_within_the_magic_number_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="not an IDX file"):
        parse_idx(header(1)[:length])


@pytest.mark.parametrize("length", range(4, 16))
def test_a_file_that_ends_within_its_sizes_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"announces 3 sizes, but the file ends after {length} bytes"):
        parse_idx(header(1, 2, 3)[:length])


@pytest.mark.parametrize("difference", [-6, -1, 1, 6])
def test_more_or_fewer_values_than_claimed_are_refused(difference: int) -> None:
    with pytest.raises(ValueError, match=f"claims 2 × 3 values, but {6 + difference} bytes follow"):
        parse_idx(header(2, 3) + bytes(6 + difference))


@pytest.mark.parametrize(
    "sizes",
    # The last product is 0 in 64-bit arithmetic: as many values as follow the header.
    [(2**31, 28, 28), (2**32 - 1,), (2**32 - 1,) * 4, (2**16,) * 4],
    ids=lambda sizes: " x ".join(map(str, sizes)),
)
def test_impossible_sizes_are_refused_before_anything_is_allocated(sizes: tuple[int, ...]) -> None:
    content = header(*sizes)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"the IDX header claims .* values, but 0 bytes follow"):
            parse_idx(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
