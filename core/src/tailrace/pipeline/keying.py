"""Reading the partition key of an update by a compiled key rule."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from tailrace.destination import KeyPlan
from tailrace.keys import KeyRule, fits, hash_key
from tailrace.pipeline.identities import Found, text
from tailrace.pipeline.raw import decode_text, text_of, value_reader

Read = Callable[[Any, "Found | None", bytes], "str | None"]
"""From (the decoded update, its identities, the line) to the key; None where it is missing."""


def read_key(plan: KeyPlan, limit: int | None, of_update: Callable[[Any], msgspec.Raw] | None) -> Read:
    """Compile a key plan. `of_update` reads an attribute rule's raw value from the update, where
    the update's Struct holds it."""
    rule = KeyRule.parse(plan.rule)
    usable = fits(limit)
    hashed = plan.hash == "sha256"
    # Four bytes is the most one character takes, so a short key needs no further look.
    short = 0 if hashed or limit is None else limit // 4

    def finish(text: str | None) -> str | None:
        """The key that a candidate becomes, or None if it counts as missing."""
        if not text or len(text) <= short:
            return text or None
        if hashed:
            text = hash_key(text)
        return text if usable(text) else None

    if rule.kind == "random":
        return lambda update, found, line: random_key()
    if rule.kind == "identity":
        read = _identity(rule.namespaces, finish)
    elif of_update is not None:
        read = _in_update(of_update, finish, short)
    else:
        read = _elsewhere(rule.path, finish)
    if plan.missing == "dead-letter":
        return read
    return lambda update, found, line: read(update, found, line) or random_key()


def random_key() -> str:
    """32 hexadecimal characters, spread evenly."""
    return f"{random.getrandbits(128):032x}"


def candidates(found: Found, preferred: tuple[str, ...]) -> Iterator[str | None]:
    """The texts that may be the key by the identity rule, best first."""
    for _, candidate in named_candidates(found, preferred):
        yield candidate


def named_candidates(found: Found, preferred: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
    """The same, each with its namespace."""
    spaces, primaries = found
    yield from primaries
    for namespace in preferred:
        for entry in spaces.get(namespace, ()):
            yield namespace, text(entry.id)
    for namespace in sorted(spaces):
        for candidate in sorted(filter(None, (text(entry.id) for entry in spaces[namespace]))):
            yield namespace, candidate


def _identity(preferred: tuple[str, ...], finish: Callable[[str | None], str | None]) -> Read:
    def read(update: Any, found: Found | None, line: bytes) -> str | None:
        if found is None:
            return None
        spaces, primaries = found
        if spaces and not primaries and not preferred:
            entries = spaces[min(spaces)]
            if len(entries) == 1:  # most often the first candidate is alone, and good
                key = finish(text(entries[0].id))
                if key is not None:
                    return key
        for candidate in candidates(found, preferred):
            key = finish(candidate)
            if key is not None:
                return key
        return None

    return read


def _in_update(
    value_of: Callable[[Any], msgspec.Raw], finish: Callable[[str | None], str | None], short: int
) -> Read:
    def read(update: Any, found: Found | None, line: bytes) -> str | None:
        try:
            key = decode_text(value_of(update))
        except msgspec.DecodeError:
            return None
        return key if 0 < len(key) <= short else finish(key)

    return read


def _elsewhere(path: tuple[str, ...], finish: Callable[[str | None], str | None]) -> Read:
    """The key lies where the update's Struct does not look: read the line once more."""
    value_in = value_reader(path)

    def read(update: Any, found: Found | None, line: bytes) -> str | None:
        value = value_in(line)
        return None if value is None else finish(text_of(value))

    return read
