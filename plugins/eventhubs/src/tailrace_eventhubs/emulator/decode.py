"""Reading AMQP 1.0 values from bytes.

`decode` makes Python values; `skip` only finds where a value ends, so that what is passed on can stay raw.
Both take bytes and a position and give the position after the value. Whatever the bytes are, the outcome is
a value or `Malformed`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

_DEEPEST = 32
_MOST_EMPTY = 4096  # elements of an array whose type takes no bytes: only their number costs memory

_U16 = struct.Struct(">H")
_I16 = struct.Struct(">h")
_U32 = struct.Struct(">I")
_I32 = struct.Struct(">i")
_U64 = struct.Struct(">Q")
_I64 = struct.Struct(">q")
_F32 = struct.Struct(">f")
_F64 = struct.Struct(">d")


class Malformed(ValueError):
    """Bytes that are not AMQP."""


@dataclass(frozen=True, slots=True)
class Described:
    descriptor: object
    value: object


Decoded = tuple[object, int]


def decode(data: bytes, at: int, depth: int = 0) -> Decoded:
    """The value that starts at a position, and the position after it."""
    try:
        code = data[at]
        if code == 0:
            return _described(data, at + 1, depth)
        return _decoder(code)(data, at + 1, depth)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise Malformed("a value is cut or not what it says") from error


def skip(data: bytes, at: int, depth: int = 0) -> int:
    """The position after the value that starts at a position."""
    try:
        code = data[at]
        if code == 0:
            if depth > _DEEPEST:
                raise Malformed("values are nested too deep")
            return skip(data, skip(data, at + 1, depth + 1), depth + 1)
        end = at + 1 + _length(data, code, at + 1)
    except (IndexError, struct.error) as error:
        raise Malformed("a value is cut") from error
    if end > len(data):
        raise Malformed("a value is cut")
    return end


def items(data: bytes, at: int) -> tuple[list[bytes], int]:
    """The values of a list, each as its bytes, and the position after the list."""
    count, at, end = _counted(data, at)
    found = []
    for _ in range(count):
        after = skip(data, at)
        found.append(data[at:after])
        at = after
    if at != end:
        raise Malformed("a list is not as long as it says")
    return found, end


def pairs(data: bytes, at: int) -> list[tuple[bytes, bytes]]:
    """The keys and values of a map, each as its bytes."""
    found, _ = items(data, at)
    if len(found) % 2:
        raise Malformed("a map has a key without a value")
    return list(zip(found[::2], found[1::2], strict=True))


def _counted(data: bytes, at: int) -> tuple[int, int, int]:
    """Of a list or map: how many values, where they begin, where they end."""
    try:
        code = data[at]
        if code == 0x45:
            return 0, at + 1, at + 1
        if code in (0xC0, 0xC1):
            count, begin, end = data[at + 2], at + 3, at + 2 + data[at + 1]
        elif code in (0xD0, 0xD1):
            count, begin = _U32.unpack_from(data, at + 5)[0], at + 9
            end = at + 5 + _U32.unpack_from(data, at + 1)[0]
        else:
            raise Malformed("a list or a map is missing")
    except (IndexError, struct.error) as error:
        raise Malformed("a list is cut") from error
    if end > len(data) or begin > end or count > end - begin:
        raise Malformed("a list is not as long as it says")
    return count, begin, end


def _length(data: bytes, code: int, at: int) -> int:
    """How many bytes follow a type's code, by the upper half of the code."""
    width = code >> 4
    fixed = _WIDTHS[width]
    if fixed >= 0:
        return fixed
    if width in (0xA, 0xC, 0xE):
        return 1 + data[at]
    if width in (0xB, 0xD, 0xF):
        return 4 + int(_U32.unpack_from(data, at)[0])
    raise Malformed("a type is unknown")


_WIDTHS = [-1, -1, -1, -1, 0, 1, 2, 4, 8, 16, -1, -1, -1, -1, -1, -1]


def _described(data: bytes, at: int, depth: int) -> Decoded:
    if depth > _DEEPEST:
        raise Malformed("values are nested too deep")
    descriptor, at = decode(data, at, depth + 1)
    value, at = decode(data, at, depth + 1)
    return Described(descriptor, value), at


def _list(data: bytes, at: int, depth: int) -> Decoded:
    if depth > _DEEPEST:
        raise Malformed("values are nested too deep")
    count, at, end = _counted(data, at - 1)
    values = []
    for _ in range(count):
        value, at = decode(data, at, depth + 1)
        values.append(value)
    if at != end:
        raise Malformed("a list is not as long as it says")
    return values, end


