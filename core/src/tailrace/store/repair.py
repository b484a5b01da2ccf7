"""A way on from damage that keeps what can be kept.

A value that fits its checksum can still be an old one: an old page in its place fits too, and a profile
remembered as it was before would make a change look like none, which is then never sent. So nothing of
a damaged part is believed. It begins anew, empty: its lines are read from the beginning of their sources,
and its profiles are sent once more. The other parts stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import StateDamaged
from tailrace.store.journal import remove_journal
from tailrace.store.layout import (
    PARTS,
    close_parts,
    layout_of,
    open_parts,
    part_file,
    part_files,
    profiles_of,
)
from tailrace.store.notes import remove
from tailrace.store.part import Part
from tailrace.store.verify import verify


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairedPart:
    """What became of one part. `damage` is why it began anew, None for one that was kept. `profiles` is
    how many profiles it remembers; None where it began anew, as nobody knows how many it held."""

    number: int
    file: str
    damage: str | None
    profiles: int | None


def repair_parts(folder: Path, about_to: Callable[[], None] = lambda: None) -> list[RepairedPart]:
    """Let damaged parts begin anew, and keep the others. Part 0 says what the others are, so where that is
    damaged none is kept. Killed at any moment it leaves a part damaged, or empty. The caller holds the
    journal; `about_to` is called before anything is removed. Raises StateError."""
    unfit = _damage(part_files(folder))
    if part_file(folder, 0) in unfit:
        why = {number: f"{part_file(folder, 0).name} is damaged" for number in range(PARTS)}
        why |= _by_number(folder, unfit)
        there = part_files(folder)
        about_to()
        remove_journal(folder)
        return [
            _repaired(folder, number, why[number], None)
            for number in range(PARTS)
            if part_file(folder, number) in there
        ]
    with closing(Part(part_file(folder, 0))) as first:
        shared = bool(layout_of(first))
    if not shared:
        unfit = {}  # files of an older layout, which are removed whatever they hold
    if unfit:
        about_to()
    for path in unfit:
        remove(path)
    parts = open_parts(folder, whole=False)  # one that is missing is made
    try:
        why = _by_number(folder, unfit)
        return [
            _repaired(folder, number, why.get(number), None if number in why else profiles_of(part))
            for number, part in enumerate(parts)
        ]
    finally:
        close_parts(parts)


def _damage(paths: list[Path]) -> dict[Path, StateDamaged]:
    """A file at which the reading process ends takes those behind it along: each gets one of its own."""
    found = verify(paths) if paths else {}
    return {path: error for path in found for error in verify([path]).values()}


def _by_number(folder: Path, unfit: dict[Path, StateDamaged]) -> dict[int, str]:
    """Why the part of a number is damaged."""
    files = {part_file(folder, number): number for number in range(PARTS)}
    return {files[path]: error.message.rpartition(": ")[2] for path, error in unfit.items()}


def _repaired(folder: Path, number: int, damage: str | None, profiles: int | None) -> RepairedPart:
    return RepairedPart(number=number, file=part_file(folder, number).name, damage=damage, profiles=profiles)
