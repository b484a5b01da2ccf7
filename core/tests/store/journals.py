"""Journals of one part and of sixteen, and what the tests put into them."""

from __future__ import annotations

import random
from pathlib import Path

from tailrace.store.journal import PARTS, Checkpoint, Journal, Share, part_of

RULE, OTHER = "email", "phone"
_DRAW = random.Random(3)
PROFILES = [_DRAW.randbytes(16) for _ in range(200)]
ONE = Checkpoint(offset=90, line=10, read_line=30, starts=(12,), ends=(15,))


def place(number: int) -> Checkpoint:
    """Where part `number` stands: behind the others by a line each, with a line of its own left."""
    return Checkpoint(
        offset=200 - number, line=40 - number, read_line=60, starts=(50 + number % 4,), ends=(55,)
    )


TOGETHER = Checkpoint(offset=185, line=25, read_line=60, starts=(50,), ends=(55,))


def one_of(number: int) -> bytes:
    """A profile of that part."""
    return next(profile for profile in PROFILES if part_of(profile) == number)


def shares(value: bytes = b"state", **counts: object) -> list[Share]:
    """What each of sixteen parts is given."""
    changes: list[dict[bytes, bytes | None]] = [{} for _ in range(PARTS)]
    for profile in PROFILES:
        changes[part_of(profile)][profile] = value + profile
    return [Share(counts, {1: place(number)}, changes[number]) for number in range(PARTS)]


def one(folder: Path) -> Journal:
    """A journal of one part, at work."""
    journal = Journal(folder, "hot")
    journal.begin(1)
    journal.keep({"salt": b"pepper"})
    journal.commit(1, [Share({"received": 3}, {1: ONE})])
    return journal


def sixteen(folder: Path) -> Journal:
    """A journal of sixteen parts, at work."""
    journal = Journal(folder, "hot")
    journal.begin(1, RULE)
    journal.keep({"salt": b"pepper"})
    journal.commit(1, shares(received=3))
    journal.refresh()
    return journal
