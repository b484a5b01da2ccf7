"""The spool: lines of an input that cannot be read again, in files of the home until they are settled.

What one export takes in is a session. Its lines are one stream, cut into segments, whose names say where
in the stream they begin: `SESSION.OFFSET-LINE.lines`. So a segment can be removed when all of it is settled,
and what is left keeps its places.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tailrace.errors import StateError
from tailrace.syncing import make_folder, sync_file, sync_folder

SEGMENT = 64 * 2**20
"""A segment ends behind so many bytes."""

_NAME = re.compile(r"(\d{8}-[0-9a-f]{16})\.(\d{16})-(\d+)\.lines")
_PIECE = 64 * 1024


class Segment(NamedTuple):
    """A file of the spool, and the place in the session's stream where it begins."""

    session: str
    offset: int
    line: int
    path: Path


def segments_of(folder: Path, session: str | None = None) -> list[Segment]:
    """The files of a session, or of all, in order."""
    found = []
    for path in _files(folder):
        named = _NAME.fullmatch(path.name)
        if named is not None and session in (None, named[1]):
            found.append(Segment(named[1], int(named[2]), int(named[3]), path))
    return sorted(found)


def size_of(folder: Path) -> int:
    """Bytes of all files in the spool."""
    return sum(map(length_of, segments_of(folder)))


def new_session(folder: Path) -> str:
    """Later than those that are there; a name that never comes again."""
    last = max((int(segment.session.partition("-")[0]) for segment in segments_of(folder)), default=0)
    return f"{last + 1:08}-{secrets.token_hex(8)}"


def new_segment(folder: Path, session: str, offset: int, line: int) -> int:
    """Begin a file; its descriptor. Its name survives a power cut. Raises OSError."""
    path = folder / f"{session}.{offset:016}-{line}.lines"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    sync_folder(folder)
    return descriptor


def recover(folder: Path) -> dict[str, int]:
    """Make the folder, and what an earlier export left in it fit to be read: the sessions in order, each
    with the place behind its last line. What comes behind the last end of a line was not kept. Raises
    StateError."""
    try:
        make_folder(folder)
        for segment in _last_ones(folder):
            _cut_unended(segment.path)
        return {segment.session: segment.offset + length_of(segment) for segment in _last_ones(folder)}
    except OSError as error:
        raise unusable(folder, error) from None


def unusable(folder: Path, error: OSError, then: str = "make room, or make it writable") -> StateError:
    """The error for a spool that the system does not let in."""
    return StateError(f"the spool {folder} cannot be used: {error.strerror}", hint=then)


def remove_settled(folder: Path, session: str, offset: int, *, whole: bool) -> None:
    """Remove the files whose lines are all before that place; with `whole` each of them, as nothing more
    comes. One that cannot be removed stays: it is settled all the same."""
    found = segments_of(folder, session)
    ends = [segment.offset for segment in found[1:]] + [offset if whole else offset + 1]
    for segment, end in zip(found, ends, strict=False):
        if end <= offset:
            with suppress(OSError):
                segment.path.unlink()


def _last_ones(folder: Path) -> list[Segment]:
    """The last file of each session."""
    return list({segment.session: segment for segment in segments_of(folder)}.values())


def _cut_unended(path: Path) -> None:
    """Cut what comes behind the last end of a line, and remove a file without any line."""
    with open(path, "r+b") as file:
        place = file.seek(0, os.SEEK_END)
        end = 0
        while place and not end:
            start = max(0, place - _PIECE)
            file.seek(start)
            end = start + file.read(place - start).rfind(b"\n") + 1
            end, place = (0 if end == start else end), start
        file.truncate(end)
    if end:
        sync_file(path)
    else:
        path.unlink()


def length_of(segment: Segment) -> int:
    try:
        return segment.path.stat().st_size
    except FileNotFoundError:
        return 0


def _files(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        yield from folder.iterdir()
