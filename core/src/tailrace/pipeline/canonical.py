"""The canonical form of a JSON value: equal for values that differ in nothing but the order of object
keys, white space, and how the characters of strings are written. Number spelling and array order count."""

from __future__ import annotations

import json
from typing import Any

import msgspec

_encode_text = msgspec.json.Encoder().encode


class _Number(str):
    """A number, as it was spelled."""

    __slots__ = ()


class _Pairs(list[Any]):
    """The members of an object."""


def canonical(raw: msgspec.Raw | bytes) -> bytes:
    """The canonical form of a value that is known to be JSON. One that is nested too deep, or holds
    half of a surrogate pair, is its own form."""
    value = bytes(raw)
    if value[:1] not in (b"{", b"[", b'"') or (value[:1] == b'"' and b"\\" not in value):
        return value
    try:
        out: list[bytes] = []
        _write(_decode(value.decode()), out.append)
        return b"".join(out)
    except (ValueError, RecursionError):
        return value


def _decode(text: str) -> Any:
    return json.loads(
        text, parse_int=_Number, parse_float=_Number, parse_constant=_Number, object_pairs_hook=_Pairs
    )


def _write(value: Any, put: Any) -> None:
    if isinstance(value, _Number):
        put(value.encode())
    elif isinstance(value, _Pairs):
        put(b"{")
        # A key that comes twice is copied twice, so both count, in their order.
        for name, member in sorted(value, key=lambda pair: pair[0]):
            put(_encode_text(name))
            put(b":")
            _write(member, put)
            put(b",")
        put(b"}")
    elif isinstance(value, list):
        put(b"[")
        for member in value:
            _write(member, put)
            put(b",")
        put(b"]")
    else:
        put(_encode_text(value))
