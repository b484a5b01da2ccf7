"""Why an input line can never become a record."""

from __future__ import annotations

import re

import msgspec


class InvalidUpdate(Exception):
    """A line that can never become a record. `reason` is a fixed word, `message` says more and
    holds nothing of the line's values."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding a line may raise."""

_HALF_PAIR = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|"
    rb"(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)


def explain(line: bytes, error: Exception) -> InvalidUpdate:
    """Put a decoding error into words that hold none of the line's values."""
    if isinstance(error, RecursionError):
        return InvalidUpdate("too-deep", "objects and arrays are nested too deep")
    try:
        line.decode()
    except UnicodeDecodeError as bad:
        return InvalidUpdate("invalid-utf8", f"invalid UTF-8 at byte {bad.start} of the line")
    if isinstance(error, msgspec.ValidationError):
        text = str(error)
        return InvalidUpdate("wrong-type" if " - at `" in text else "not-an-object", text)
    if _HALF_PAIR.search(line.replace(b"\\\\", b"..")):
        return InvalidUpdate("lone-surrogate", "a string holds half of a surrogate pair")
    return InvalidUpdate("invalid-json", str(error))


def wrong_type(where: str, error: msgspec.ValidationError) -> InvalidUpdate:
    """A value inside a part that was decoded on its own."""
    text = str(error)
    if "`$" not in text:
        text += " - at `$`"
    return InvalidUpdate("wrong-type", text.replace("`$", f"`$.{where}"))
