"""Small pieces on top of msgspec.Raw, the bytes of a JSON value that nobody looked into."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

ABSENT = msgspec.Raw(b"")
"""The default of a raw field. A field that holds this very object is left out when encoding."""

NULL = msgspec.Raw(b"null")

Field = tuple[str, str, Any, Any]
"""A Struct field: Python attribute, JSON name, type, default."""

decode_text = msgspec.json.Decoder(str).decode


def struct(name: str, fields: Iterable[Field]) -> Any:
    """A Struct type whose blank (default) fields are left out when encoding."""
    fields = list(fields)
    return msgspec.defstruct(
        name,
        [(attr, kind, default) for attr, _, kind, default in fields],
        rename={attr: json_name for attr, json_name, _, _ in fields},
        omit_defaults=True,
        gc=False,
    )


def text_of(raw: msgspec.Raw) -> str | None:
    """The string that a raw value is, or None if it is none. The value is known to be JSON."""
    try:
        return decode_text(raw)
    except msgspec.DecodeError:
        return None


def value_reader(path: tuple[str, ...]) -> Callable[[bytes], msgspec.Raw | None]:
    """A function that reads the value at a path in a line, which is decoded for that alone. None where
    something else than an object is on the way; ABSENT may stand for one that is not there."""
    kind: Any = msgspec.Raw
    default: Any = ABSENT
    for name in reversed(path):
        kind, default = struct("Value", [("value", name, kind, default)]) | None, None
    decode = msgspec.json.Decoder(kind).decode

    def read(line: bytes) -> msgspec.Raw | None:
        try:
            value = decode(line)
        except msgspec.ValidationError:
            return None
        for _ in path:
            if value is None:
                return None
            value = value.value
        found: msgspec.Raw | None = value
        return found

    return read
