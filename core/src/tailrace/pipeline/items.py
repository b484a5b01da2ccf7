"""What an iterable gives, as a line: text or bytes as they are, a dictionary as its JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

from tailrace.errors import SourceUnreadable

ENDLESS = "a {} that holds itself, or is nested too deep, is not JSON"
"""Stands in for such a value, as a line that becomes a dead letter."""


def as_line(item: object) -> bytes:
    """The line without its end. Raises SourceUnreadable for a kind of value that JSON does not have."""
    if isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item).rstrip(b"\r\n")
    if isinstance(item, str):
        return item.rstrip("\r\n").encode("utf-8", "surrogatepass")
    try:
        return _encoded(item)
    except RecursionError:
        return ENDLESS.format(type(item).__name__).encode()
    except Exception as error:
        raise SourceUnreadable(
            f"the iterable gave a {type(item).__name__} that is not JSON: {type(error).__name__}",
            hint="give lines (bytes or str) or dictionaries of JSON values",
        ) from None


def _encoded(item: object) -> bytes:
    import msgspec

    try:
        line = msgspec.json.encode(item)
        # A NaN comes out as null, which would be another value.
        if line.find(b"null") < 0:
            return line
        return json.dumps(item, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError):  # by value; or what json does not know and msgspec does
        return _spelled(item)


def _spelled(value: object) -> bytes:
    """The JSON of what the encoders refuse or change, value by value: any number of digits, a NaN and
    half of a surrogate pair, which are the bad update of one, and so a dead letter."""
    import msgspec

    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return format(Decimal(value), "f").encode()  # str() has a limit of digits
    if isinstance(value, float):
        return json.dumps(value).encode()
    if isinstance(value, Mapping):
        return b"{%s}" % b",".join(_key(key) + b":" + _spelled(each) for key, each in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return b"[%s]" % b",".join(map(_spelled, value))
    return msgspec.json.encode(value)


def _key(key: object) -> bytes:
    import msgspec

    return _text(key) if isinstance(key, str) else msgspec.json.encode({key: 0})[1:-3]


def _text(text: str) -> bytes:
    try:
        return json.dumps(text, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(text).encode()
