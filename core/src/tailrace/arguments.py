"""What a caller gives, checked where it comes in: a value of another kind, and text that nothing can
store, would be noticed somewhere inside, in words of the database or of an encoder.

Raises UsageError, which names the argument and never repeats its value.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from tailrace.errors import UsageError

HALF = range(0xD800, 0xE000)


def text(name: str, value: object) -> str:
    """Text that can be stored, everywhere: PostgreSQL takes no NUL, and UTF-8 no half of a pair."""
    if not isinstance(value, str):
        raise _not(name, "text", value)
    problem = unstorable(value)
    if problem is not None:
        raise UsageError(f"{name} {problem}")
    return value


def unstorable(value: str) -> str | None:
    """What is in the text that cannot be stored; None for most."""
    if "\0" in value:
        return "holds a NUL character"
    if not value.isascii() and any(ord(character) in HALF for character in value):
        return "holds what is not Unicode text (half of a surrogate pair)"
    return None


def texts(name: str, value: object) -> tuple[str, ...]:
    """One text or several."""
    return tuple(text(name, item) for item in ((value,) if isinstance(value, str) else items(name, value)))


def items(name: str, value: object) -> tuple[Any, ...]:
    if isinstance(value, (bytes, Mapping)) or not isinstance(value, Iterable):
        raise _not(name, "a list", value)
    return tuple(value)


def fields(name: str, value: object) -> Mapping[str, object]:
    """Values by the name of a field."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _not(name, "a mapping from names to values", value)
    return value


def truth(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _not(name, "True or False", value)
    return value


def whole(name: str, value: object, *, least: int | None = None, most: int | None = None) -> int:
    """A whole number within bounds."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise _not(name, "a whole number", value)
    if least is not None and most is not None and not least <= value <= most:
        raise UsageError(f"{name} must be from {least} to {most}")
    if least is not None and value < least:
        raise UsageError(f"{name} must be at least {least}")
    return value


def seconds(name: str, value: object) -> float:
    """A span of time; infinite means never. NaN is refused: it compares with nothing."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _not(name, "a number of seconds", value)
    if not value >= 0:
        raise UsageError(f"{name} must be at least 0")
    return value


def path(name: str, value: object) -> str | os.PathLike[str]:
    """A path, of whatever bytes a system allows in one."""
    if not isinstance(value, (str, os.PathLike)):
        raise _not(name, "a path", value)
    try:
        nul = b"\0" in os.fsencode(value)
    except UnicodeEncodeError:
        raise UsageError(f"{name} holds what is not Unicode text (half of a surrogate pair)") from None
    if nul:
        raise UsageError(f"{name} holds a NUL character")
    return value


def _not(name: str, what: str, value: object) -> UsageError:
    return UsageError(f"{name} must be {what}, not {type(value).__name__}")
