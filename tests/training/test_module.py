"""The chunks of updates that Lightning is given as training batches."""

from hypothesis import given
from hypothesis import strategies as st

from normlab.training.module import LONGEST_CHUNK, chunks


@given(start=st.integers(0, 300), stop=st.integers(0, 300), ends=st.sets(st.integers(1, 300)))
def test_stretches_make_every_step_once_and_end_where_something_is_due(start: int, stop: int, ends: set[int]) -> None:
    found = list(chunks(start, stop, ends.__contains__))
    assert [step for stretch in found for step in stretch] == list(range(start, stop))
    assert all(1 <= len(stretch) <= LONGEST_CHUNK for stretch in found)
    assert {update for update in ends if start < update <= stop} <= {stretch.stop for stretch in found}


def test_a_stretch_is_no_shorter_than_it_must_be() -> None:
    assert list(chunks(0, 120, {10}.__contains__)) == [range(10), range(10, 60), range(60, 110), range(110, 120)]
