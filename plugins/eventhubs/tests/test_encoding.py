"""The bytes that are sent are those that the SDK would send."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from azure.eventhub import EventData, EventDataBatch
from azure.eventhub._pyamqp._decode import decode_payload
from azure.eventhub._pyamqp._encode import encode_payload
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace_eventhubs.sending.encoding import Encoding
from tailrace_eventhubs.sending.shape import Shape, event_id
from tailrace_eventhubs.sending.submissions import Packed

PLENTY = 1 << 20

bodies = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.integers(200, 300).map(lambda length: b"x" * length),
        st.integers(1000, 1100).map(lambda length: b"y" * length),
    ),
    min_size=1,
    max_size=12,
)
keys = st.one_of(
    st.just(""),
    st.text(min_size=1, max_size=300).filter(str.strip),
    st.sampled_from([229, 231, 232, 256]).map("k".__mul__),
).filter(lambda key: all(not 0xD800 <= ord(letter) < 0xE000 for letter in key))
content_types = st.one_of(st.none(), st.sampled_from(["application/json", "c" * 240, "c" * 255, "c" * 300]))


def sdk_batch(
    data: list[bytes], key: str, content_type: str | None, id_name: str | None, limit: int = PLENTY
) -> EventDataBatch:
    batch = EventDataBatch(max_size_in_bytes=limit, partition_key=key or None)
    for body in data:
        event = EventData(body)
        event.properties = {}
        if content_type is not None:
            event.content_type = content_type
        id = event_id(body)
        if id_name is not None and id is not None:
            event.properties = {id_name: id}
        batch.add(event)
    return batch


def encoded(batch: EventDataBatch) -> bytes:
    output = bytearray()
    encode_payload(output, batch._message)
    return bytes(output)


def record(id: str) -> bytes:
    return b'{"specversion":"1.0","id":"' + id.encode() + b'","source":"x"}'


@settings(deadline=None)
@given(bodies, keys, content_types)
def test_a_batch_is_the_sdks_to_the_byte(data: list[bytes], key: str, content_type: str | None) -> None:
    packed, over = Encoding(Shape(content_type)).batches(data, range(len(data)), key, PLENTY)
    assert [part.payload for part in packed] == [encoded(sdk_batch(data, key, content_type, None))]
    assert not over


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "0" * 32, "b" * 255]), min_size=1, max_size=5), keys, content_types)
def test_an_event_id_goes_along_as_a_property(ids: list[str], key: str, content_type: str | None) -> None:
    data = [record(id) for id in ids]
    packed, _ = Encoding(Shape(content_type, "event-id")).batches(data, range(len(data)), key, PLENTY)
    assert [part.payload for part in packed] == [encoded(sdk_batch(data, key, content_type, "event-id"))]


@settings(deadline=None)
@given(bodies, keys)
def test_the_sdk_reads_what_was_given(data: list[bytes], key: str) -> None:
    (packed,), _ = Encoding(Shape()).batches(data, range(len(data)), key, PLENTY)
    message: Any = decode_payload(memoryview(packed.payload))
    events: list[Any] = [decode_payload(memoryview(bytes(part))) for part in message.data]
    assert [b"".join(event.data) for event in events] == data
    for said in (message, *events):
        assert (said.message_annotations or {}).get(b"x-opt-partition-key", b"") == key.encode()


@settings(deadline=None)
@given(bodies, keys, st.integers(100, 1500))
def test_batches_are_cut_where_the_sdk_would_cut_them(data: list[bytes], key: str, limit: int) -> None:
    indices = [index * 2 for index in range(len(data))]
    spread = [data[index // 2] for index in range(2 * len(data))]
    packed, over = Encoding(Shape()).batches(spread, indices, key, limit)
    assert sorted([i for part in packed for i in part.indices] + [i for i, _ in over]) == indices
    for part in packed:
        assert len(part.payload) <= limit
        assert part.payload == encoded(sdk_batch([spread[i] for i in part.indices], key, None, None))
    for index, size in over:
        alone = sdk_batch([spread[index]], key, None, None)
        assert size == alone.size_in_bytes > limit
        with pytest.raises(ValueError):
            sdk_batch([spread[index]], key, None, None, limit)
    for before, after in pairwise(packed):
        first = spread[after.indices[0]]
        skipped = any(before.indices[-1] < index < after.indices[0] for index, _ in over)
        if not skipped:
            with pytest.raises(ValueError):
                sdk_batch([*(spread[i] for i in before.indices), first], key, None, None, limit)


def test_a_batch_is_full_to_the_last_byte() -> None:
    encoding = Encoding(Shape())
    (alone,), _ = encoding.batches([b"x" * 300], [0], "key", PLENTY)
    size = len(alone.payload)
    assert encoding.batches([b"x" * 300], [0], "key", size) == ([Packed(alone.payload, [0])], [])
    assert encoding.batches([b"x" * 300], [0], "key", size - 1) == ([], [(0, size)])


def test_records_without_an_id_get_no_property() -> None:
    assert event_id(b"{}") is None
    assert event_id(b'{"specversion":"1.0","id":"') is None
    assert event_id(b'{"specversion":"1.0","id":"abc"') == "abc"


def test_a_key_that_is_no_text_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        Encoding(Shape()).batches([b"x"], [0], "\ud800", PLENTY)


def test_a_million_lengths_are_not_remembered() -> None:
    encoding = Encoding(Shape())
    for length in range(0, 60_000, 7):
        encoding.batches([b"x" * length], [0], "", PLENTY)
    assert len(encoding._heads) <= 4096


CLOUD_EVENT = (
    b'{"specversion":"1.0","id":"0123456789abcdef","source":"tailrace:/x","type":"t",'
    b'"subject":"caf\xc3\xa9 \\"q\\"","sequence":"7","datacontenttype":"application/json",'
    b'"data":{"n": [1, "\xc3\xa9"]},"cause":"entered"}'
)


def test_a_cloud_event_in_binary_mode_is_its_data_with_its_attributes_beside() -> None:
    event = Shape(binary=True).event(CLOUD_EVENT)
    assert event.body == '{"n": [1, "é"]}'.encode()
    assert event.content_type == "application/json"
    assert event.properties == {
        "cloudEvents:specversion": "1.0",
        "cloudEvents:id": "0123456789abcdef",
        "cloudEvents:source": "tailrace:/x",
        "cloudEvents:type": "t",
        "cloudEvents:subject": 'café "q"',
        "cloudEvents:sequence": "7",
        "cloudEvents:cause": "entered",
    }


@settings(deadline=None)
@given(st.lists(st.sampled_from([CLOUD_EVENT, b"{}", b"no JSON", CLOUD_EVENT * 2]), max_size=4), keys)
def test_binary_mode_is_encoded_as_the_sdk_does(records: list[bytes], key: str) -> None:
    shape = Shape(binary=True, event_id="id")
    batch = EventDataBatch(max_size_in_bytes=PLENTY, partition_key=key or None)
    for made in map(shape.event, records):
        event = EventData(made.body)
        event.properties = {}
        event.properties.update(made.properties)
        if made.content_type is not None:
            event.content_type = made.content_type
        batch.add(event)
    (packed,), _ = Encoding(shape).batches(records, range(len(records)), key, PLENTY)
    assert packed.payload == encoded(batch)
