"""Messages as the senders wrote them: found their parts in, never rebuilt.

A batch is one message whose data sections each hold one whole encoded event. It is stored as it came; its
events are cut out when somebody reads them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from tailrace_eventhubs.emulator.decode import Malformed, decode, pairs, skip
from tailrace_eventhubs.emulator.encode import binary, described, long, mapping, string, symbol, timestamp

BATCH = 0x80013700

HEADER, DELIVERY_ANNOTATIONS, ANNOTATIONS, PROPERTIES, APPLICATION = 0x70, 0x71, 0x72, 0x73, 0x74
DATA, SEQUENCE, VALUE = 0x75, 0x76, 0x77

_DATA = b"\x00\x53\x75"
_U32 = struct.Struct(">I")
_KEY = symbol("x-opt-partition-key")
_OURS = {symbol(name) for name in ("x-opt-sequence-number", "x-opt-offset", "x-opt-enqueued-time")}

NAMES = (
    "message-id", "user-id", "to", "subject", "reply-to", "correlation-id", "content-type",
    "content-encoding", "absolute-expiry-time", "creation-time", "group-id", "group-sequence",
    "reply-to-group-id",
)  # fmt: skip


def sections(raw: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Of each section of a message: its code, where it begins, where its value begins, where it ends."""
    at = 0
    while at < len(raw):
        begin = at
        if raw[at] != 0:
            raise Malformed("a message holds something that is no section")
        code, at = decode(raw, at + 1)
        if not isinstance(code, int) or not HEADER <= code <= 0x78:
            raise Malformed("a message holds an unknown section")
        end = skip(raw, at)
        yield code, begin, at, end
        at = end


def key_of(raw: bytes) -> str | None:
    """The partition key that a message or a batch carries."""
    if raw[:3] == _DATA:  # the data of a message comes after all that could tell
        return None
    for code, _, value, _ in sections(raw):
        if code == ANNOTATIONS:
            for name, key in pairs(raw, value):
                if name == _KEY:
                    return _text(decode(key, 0)[0])
        if code > ANNOTATIONS:
            break
    return None


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return None if value is None else str(value)


def count(raw: bytes) -> int:
    """How many events a batch holds. Raises Malformed unless the whole of it is right."""
    found = 0
    for begin, end in _spans(raw):
        if begin == end:
            raise Malformed("a batch holds an empty event")
        found += 1
    return found


def split(raw: bytes) -> list[bytes]:
    """The events of a batch."""
    return [raw[begin:end] for begin, end in _spans(raw)]


def _spans(raw: bytes) -> Iterator[tuple[int, int]]:
    """Where the events of a batch are. The usual form of a section is read without the general decoder:
    this is the one thing the server does for each event."""
    at, end = _envelope(raw), len(raw)
    while at < end:
        if raw[at : at + 3] != _DATA or at + 8 > end:
            yield from _slowly(raw, at)
            return
        if raw[at + 3] == 0xB0:
            begin = at + 8
            at = begin + _U32.unpack_from(raw, at + 4)[0]
        elif raw[at + 3] == 0xA0:
            begin = at + 5
            at = begin + raw[at + 4]
        else:
            raise Malformed("a batch holds something that is no event")
        if at > end:
            raise Malformed("a batch is cut")
        yield begin, at


def _envelope(raw: bytes) -> int:
    """Where the first data section of a batch begins."""
    if raw[:3] == _DATA:
        return 0
    for code, begin, _, _ in sections(raw):
        if code == DATA:
            return begin
    return len(raw)


def _slowly(raw: bytes, at: int) -> Iterator[tuple[int, int]]:
    for code, _, value, end in sections(raw[at:]):
        if code == DATA:
            if raw[at + value] not in (0xA0, 0xB0):
                raise Malformed("a batch holds something that is no event")
            yield at + value + (2 if raw[at + value] == 0xA0 else 5), at + end
        elif code < DATA:
            raise Malformed("a batch holds something that is no event")


def readable(event: bytes) -> bytes:
    """An event as it is; or, if it is no message, a message that holds its bytes. What a batch holds is its
    sender's affair, and the server takes it; but it must not harm who reads it."""
    try:
        for code, _, value, _ in sections(event):
            if code == ANNOTATIONS:
                pairs(event, value)
            elif code != DATA:
                decode(event, value)
        key_of(event)
    except Malformed:
        return described(DATA, binary(event))
    return event


def body(event: bytes) -> bytes:
    """The body of a readable event: its data sections put together; a value or a sequence as its bytes."""
    parts = []
    for code, _, value, end in sections(event):
        if code == DATA:
            data, _ = decode(event, value)
            parts.append(data if isinstance(data, bytes) else b"")
        elif code in (SEQUENCE, VALUE):
            found, _ = decode(event, value)
            parts.append(found if isinstance(found, bytes) else event[value:end])
    return b"".join(parts)


def application(event: bytes) -> dict[str, object]:
    """The application properties of a readable event."""
    for code, _, value, _ in sections(event):
        if code == APPLICATION:
            found, _ = decode(event, value)
            if isinstance(found, dict):
                return {str(_text(name)): value for name, value in found.items()}
    return {}


def properties(event: bytes) -> dict[str, object]:
    """The standard properties that a readable event carries, by name (`content-type`, `message-id`, …)."""
    for code, _, value, _ in sections(event):
        if code == PROPERTIES:
            found, _ = decode(event, value)
            if isinstance(found, list):
                return {name: value for name, value in zip(NAMES, found, strict=False) if value is not None}
    return {}


def delivered(
    event: bytes, *, sequence: int, offset: str, enqueued: int, key: str | None, more: Sequence[bytes] = ()
) -> bytes:
    """A readable event as a consumer gets it: what the server knows about it, then what the sender wrote."""
    annotations = [
        (symbol("x-opt-sequence-number"), long(sequence)),
        (symbol("x-opt-offset"), string(offset)),
        (symbol("x-opt-enqueued-time"), timestamp(enqueued)),
    ]
    kept = []
    named = False
    for code, begin, value, end in sections(event):
        if code == ANNOTATIONS:
            original = pairs(event, value)
            named = any(name == _KEY for name, _ in original)
            annotations.extend(entry for entry in original if entry[0] not in _OURS)
        elif code >= PROPERTIES:
            kept.append(event[begin:end])
    if key is not None and not named:
        annotations.append((_KEY, string(key)))
    return b"".join([*more, described(ANNOTATIONS, mapping(annotations)), *kept])
