"""Where a source stands for several parts: settled is what all of them call settled."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.store.checkpoints import Checkpoint, combined
from tailrace.store.runs import Runs

LINES = 14
LENGTHS = (0, 1, 2)


@st.composite
def checkpoints(draw: st.DrawFn) -> Checkpoint:
    line = draw(st.integers(1, LINES))
    read_line = draw(st.integers(line, LINES))
    runs = Runs.of(draw(st.sets(st.integers(line, read_line - 1))) if line < read_line else ())
    return Checkpoint(
        offset=draw(st.integers(10 * line, 10 * line + 1)),
        line=line,
        read_line=read_line,
        starts=runs.starts,
        ends=runs.ends,
        tail=draw(st.sampled_from(LENGTHS)) if line < read_line else 0,
    )


def settles(checkpoint: Checkpoint | None, number: int, length: int) -> bool:
    """Whether an export that goes on there leaves that line out."""
    if checkpoint is None:
        return False
    if number < checkpoint.line:
        return True
    if number >= checkpoint.read_line or number in checkpoint.unsettled:
        return False
    return not (checkpoint.tail and number == checkpoint.read_line - 1 and length != checkpoint.tail)


@settings(max_examples=600)
@given(
    parts=st.lists(st.none() | checkpoints(), max_size=4) | st.lists(checkpoints(), min_size=1, max_size=4)
)
def test_settled_together_is_what_each_calls_settled(parts: list[Checkpoint | None]) -> None:
    made = combined(parts)
    for number in range(1, LINES + 2):
        for length in LENGTHS:
            if settles(made, number, length):
                assert all(settles(part, number, length) for part in parts)
    if made is not None:
        assert made.line <= made.read_line
        assert (made.line, made.offset) == min((part.line, part.offset) for part in parts if part)


@given(part=checkpoints(), count=st.integers(1, 4))
def test_parts_that_agree_lose_nothing(part: Checkpoint, count: int) -> None:
    assert combined([part] * count) == part


@given(
    sets=st.lists(st.sets(st.integers(0, 30)), max_size=4),
    below=st.integers(0, 32),
)
def test_a_union_of_runs(sets: list[set[int]], below: int) -> None:
    union = Runs.union([Runs.of(each) for each in sets], below)
    assert union == Runs.of(number for each in sets for number in each if number < below)
