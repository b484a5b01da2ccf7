"""Writing AMQP 1.0 values: each function gives the bytes of one value of one type."""

from __future__ import annotations

import struct
from collections.abc import Iterable

NULL = b"\x40"
TRUE = b"\x41"
FALSE = b"\x42"

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_I64 = struct.Struct(">q")


def boolean(value: bool) -> bytes:
    return TRUE if value else FALSE


def ubyte(value: int) -> bytes:
    return bytes((0x50, value))


def ushort(value: int) -> bytes:
    return struct.pack(">BH", 0x60, value)


def uint(value: int) -> bytes:
    if value == 0:
        return b"\x43"
    return bytes((0x52, value)) if value < 256 else b"\x70" + _U32.pack(value)


def ulong(value: int) -> bytes:
    if value == 0:
        return b"\x44"
    return bytes((0x53, value)) if value < 256 else b"\x80" + _U64.pack(value)


def integer(value: int) -> bytes:
    return struct.pack(">Bi", 0x71, value)


def long(value: int) -> bytes:
    return b"\x81" + _I64.pack(value)


def timestamp(milliseconds: int) -> bytes:
    return b"\x83" + _I64.pack(milliseconds)


def _variable(small: int, data: bytes) -> bytes:
    if len(data) < 256:
        return bytes((small, len(data))) + data
    return bytes((small + 0x10,)) + _U32.pack(len(data)) + data


def binary(data: bytes) -> bytes:
    return _variable(0xA0, data)


def string(text: str) -> bytes:
    return _variable(0xA1, text.encode())


def symbol(text: str) -> bytes:
    return _variable(0xA3, text.encode())


def _compound(small: int, count: int, data: bytes) -> bytes:
    if len(data) < 255 and count < 256:
        return bytes((small, len(data) + 1, count)) + data
    return struct.pack(">BII", small + 0x10, len(data) + 4, count) + data


def sequence(values: Iterable[bytes]) -> bytes:
    """A list."""
    encoded = list(values)
    return _compound(0xC0, len(encoded), b"".join(encoded))


def mapping(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    encoded = [part for entry in entries for part in entry]
    return _compound(0xC1, len(encoded), b"".join(encoded))


def _array(small: int, texts: Iterable[str]) -> bytes:
    """An array of texts; the long form, which no reader takes for anything else."""
    parts = [text.encode() for text in texts]
    data = bytes((small + 0x10,)) + b"".join(_U32.pack(len(part)) + part for part in parts)
    return struct.pack(">BII", 0xF0, len(data) + 4, len(parts)) + data


def symbols(texts: Iterable[str]) -> bytes:
    return _array(0xA3, texts)


def strings(texts: Iterable[str]) -> bytes:
    return _array(0xA1, texts)


def described(code: int, value: bytes) -> bytes:
    return bytes((0x00, 0x53, code)) + value
