"""XDM paths: `person.name.firstName`. A dot separates, `\\.` is a literal dot, `\\\\` a backslash."""

from __future__ import annotations

RESERVED = frozenset({"segmentMembership", "identityMap"})
"""Top-level names that every record carries by contract, so an attribute may not start with them."""


def parse_path(text: str) -> tuple[str, ...]:
    """Split a path into its segments. Raises ValueError, which says what is wrong."""
    segments: list[str] = []
    current: list[str] = []
    characters = iter(text)
    for character in characters:
        if character == "\\":
            escaped = next(characters, None)
            if escaped not in (".", "\\"):
                raise ValueError(f"path {text!r}: a backslash may only stand before a dot or a backslash")
            current.append(escaped)
        elif character == ".":
            segments.append("".join(current))
            current = []
        else:
            current.append(character)
    segments.append("".join(current))
    if "" in segments:
        raise ValueError(f"path {text!r} has an empty segment")
    return tuple(segments)


def format_path(segments: tuple[str, ...]) -> str:
    """The text of a path; the inverse of `parse_path`."""
    return ".".join(s.replace("\\", "\\\\").replace(".", "\\.") for s in segments)


def without_covered(paths: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Drop each path that repeats another or lies below a shorter one; the order stays."""
    present = set(paths)
    kept: list[tuple[str, ...]] = []
    for path in paths:
        covered = any(path[:length] in present for length in range(1, len(path)))
        if not covered and path not in kept:
            kept.append(path)
    return kept
