"""Frames: the performatives the server reads and writes.

Whatever is written carries every field of its performative, nulls included: the SDK reads fields by their
place and does not fill up what a short list leaves out. What is read may be short, and is filled up here.
"""

from __future__ import annotations

import struct

from tailrace_eventhubs.emulator.decode import Malformed, decode, items
from tailrace_eventhubs.emulator.encode import (
    FALSE,
    NULL,
    TRUE,
    boolean,
    described,
    mapping,
    sequence,
    string,
    symbol,
    symbols,
    ubyte,
    uint,
    ulong,
    ushort,
)

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
MECHANISMS, INIT, _CHALLENGE, _RESPONSE, OUTCOME = range(0x40, 0x45)

MAX_FRAME = 65536
MAX_CHANNEL = 4999
MAX_HANDLE = 255
HEARTBEAT = struct.pack(">IBBH", 8, 2, 0, 0)

_FIELDS = 14  # of an attach, the longest
_HEADER = struct.Struct(">IBBH")

Fields = list[object]


class Condition(Exception):
    """An AMQP error to tell the client: its symbol and what happened."""

    def __init__(self, symbol: str, description: str = "") -> None:
        super().__init__(symbol)
        self.symbol = symbol
        self.description = description or symbol


def frame(channel: int, body: bytes, kind: int = 0) -> bytes:
    return _HEADER.pack(len(body) + 8, 2, kind, channel) + body


def performative(body: bytes) -> int:
    """The code of the performative in the body of a frame."""
    if len(body) < 4 or body[0] != 0:
        raise Malformed("a frame holds no performative")
    if body[1] == 0x53:
        return body[2]
    code, _ = decode(body, 1)
    if not isinstance(code, int):
        raise Malformed("a frame holds no performative")
    return code


def fields(body: bytes) -> tuple[Fields, int]:
    """The fields of a performative, filled up with None, and where the payload begins."""
    at = 3 if body[1] == 0x53 else decode(body, 1)[1]
    if at >= len(body) or body[at] not in (0x45, 0xC0, 0xD0):
        raise Malformed("a performative holds no list")
    values, at = decode(body, at)
    assert isinstance(values, list)
    if len(values) < _FIELDS:
        values.extend([None] * (_FIELDS - len(values)))
    return values, at


def raw_fields(body: bytes) -> list[bytes]:
    """The same, each field as its bytes: for what is sent back as it came."""
    found, _ = items(body, 3 if body[1] == 0x53 else decode(body, 1)[1])
    found.extend([NULL] * (_FIELDS - len(found)))
    return found


def error(condition: Condition | None) -> bytes:
    if condition is None:
        return NULL
    return described(0x1D, sequence([symbol(condition.symbol), string(condition.description), NULL]))


def mechanisms() -> bytes:
    return described(MECHANISMS, sequence([symbols(["MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"])]))


def outcome(code: int) -> bytes:
    return described(OUTCOME, sequence([ubyte(code), NULL]))


def open_(container: str, idle_ms: int) -> bytes:
    told = [string(container), NULL, uint(MAX_FRAME), ushort(MAX_CHANNEL), uint(idle_ms)]
    return described(OPEN, sequence(told + [NULL] * 5))


def begin(remote_channel: int, next_outgoing: int, incoming_window: int, outgoing_window: int) -> bytes:
    return described(
        BEGIN,
        sequence(
            [
                ushort(remote_channel),
                uint(next_outgoing),
                uint(incoming_window),
                uint(outgoing_window),
                uint(MAX_HANDLE),
                NULL,
                NULL,
                NULL,
            ]
        ),
    )


def attach(
    asked: list[bytes], *, receiver: bool, refused: bool = False, limit: int = 0, settle: bytes = b""
) -> bytes:
    """The answer to an attach: its source and target as they came, or without them for a refusal."""
    source, target = (NULL, NULL) if refused else (asked[5], asked[6])
    return described(
        ATTACH,
        sequence(
            [
                asked[0],
                asked[1],
                boolean(receiver),
                settle or asked[3],
                asked[4],
                source,
                target,
                NULL,
                NULL,
                NULL if receiver else uint(0),
                ulong(limit) if limit else NULL,
                NULL,
                NULL,
                mapping([]),
            ]
        ),
    )


def flow(
    next_incoming: int,
    incoming_window: int,
    next_outgoing: int,
    outgoing_window: int,
    *,
    handle: int | None = None,
    delivery_count: int = 0,
    credit: int = 0,
    drain: bool = False,
) -> bytes:
    link = [NULL] * 3
    if handle is not None:
        link = [uint(handle), uint(delivery_count & 0xFFFFFFFF), uint(credit)]
    return described(
        FLOW,
        sequence(
            [
                uint(next_incoming & 0xFFFFFFFF),
                uint(incoming_window),
                uint(next_outgoing & 0xFFFFFFFF),
                uint(outgoing_window),
                *link,
                NULL,
                boolean(drain),
                FALSE,
                NULL,
            ]
        ),
    )


def transfer(handle: int, delivery: int, tag: bytes, message_format: int, settled: bool, more: bool) -> bytes:
    return described(
        TRANSFER,
        sequence(
            [
                uint(handle),
                uint(delivery & 0xFFFFFFFF),
                tag,
                uint(message_format),
                boolean(settled),
                boolean(more),
                NULL,
                NULL,
                NULL,
                NULL,
                TRUE,
            ]
        ),
    )


def disposition(first: int, last: int, state: bytes) -> bytes:
    return described(DISPOSITION, sequence([TRUE, uint(first), uint(last), TRUE, state, NULL]))


def detach(handle: int, condition: Condition | None) -> bytes:
    return described(DETACH, sequence([uint(handle), TRUE, error(condition)]))


def end(condition: Condition | None = None) -> bytes:
    return described(END, sequence([error(condition)]))


def close(condition: Condition | None = None) -> bytes:
    return described(CLOSE, sequence([error(condition)]))


ACCEPTED = described(0x24, sequence([]))
RELEASED = described(0x26, sequence([]))
MODIFIED = described(0x27, sequence([TRUE, FALSE, NULL]))


def rejected(condition: Condition) -> bytes:
    return described(0x25, sequence([error(condition)]))
