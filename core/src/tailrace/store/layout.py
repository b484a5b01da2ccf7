"""Which parts an activation has: one, or sixteen that share the profiles among them.

Part 0 names the layout. Changing it is one transaction of part 0: parts of a new layout are made
before it, and those of an old one removed behind it, so whoever is killed in between leaves one of
the two, and files that the next opening removes. What all parts of a layout have in common is a
generation, drawn at random; a part of another one holds nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tailrace.errors import StateDamaged
from tailrace.store.checkpoints import Checkpoint, combined, decode_checkpoint, encode_checkpoint
from tailrace.store.notes import remove
from tailrace.store.part import Part
from tailrace.store.verify import find_damaged

log = logging.getLogger("tailrace.store")

PARTS = 16

PROFILE = b"p"
KEPT = b"e"
SOURCE = b"c"
RUN = b"n"
SETTING = b"s"
_LAYOUT = b"l"
_GENERATION = b"g"


def part_of(profile: bytes) -> int:
    """The part of a profile, by its digest of 16 bytes."""
    return profile[0] >> 4


def part_file(folder: Path, number: int) -> Path:
    return folder / (f"journal-{number:02}.mdb" if number else "journal.mdb")


def part_files(folder: Path) -> list[Path]:
    """Files of parts that are there, part 0 first."""
    return [path for number in range(PARTS) if (path := part_file(folder, number)).exists()]


def first_is_missing(folder: Path) -> bool:
    """Whether there are others, which are not believed without it."""
    files = part_files(folder)
    return bool(files) and files[0] != part_file(folder, 0)


def source_key(number: int) -> bytes:
    return SOURCE + number.to_bytes(8, "big")


def run_key(number: int) -> bytes:
    return RUN + number.to_bytes(8, "big")


def layout_of(first: Part) -> str:
    """The layout that part 0 names."""
    return (first.latest(_LAYOUT) or b"").decode()


def checkpoints_of(parts: Iterable[Part], key: bytes) -> tuple[Checkpoint | None, ...]:
    """The checkpoints of one source, by part."""
    stored = [part.latest(key) for part in parts]
    return tuple(None if each is None else decode_checkpoint(each) for each in stored)


def profiles_of(part: Part) -> int:
    """How many profiles it holds; whatever else it holds is little."""
    others = (SOURCE, RUN, SETTING, _LAYOUT, _GENERATION)
    return part.count() - part.number_of(KEPT) - sum(len(part.keys(prefix)) for prefix in others)


def open_parts(folder: Path, *, whole: bool | None = None) -> list[Part]:
    """The parts in that folder, made where there are none. Raises StateDamaged or StateError."""
    unfit = find_damaged(part_files(folder), whole=whole)
    _refuse(unfit, [part_file(folder, 0)])
    if first_is_missing(folder):
        log.warning("%s is not there any more, so all that was remembered is forgotten", part_file(folder, 0))
    parts = [Part(part_file(folder, 0))]
    try:
        if layout_of(parts[0]):
            others = [part_file(folder, number) for number in range(1, PARTS)]
            _refuse(unfit, others)
            generation = parts[0].latest(_GENERATION)
            for path in others:
                parts.append(_open_other(path, generation))
        else:
            _remove_others(folder)
    except BaseException:
        close_parts(parts)
        raise
    return parts


def close_parts(parts: Iterable[Part]) -> None:
    for part in parts:
        with suppress(Exception):
            part.close()


def change_layout(folder: Path, parts: list[Part], layout: str) -> None:
    """Put the parts of the new layout in place of these, without any profile, each with the combined
    checkpoints. From one rule to another it goes by way of a single part, so that no part is changed
    that is still believed. Raises StateError; then too `parts` holds those that are in use."""
    if layout_of(parts[0]):
        _to_one(folder, parts)
    if layout:
        parts += _split(folder, parts[0], layout)


def _to_one(folder: Path, parts: list[Part]) -> None:
    first = parts[0]
    changes: dict[bytes, bytes | None] = dict.fromkeys([*first.keys(PROFILE), *first.keys(KEPT)])
    changes |= {_LAYOUT: None, _GENERATION: None}
    for key in {key for part in parts for key in part.keys(SOURCE)}:
        checkpoint = combined(checkpoints_of(parts, key))
        changes[key] = None if checkpoint is None else encode_checkpoint(checkpoint)
    first.commit(changes)
    others = parts[1:]
    del parts[1:]
    close_parts(others)
    _remove_others(folder)


def _split(folder: Path, first: Part, layout: str) -> list[Part]:
    """Make the other parts, then let part 0 name the layout."""
    _remove_others(folder)
    generation = os.urandom(8)
    begun: dict[bytes, bytes | None] = {**first.items(SOURCE), _GENERATION: generation}
    made: list[Part] = []
    try:
        for number in range(1, PARTS):
            made.append(Part(part_file(folder, number)))
            made[-1].commit(begun)
        dropped: dict[bytes, bytes | None] = dict.fromkeys([*first.keys(PROFILE), *first.keys(KEPT)])
        first.commit({**dropped, _LAYOUT: layout.encode(), _GENERATION: generation})
    except BaseException:
        close_parts(made)
        raise
    return made


def _open_other(path: Path, generation: bytes | None) -> Part:
    """One that is missing, or of another generation, costs what its lines cost to send again."""
    part = Part(path)
    if part.latest(_GENERATION) == generation:
        return part
    log.warning("%s is not the part that was there, so what it held is sent again", path)
    part.close()
    remove(path)
    part = Part(path)
    part.commit({_GENERATION: generation})
    return part


def _remove_others(folder: Path) -> None:
    for number in range(1, PARTS):
        remove(part_file(folder, number))


def _refuse(unfit: dict[Path, StateDamaged], paths: Iterable[Path]) -> None:
    for path in paths:
        if path in unfit:
            raise unfit[path]
