"""Values and messages, against the SDK's own codec; and bytes that are neither."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from azure.eventhub._pyamqp import _decode as sdk_decode
from azure.eventhub._pyamqp import _encode as sdk_encode
from azure.eventhub._pyamqp.message import Message
from hypothesis import example, given
from hypothesis import strategies as st

from plugins.eventhubs.tests.emulator.driver import batch, data
from tailrace_eventhubs.emulator import encode, messages
from tailrace_eventhubs.emulator.decode import Described, Malformed, decode, items, skip
from tailrace_eventhubs.emulator.encode import described
from tailrace_eventhubs.emulator.log import events_in

TEXT = st.text(max_size=300)
BODIES = st.lists(st.binary(max_size=300), min_size=1, max_size=20)
KEYS = st.none() | st.text(min_size=1, max_size=20)
ENCODED = st.one_of(
    st.just((encode.NULL, None)),
    st.booleans().map(lambda v: (encode.boolean(v), v)),
    st.integers(0, 255).map(lambda v: (encode.ubyte(v), v)),
    st.integers(0, 2**16 - 1).map(lambda v: (encode.ushort(v), v)),
    st.integers(0, 2**32 - 1).map(lambda v: (encode.uint(v), v)),
    st.integers(0, 2**64 - 1).map(lambda v: (encode.ulong(v), v)),
    st.integers(-(2**31), 2**31 - 1).map(lambda v: (encode.integer(v), v)),
    st.integers(-(2**63), 2**63 - 1).map(lambda v: (encode.long(v), v)),
    st.integers(-(2**63), 2**63 - 1).map(lambda v: (encode.timestamp(v), v)),
    st.binary(max_size=300).map(lambda v: (encode.binary(v), v)),
    TEXT.map(lambda v: (encode.string(v), v)),
    TEXT.map(lambda v: (encode.symbol(v), v)),
    # The SDK leaves the type of an empty array unread, and nobody sends it one.
    st.lists(TEXT, min_size=1, max_size=5).map(lambda v: (encode.symbols(v), v)),
    st.lists(TEXT, min_size=1, max_size=5).map(lambda v: (encode.strings(v), v)),
)
VALUES = st.recursive(
    ENCODED,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5).map(lambda vs: (encode.sequence(e for e, _ in vs), [v for _, v in vs])),
        st.dictionaries(st.integers(0, 1000), inner, max_size=5).map(
            lambda d: (
                encode.mapping((encode.uint(k), e) for k, (e, _) in d.items()),
                {k: v for k, (_, v) in d.items()},
            )
        ),
    ),
    max_leaves=12,
)


def bare(value: object) -> object:
    """A value of the SDK's decoder, which leaves text as bytes, comparable to ours."""
    if isinstance(value, list):
        return [bare(one) for one in value]
    if isinstance(value, dict):
        return {key: bare(one) for key, one in value.items()}
    return value.encode() if isinstance(value, str) else value


@given(VALUES, st.binary(max_size=5))
def test_what_is_written_is_read_by_us_and_by_the_sdk(value: tuple[bytes, object], rest: bytes) -> None:
    encoded, expected = value
    assert decode(encoded + rest, 0) == (expected, len(encoded))
    assert skip(encoded + rest, 0) == len(encoded)
    sdk_decoders: list[Any] = sdk_decode._DECODE_BY_CONSTRUCTOR
    left, read = sdk_decoders[encoded[0]](memoryview(encoded)[1:])
    assert (bytes(left), bare(read)) == (b"", bare(expected))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("BOOL", True), ("BYTE", -7), ("UBYTE", 200), ("SHORT", -300), ("USHORT", 60000), ("INT", -70000),
        ("UINT", 3_000_000_000), ("LONG", -(2**40)), ("ULONG", 2**60), ("DOUBLE", 1.5), ("FLOAT", 0.25),
        ("UUID", UUID(int=7)), ("BINARY", b"x" * 300), ("STRING", "ü" * 300), ("SYMBOL", "symbol"),
        ("TIMESTAMP", 1_700_000_000_000), ("NULL", None),
    ],
)  # fmt: skip
def test_what_the_sdk_writes_is_read(kind: str, value: object) -> None:
    output = bytearray()
    sdk_encode.encode_value(output, {"TYPE": kind, "VALUE": value})
    assert decode(bytes(output), 0) == (value, len(output))
    assert skip(bytes(output), 0) == len(output)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_value_or_malformed(raw: bytes) -> None:
    with suppress(Malformed):
        assert 0 < decode(raw, 0)[1] <= len(raw)
    with suppress(Malformed):
        assert 0 < skip(raw, 0) <= len(raw)