def _map(data: bytes, at: int, depth: int) -> Decoded:
    values, end = _list(data, at, depth)
    assert isinstance(values, list)
    if len(values) % 2:
        raise Malformed("a map has a key without a value")
    try:
        return dict(zip(values[::2], values[1::2], strict=True)), end
    except TypeError as error:  # a list or a map as a key
        raise Malformed("a map has a key that cannot be one") from error


def _array(data: bytes, at: int, depth: int) -> Decoded:
    if depth > _DEEPEST:
        raise Malformed("values are nested too deep")
    if data[at - 1] == 0xE0:
        count, begin, end = data[at + 1], at + 2, at + 1 + data[at]
    else:
        count, begin = _U32.unpack_from(data, at + 4)[0], at + 8
        end = at + 4 + _U32.unpack_from(data, at)[0]
    if end > len(data):
        raise Malformed("an array is cut")
    if begin == end and not count:
        return [], end
    code, at = data[begin], begin + 1
    if count > (_MOST_EMPTY if _WIDTHS[code >> 4] == 0 else end - begin):
        raise Malformed("an array is not as long as it says")
    decoder, values = _decoder(code), []
    for _ in range(count):
        value, at = decoder(data, at, depth + 1)
        values.append(value)
    if at != end:
        raise Malformed("an array is not as long as it says")
    return values, end


def _bytes(data: bytes, at: int, length: int) -> bytes:
    found = data[at : at + length]
    if len(found) != length:
        raise Malformed("a value is cut")
    return found


def _decoder(code: int) -> Callable[[bytes, int, int], Decoded]:
    try:
        return _DECODERS[code]
    except KeyError:
        raise Malformed("a type is unknown") from None


def _constant(value: object) -> Callable[[bytes, int, int], Decoded]:
    return lambda data, at, depth: (value, at)


def _number(form: struct.Struct) -> Callable[[bytes, int, int], Decoded]:
    return lambda data, at, depth: (form.unpack_from(data, at)[0], at + form.size)


def _small(data: bytes, at: int, depth: int) -> Decoded:
    return data[at], at + 1


def _small_signed(data: bytes, at: int, depth: int) -> Decoded:
    value = data[at]
    return value - 256 if value > 127 else value, at + 1


def _binary8(data: bytes, at: int, depth: int) -> Decoded:
    end = at + 1 + data[at]
    return _bytes(data, at + 1, data[at]), end


def _binary32(data: bytes, at: int, depth: int) -> Decoded:
    length = _U32.unpack_from(data, at)[0]
    return _bytes(data, at + 4, length), at + 4 + length


def _text8(data: bytes, at: int, depth: int) -> Decoded:
    length = data[at]
    return _bytes(data, at + 1, length).decode(), at + 1 + length


def _text32(data: bytes, at: int, depth: int) -> Decoded:
    length = _U32.unpack_from(data, at)[0]
    return _bytes(data, at + 4, length).decode(), at + 4 + length


def _raw(length: int) -> Callable[[bytes, int, int], Decoded]:
    return lambda data, at, depth: (_bytes(data, at, length), at + length)


def _uuid(data: bytes, at: int, depth: int) -> Decoded:
    return UUID(bytes=_bytes(data, at, 16)), at + 16


def _character(data: bytes, at: int, depth: int) -> Decoded:
    return _bytes(data, at, 4).decode("utf-32-be"), at + 4


_DECODERS: dict[int, Callable[[bytes, int, int], Decoded]] = {
    0x40: _constant(None),
    0x41: _constant(True),
    0x42: _constant(False),
    0x43: _constant(0),
    0x44: _constant(0),
    0x45: _list,
    0x50: _small,
    0x51: _small_signed,
    0x52: _small,
    0x53: _small,
    0x54: _small_signed,
    0x55: _small_signed,
    0x56: lambda data, at, depth: (data[at] != 0, at + 1),
    0x60: _number(_U16),
    0x61: _number(_I16),
    0x70: _number(_U32),
    0x71: _number(_I32),
    0x72: _number(_F32),
    0x73: _character,
    0x74: _raw(4),  # decimals stay bytes
    0x80: _number(_U64),
    0x81: _number(_I64),
    0x82: _number(_F64),
    0x83: _number(_I64),
    0x84: _raw(8),
    0x94: _raw(16),
    0x98: _uuid,
    0xA0: _binary8,
    0xA1: _text8,
    0xA3: _text8,
    0xB0: _binary32,
    0xB1: _text32,
    0xB3: _text32,
    0xC0: _list,
    0xC1: _map,
    0xD0: _list,
    0xD1: _map,
    0xE0: _array,
    0xF0: _array,
}
