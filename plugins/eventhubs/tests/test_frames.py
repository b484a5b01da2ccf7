"""Frames are written as the SDK reads them and read as it writes them; garbage ends a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from azure.eventhub._pyamqp._decode import decode_frame
from azure.eventhub._pyamqp._encode import encode_frame
from azure.eventhub._pyamqp.error import AMQPError
from azure.eventhub._pyamqp.outcomes import Accepted, Modified, Rejected, Released
from azure.eventhub._pyamqp.performatives import DispositionFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace_eventhubs.sending.encoding import MESSAGE_FORMAT
from tailrace_eventhubs.sending.frames import DISPOSITION, EMPTY, Frame, Garbled, Splitter, accepted, transfer
from tailrace_eventhubs.sending.states import outcome_of

MOST = 512
numbers = st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1))
states: Sequence[Any] = (
    Accepted(),
    Released(),
    Modified(True, None, None),
    Rejected(AMQPError(condition=b"com.microsoft:server-busy", description="busy", info=None)),
    None,
)


def whole(splitter: Splitter, data: bytes) -> list[tuple[int, int, bytes]]:
    return [(frame.channel, frame.code, bytes(frame.body)) for frame in splitter.feed(data)]


@settings(deadline=None)
@given(
    st.integers(0, 4999),
    numbers,
    st.lists(st.tuples(numbers, st.integers(0, 2000)), max_size=4),
    st.lists(st.integers(1, 700), min_size=1, max_size=30),
)
def test_transfers_are_what_the_sdk_reads_however_they_are_cut(
    channel: int, handle: int, deliveries: list[tuple[int, int]], cuts: list[int]
) -> None:
    frames: list[bytes | memoryview] = []
    counts = [
        transfer(channel, handle, number, b"p" * length, MOST, frames=frames) for number, length in deliveries
    ]
    data = b"".join(frames)
    splitter, found, at = Splitter(), [], 0
    for cut in cuts * (len(data) // sum(cuts) + 1):
        found += whole(splitter, data[at : at + cut])
        at += cut
    assert len(found) == sum(counts)
    for (number, length), count in zip(deliveries, counts, strict=True):
        mine, found = found[:count], found[count:]
        payload = b""
        for place, (on, code, body) in enumerate(mine):
            assert (on, code) == (channel, 20)
            assert len(body) + 8 <= MOST
            fields: list[Any] = decode_frame(memoryview(body))[1]
            more = place < count - 1
            assert fields[:6] == [handle, number, number.to_bytes(4, "big"), MESSAGE_FORMAT, False, more]
            payload += bytes(fields[-1])
        assert payload == b"p" * length


def disposition(role: bool, first: int, last: int | None, settled: bool, state: Any) -> bytes:
    frame = DispositionFrame(role=role, first=first, last=last, settled=settled, state=state, batchable=None)
    header, body = encode_frame(frame)
    assert body is not None
    return header + b"\x00\x07" + body


@settings(deadline=None)
@given(st.booleans(), numbers, st.one_of(st.none(), numbers), st.booleans(), st.sampled_from(states))
def test_a_disposition_means_what_the_sdk_says_it_means(
    role: bool, first: int, last: int | None, settled: bool, state: Any
) -> None:
    ((frame),) = list(Splitter().feed(disposition(role, first, last, settled, state)))
    assert (frame.channel, frame.code) == (7, DISPOSITION)
    fields: list[Any] = decode_frame(frame.body)[1]
    assert fields[1:3] == [first, last]
    said = accepted(frame.body)
    if said is not None:
        assert role and settled and isinstance(state, Accepted)
        assert said == (first, first if last is None else last)
    elif role and settled and isinstance(state, Accepted):
        pytest.fail("the usual answer is read slowly")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (states[0], None),
        (states[1], ("released", None)),
        (states[2], ("modified", None)),
        (states[3], ("rejected", "com.microsoft:server-busy")),
        (states[4], ("unanswered", None)),
    ],
)
def test_what_a_state_says(state: Any, said: tuple[str, str | None] | None) -> None:
    ((frame),) = list(Splitter().feed(disposition(True, 1, None, True, state)))
    fields: list[Any] = decode_frame(frame.body)[1]
    outcome = outcome_of(fields[4])
    assert (outcome and (outcome.fate, outcome.code)) == said


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_garbled_or_waits_for_more(data: bytes) -> None:
    try:
        for frame in Splitter().feed(data):
            assert isinstance(frame, Frame)
    except Garbled:
        pass


@settings(deadline=None)
@given(st.binary(min_size=8, max_size=40))
def test_no_disposition_is_read_out_of_garbage_wrongly(body: bytes) -> None:
    said = accepted(memoryview(b"\x00\x53\x15" + body))
    if said is not None:
        fields: list[Any] = decode_frame(memoryview(b"\x00\x53\x15" + body))[1]
        assert (fields[0], fields[3], list(fields[4])) == (True, True, ["accepted"])


def test_an_empty_frame_says_nothing() -> None:
    assert whole(Splitter(), EMPTY * 2) == [(0, 0, b""), (0, 0, b"")]
