"""Events as the bytes of AMQP messages: what the SDK's `EventDataBatch` would make of them, to the byte.

The hot path. The SDK builds objects for each event and encodes it three times; here it is two joins. A batch
is a message whose data sections hold the events, each of them a message again; with a partition key both
carry it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from struct import pack

from tailrace_eventhubs.sending.shape import Shape
from tailrace_eventhubs.sending.submissions import Packed

MESSAGE_FORMAT = 0x80013700
"""Of a transfer that holds a batch."""

_HEADER = bytes.fromhex("005370c00705560140404040")
"""`durable`, which the SDK sets where there is a key."""
_KEY = b"\xa3\x13x-opt-partition-key"
_MOST_HEADS = 4096


class Encoding:
    """Makes batches of events of one shape."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._properties = _properties(shape.content_type)
        self._heads: dict[int, bytes] = {}

    def batches(
        self, data: Sequence[bytes], indices: Sequence[int], key: str, limit: int
    ) -> tuple[list[Packed], list[tuple[int, int]]]:
        """The batches of these records, each of at most `limit` bytes, in order; and those that no batch can
        take, with the size that a batch of each alone would have. An empty key is none. Raises
        UnicodeEncodeError for a key that is no Unicode text."""
        begin = key_sections(key)
        if len(indices) == 1 and not self._shape.varies:  # the usual case of a key
            body = data[indices[0]]
            payload = b"".join((begin, _head(begin + self._properties, len(body)), body))
            if len(payload) <= limit:
                return [Packed(payload, indices)], []
            return [], [(indices[0], len(payload))]
        bodies = [data[index] for index in indices]
        if self._shape.varies:
            heads, bodies = self._unlike(begin, bodies)
        else:
            heads = self._alike(begin, bodies)
        sizes = [len(head) + len(body) for head, body in zip(heads, bodies, strict=True)]
        if len(begin) + sum(sizes) <= limit:
            return [Packed(_join(begin, heads, bodies), indices)], []
        packed: list[Packed] = []
        over: list[tuple[int, int]] = []
        for first, end in _cuts(sizes, limit - len(begin)):
            if sum(sizes[first:end]) > limit - len(begin):
                over.append((indices[first], len(begin) + sizes[first]))
            else:
                part = _join(begin, heads[first:end], bodies[first:end])
                packed.append(Packed(part, indices[first:end]))
        return packed, over

    def events(self, data: Sequence[bytes], indices: Sequence[int], key: str) -> list[bytes]:
        """These records as messages of their own, in order."""
        begin, found = key_sections(key), []
        for index in indices:
            event = self._shape.event(data[index])
            beside = _properties(event.content_type) + _application_properties(event.properties)
            found.append(b"".join((begin, beside, _section(len(event.body)), event.body)))
        return found

    def _alike(self, begin: bytes, bodies: Sequence[bytes]) -> list[bytes]:
        """What stands before the body of each event, where all have the same properties."""
        if begin:
            before = begin + self._properties
            return [_head(before, len(body)) for body in bodies]
        known, heads = self._heads, []
        for body in bodies:
            head = known.get(len(body))
            if head is None:
                if len(known) >= _MOST_HEADS:
                    known.clear()
                head = known[len(body)] = _head(self._properties, len(body))
            heads.append(head)
        return heads

    def _unlike(self, begin: bytes, records: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
        """The same where each has its own, and the bodies."""
        events = [self._shape.event(record) for record in records]
        heads = [
            _head(
                begin + _properties(event.content_type) + _application_properties(event.properties),
                len(event.body),
            )
            for event in events
        ]
        return heads, [event.body for event in events]


def key_sections(key: str) -> bytes:
    """What says the partition key, in a batch and in each of its events."""
    if not key:
        return b""
    text = key.encode()
    return _before_key(len(text)) + text


@lru_cache(maxsize=512)
def _before_key(length: int) -> bytes:
    """What stands before a key of so many bytes."""
    size = len(_KEY) + length + (2 if length < 256 else 5)
    return _HEADER + b"\x00\x53\x72" + _map(size, 2) + _KEY + _text(b"\x00" * length)[:-length]


def _cuts(sizes: Sequence[int], room: int) -> Iterator[tuple[int, int]]:
    """From where to where batches go that hold as much as they can; what is too large alone is alone."""
    first = size = 0
    for place, more in enumerate(sizes):
        if place > first and size + more > room:
            yield first, place
            first, size = place, 0
        size += more
    yield first, len(sizes)


def _join(begin: bytes, heads: Sequence[bytes], bodies: Sequence[bytes]) -> bytes:
    return b"".join([begin, *chain.from_iterable(zip(heads, bodies, strict=True))])


def _head(before: bytes, length: int) -> bytes:
    """A data section around an event whose own body has `length` bytes, up to that body."""
    inner = _section(length)
    return _section(len(before) + len(inner) + length) + before + inner


def _section(length: int) -> bytes:
    """How a data section of so many bytes begins."""
    if length < 256:
        return b"\x00\x53\x75\xa0" + bytes((length,))
    return pack(">4sI", b"\x00\x53\x75\xb0", length)


def _properties(content_type: str | None) -> bytes:
    """The section `properties` with nothing but a content type, which is a symbol."""
    if content_type is None:
        return b""
    text = content_type.encode()
    symbol = (b"\xa3" + bytes((len(text),)) if len(text) < 256 else pack(">cI", b"\xb3", len(text))) + text
    body = b"\x40" * 6 + symbol + b"\x40" * 6
    if len(body) < 255:
        return b"\x00\x53\x73\xc0" + bytes((len(body) + 1, 13)) + body
    return b"\x00\x53\x73" + pack(">cII", b"\xd0", len(body) + 4, 13) + body


def _application_properties(properties: Mapping[str, str]) -> bytes:
    if not properties:
        return b""
    said = b"".join([_text(text.encode()) for item in properties.items() for text in item])
    return b"\x00\x53\x74" + _map(len(said), 2 * len(properties)) + said


def _text(text: bytes) -> bytes:
    return (b"\xa1" + bytes((len(text),)) if len(text) < 256 else pack(">cI", b"\xb1", len(text))) + text


def _map(size: int, count: int) -> bytes:
    return b"\xc1" + bytes((size + 1, count)) if size < 255 else pack(">cII", b"\xd1", size + 4, count)
