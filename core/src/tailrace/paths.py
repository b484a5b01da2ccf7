"""XDM paths: `person.name.firstName`. A dot separates; `\\.` is a literal dot."""

from __future__ import annotations

import re

RESERVED = frozenset({"segmentMembership", "identityMap"})
"""Top-level names that every record carries by contract, so an attribute may not start with them."""

_UNUSABLE = re.compile(r'["\\\x00-\x1f]')


def check_key(text: str, what: str) -> str:
    """Return a JSON object key that a decoder can look for, or raise ValueError.

    A quote, a backslash or a control character cannot stand in a field name of a compiled decoder
    (msgspec refuses it), and no XDM field, namespace or segment id has one.
    """
    if not text:
        raise ValueError(f"{what} is empty")
    if _UNUSABLE.search(text):
        raise ValueError(f"{what} {text!r} holds a quote, a backslash or a control character")
    return text


def parse_path(text: str) -> tuple[str, ...]:
    """Split a path into its segments. Raises ValueError, which says what is wrong."""
    # "\0" cannot be part of a segment (check_key), so it can stand for the escaped dot.
    segments = text.replace("\\.", "\0").split(".")
    return tuple(check_key(s.replace("\0", "."), f"a segment of path {text!r}") for s in segments)


def format_path(segments: tuple[str, ...]) -> str:
    """The text of a path; the inverse of `parse_path`."""
    return ".".join(segment.replace(".", "\\.") for segment in segments)


def without_covered(paths: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Drop each path that repeats another or lies below a shorter one; the order stays."""
    present = set(paths)
    kept: dict[tuple[str, ...], None] = {}
    for path in paths:
        if not any(path[:length] in present for length in range(1, len(path))):
            kept[path] = None
    return list(kept)