@given(VALUES, st.data())
def test_a_value_that_is_cut_is_malformed(value: tuple[bytes, object], draw: st.DataObject) -> None:
    encoded, _ = value
    cut = encoded[: draw.draw(st.integers(0, len(encoded) - 1))]
    for reader in (decode, skip):
        with pytest.raises(Malformed):
            reader(cut, 0)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00" * 5000,  # described by described by …
        b"\xc0\x7f\x01" * 200,  # lists in lists
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40",  # four thousand million nulls
        b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff",  # a list of as many
        b"\xd1\x00\x00\x00\x05\x00\x00\x00\x01\x40",  # a key without a value
        b"\xc1\x04\x02\x45\x40\x40",  # a list as a key
        b"\xa1\x02\xff\xfe",  # text that is not UTF-8
        b"\x3f",
    ],
)
def test_values_made_to_harm(raw: bytes) -> None:
    with pytest.raises(Malformed):
        decode(raw, 0)


def test_a_list_stays_raw() -> None:
    raw = encode.sequence([encode.string("a"), encode.NULL, encode.uint(7)])
    assert items(raw + b"rest", 0) == ([encode.string("a"), encode.NULL, encode.uint(7)], len(raw))


# Messages


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=20), st.none() | st.text(min_size=1, max_size=20)
)
def test_a_batch_is_cut_where_its_events_are(bodies: list[bytes], key: str | None) -> None:
    raw = batch([data(body) for body in bodies], key)
    assert events_in(messages.BATCH, raw) == len(bodies)
    assert messages.key_of(raw) == key
    assert [messages.body(event) for event in messages.split(raw)] == bodies


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.data())
def test_a_batch_that_is_cut_is_malformed(bodies: list[bytes], draw: st.DataObject) -> None:
    raw = batch([data(body) for body in bodies])
    ends = {0}
    for event in bodies:
        ends.add(max(ends) + len(batch([data(event)])))
    at = draw.draw(st.integers(1, len(raw) - 1).filter(lambda at: at not in ends))
    with pytest.raises(Malformed):
        events_in(messages.BATCH, raw[:at])


def test_a_section_with_a_long_descriptor_is_a_section() -> None:
    usual = data(b"one")
    long_form = b"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x75" + encode.binary(data(b"two"))
    raw = described(0x75, encode.binary(usual)) + long_form
    assert [messages.body(event) for event in messages.split(raw)] == [b"one", b"two"]


@given(
    body=st.binary(min_size=1, max_size=300),
    told=st.dictionaries(
        st.text(min_size=1, max_size=10), st.text(max_size=10) | st.integers(0, 9), max_size=3
    ),
    key=st.none() | st.text(min_size=1, max_size=20),
)
def test_a_delivered_event_is_what_the_sdk_wrote_and_what_the_server_knows(
    body: bytes, told: dict[str, Any], key: str | None
) -> None:
    output = bytearray()
    properties: dict[str | bytes, Any] | None = dict(told.items()) or None
    sdk_encode.encode_payload(
        output,
        Message(data=[body], application_properties=properties, message_annotations={b"x-own": 1}),
    )
    raw = messages.delivered(bytes(output), sequence=7, offset="448", enqueued=1_700_000_000_000, key=key)
    read = sdk_decode.decode_payload(memoryview(raw))
    assert read.data == [body]
    annotations = dict(read.message_annotations or {})
    assert annotations.pop(b"x-own") == 1
    assert annotations.pop(b"x-opt-sequence-number") == 7
    assert annotations.pop(b"x-opt-offset") == b"448"
    assert annotations.pop(b"x-opt-enqueued-time") == 1_700_000_000_000
    assert annotations == ({} if key is None else {b"x-opt-partition-key": key.encode()})
    assert messages.application(bytes(output)) == told
    assert bare(dict(read.application_properties or {})) == {k.encode(): bare(v) for k, v in told.items()}


@given(st.binary(max_size=60))
@example(b"\xff\xff")
@example(described(0x72, encode.string("no map")))
@example(described(0x72, encode.mapping([(encode.symbol("x-opt-partition-key"), b"\xa1\x01\xff")])))
@example(described(0x74, encode.mapping([(encode.string("a"), b"\xa1\x01\xff")])))
@example(described(0x77, b"\xa1\x01\xff"))
def test_an_event_that_is_no_message_is_read_as_one_that_holds_it(event: bytes) -> None:
    whole = messages.readable(event)
    raw = messages.delivered(whole, sequence=0, offset="0", enqueued=0, key=None)
    messages.application(whole)
    messages.properties(whole)
    messages.key_of(whole)
    if whole != event:
        assert messages.body(whole) == event
        assert sdk_decode.decode_payload(memoryview(raw)).data == [event]


def test_a_described_value_keeps_its_descriptor() -> None:
    assert decode(described(0x24, encode.sequence([])), 0)[0] == Described(0x24, [])
