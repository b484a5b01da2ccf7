"""AMQP frames of the hot path: transfers out, dispositions in. Everything else is the SDK's business."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from tailrace_eventhubs.sending.encoding import MESSAGE_FORMAT

TRANSFER, FLOW, DISPOSITION, DETACH, END, CLOSE = 20, 19, 21, 22, 23, 24
EMPTY = b"\x00\x00\x00\x08\x02\x00\x00\x00"
"""A frame that says nothing but that somebody is here."""

_transfer = Struct(">IBBH7sIcI2sIcIcc").pack
_TRANSFER_SIZE = Struct(">IBBH7sIcI2sIcIcc").size
_MORE, _LAST = b"\x41", b"\x42"
_uint = Struct(">I").unpack_from
_ACCEPTED = (b"\x00\x53\x24\x45", b"\x00\x53\x24\xc0\x01\x00")
"""Both ways to write a list of nothing; the second is what is written where fields might follow."""


class Frame(NamedTuple):
    """`body` begins with the performative, whose number is `code`; 0: an empty frame."""

    channel: int
    code: int
    body: memoryview


class Garbled(Exception):
    """What was received is no AMQP."""


def transfer(
    channel: int, handle: int, number: int, payload: bytes, most: int, *, frames: list[bytes | memoryview]
) -> int:
    """Append the frames of one delivery, none larger than `most`. Returns how many."""
    room = most - _TRANSFER_SIZE
    if len(payload) <= room:
        frames.append(_begin(channel, handle, number, len(payload), _LAST))
        frames.append(payload)
        return 1
    view, count = memoryview(payload), 0
    for at in range(0, len(payload), room):
        part = view[at : at + room]
        last = at + room >= len(payload)
        frames.append(_begin(channel, handle, number, len(part), _LAST if last else _MORE))
        frames.append(part)
        count += 1
    return count


def _begin(channel: int, handle: int, number: int, length: int, more: bytes) -> bytes:
    return _transfer(
        _TRANSFER_SIZE + length, 2, 0, channel, b"\x00\x53\x14\xc0\x18\x06\x70", handle, b"\x70", number,
        b"\xa0\x04", number, b"\x70", MESSAGE_FORMAT, b"\x42", more,
    )  # fmt: skip


class Splitter:
    """Takes bytes as they come and gives whole frames."""

    def __init__(self, rest: bytes = b"") -> None:
        self._rest = bytearray(rest)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Raises Garbled."""
        if self._rest:
            self._rest += data
            data = bytes(self._rest)
        view, at, end = memoryview(data), 0, len(data)
        while end - at >= 8:
            (size,) = _uint(data, at)
            if size < 8 or size > 1 << 24 or data[at + 4] < 2:
                raise Garbled
            if end - at < size:
                break
            start = at + 4 * data[at + 4]
            channel = data[at + 6] << 8 | data[at + 7]
            if start + 3 > at + size:
                yield Frame(channel, 0, view[:0])
            else:
                yield Frame(channel, data[start + 2], view[start : at + size])
            at += size
        self._rest = bytearray(data[at:])


def accepted(body: memoryview) -> tuple[int, int] | None:
    """Which deliveries a disposition settles as accepted, first and last. None: it says something else, or
    says it in a way that is not read here."""
    if body[3] != 0xC0 or body[5] < 5:
        return None
    try:
        at = 7 if body[6] == 0x41 else _true(body, 6)
        first, at = _number(body, at)
        last, at = (first, at + 1) if body[at] == 0x40 else _number(body, at)
        at = at + 1 if body[at] == 0x41 else _true(body, at)
    except (IndexError, ValueError):
        return None
    return (first, last) if bytes(body[at : at + 6]).startswith(_ACCEPTED) else None


def _true(body: memoryview, at: int) -> int:
    """What is behind `true`, in its longer form."""
    if body[at] == 0x56 and body[at + 1] == 1:
        return at + 2
    raise ValueError


def _number(body: memoryview, at: int) -> tuple[int, int]:
    """An unsigned integer, and what is behind it."""
    kind = body[at]
    if kind == 0x52:
        return body[at + 1], at + 2
    if kind == 0x70:
        return _uint(body, at + 1)[0], at + 5
    if kind == 0x43:
        return 0, at + 1
    raise ValueError
