"""Following: a file that grows, or the files of a directory in the order of their names, for as long as
somebody wants them.

One file is open at a time. It is read to its end, and looked at again and again; what is known of the
others is their name, and how they were when they were read to their end. One that is not so any more is
read again, from where it was.
"""

from __future__ import annotations

import io
import os
import stat
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from tailrace import arguments
from tailrace.errors import SourceUnreadable, UsageError
from tailrace.pipeline.lines import Block, LongLine
from tailrace.pipeline.sources import POLL, FileSource, Source, look_at, readable
from tailrace.pipeline.unpacking import Read

GRACE = 1.0
"""Seconds without a byte after which a file that is no more at its name has come to its end: who writes
it may learn late that it was renamed."""

DEAR = 10
"""Looking at a directory takes at most one part in so many of the time."""

PROOF = 64
"""So many bytes before its end tell whether a file was written over since it was read."""


LATE = "came when a later name had been read, so that updates may be out of order"


class Look(NamedTuple):
    """How a file was when it was looked at."""

    device: int
    inode: int
    size: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> Look:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def is_file_of(self, other: Look) -> bool:
        return self[:2] == other[:2]


class Left(Exception):
    """The file is left before its end; it comes again."""


class Following:
    """The sources of a path that is followed. `notes` grows by what a person should know of them."""

    again = True
    size: int | None = None

    def __init__(self, given: object, max_line: int, notes: list[str]) -> None:
        """Raises UsageError for what cannot be followed, and SourceNotFound."""
        self._path = _one_path(given)
        status = look_at(self._path)
        self._folder = stat.S_ISDIR(status.st_mode)
        if not self._folder and not stat.S_ISREG(status.st_mode):
            raise UsageError("only a regular file or a directory can be followed")
        self._max_line = max_line
        self._notes = notes
        self._there: dict[str, Look] = {}
        """What is at the path, in the order of names, as of the last look."""
        self._next_look = 0.0
        self._due: deque[str] = deque()
        """Names whose file was not read to its end, as of then."""
        self._known: dict[str, Look] = {}
        """How files were when they were read."""
        self._left: set[str] = set()
        """Names of files that were left before their end."""
        self._last = ""
        self._late = 0
        self._cut: str | None = None
        """The name of a file that was seen to be cut."""
        self._moved: float | None = None
        """When the file that is read was first seen to be no more at its name."""
        self._handed: tuple[str, int] | None = None
        """Name and descriptor of a file that is opened again."""
        self._before = 0
        self._reading: FollowedFile | None = None

    def __iter__(self) -> Iterator[Source | None]:
        try:
            while True:
                source = self._next()
                if source is None:
                    time.sleep(POLL)
                yield source
        finally:
            descriptor = self.handed()
            if descriptor is not None:
                os.close(descriptor)

    def consumed(self) -> int:
        return self._before + (self._reading.consumed() if self._reading is not None else 0)

    def at_end(self, file: FollowedFile, look: Look, heard: float) -> bytes | None:
        """What the read of a file gives that has nothing more: the end, or nothing yet, after a moment. It
        was silent since `heard`. Raises Left where it is to be read later, or opened again."""
        name = file.key
        self._look(name)
        if self._is_over(name, look, heard):
            self._known[name] = look
            return b""
        if self._due and self._due[0] < name and file.is_there():
            self.leave(name)
        time.sleep(POLL)
        return None

    def open_again(self, name: str, descriptor: int) -> None:
        """Open a file again, which need not be at its name any more. Raises Left."""
        self._handed = name, os.dup(descriptor)
        raise Left

    def handed(self) -> int | None:
        """The descriptor of a file that is opened again, for whoever closes it."""
        handed, self._handed = self._handed, None
        return handed[1] if handed is not None else None

    def leave(self, name: str) -> None:
        """Leave a file before its end, and come back to it. Raises Left."""
        self._to_read_again(name)
        raise Left

    def cut(self, name: str) -> bytes:
        """What was read of a file is not in it any more: it ends, and is read as a new one."""
        self._cut = name
        self._to_read_again(name)
        return b""

    def _to_read_again(self, name: str) -> None:
        self._known.pop(name, None)
        self._left.add(name)
        self._due = deque(sorted({*self._due, name}))

    def _next(self) -> Source | None:
        self._before, self._reading = self.consumed(), None
        if self._handed is not None:
            name, descriptor = self._handed
            return self._open(name, Path(f"/dev/fd/{descriptor}"), os.fstat(descriptor))
        if not self._due:
            self._look()
        while self._due:
            name = self._due.popleft()
            path = self._path_of(name)
            status = _regular(path)
            if status is not None:
                return self._open(name, path, status)
            self._left.discard(name)
        return None

    def _path_of(self, name: str) -> Path:
        return self._path / name if self._folder else self._path

    def _open(self, name: str, place: Path, status: os.stat_result) -> Source:
        # One that cannot be opened is tried again when it has changed.
        if name < self._last and name not in self._known and name not in self._left:
            self._note_late(place)
        self._known[name] = Look.of(status)
        self._last = max(self._last, name)
        self._left.discard(name)
        self._moved = None
        self._reading = FollowedFile(place, self._path_of(name), status, self._max_line, self)
        self._reading.key = name
        self._reading.shrunk = self._cut == name
        self._cut = None if self._cut == name else self._cut
        return self._reading

    # --- what is there ------------------------------------------------------------------------

    def _look(self, current: str | None = None) -> None:
        """Look at the path again, unless that was a moment ago. `current` is being read."""
        began = time.monotonic()
        if began < self._next_look:
            return
        self._there = dict(sorted(self._looks()))
        self._known = {name: look for name, look in self._known.items() if name in self._there}
        self._left &= self._there.keys()
        self._due = deque(
            name for name, look in self._there.items() if name != current and self._known.get(name) != look
        )
        now = time.monotonic()
        self._next_look = now + DEAR * (now - began)

    def _looks(self) -> Iterator[tuple[str, Look]]:
        if not self._folder:
            status = _regular(self._path)
            if status is not None:
                yield "", Look.of(status)
            return
        try:
            with os.scandir(self._path) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.name.endswith(".tmp"):
                        continue
                    status = _regular(entry)
                    if status is not None:
                        yield entry.name, Look.of(status)
        except OSError as error:
            raise SourceUnreadable(f"directory {readable(self._path)}: {error.strerror}") from None

    def _is_over(self, name: str, look: Look, heard: float) -> bool:
        """Whether a file that was read to its end is finished."""
        here = self._there.get(name)
        if self._folder and next(reversed(self._there), "") > name:
            return True
        if here.is_file_of(look) if here is not None else not self._folder:
            self._moved = None
            return False
        now = time.monotonic()
        if self._moved is None:
            self._moved = now
        return now - max(self._moved, heard) >= GRACE

    def _note_late(self, path: Path) -> None:
        """One note for all of them, as there may be many."""
        self._notes[:] = [note for note in self._notes if not note.endswith(LATE)]
        self._late += 1
        others = f" and {self._late - 1} more" if self._late > 1 else ""
        self._notes.append(f"{readable(path)}{others} {LATE}")


class FollowedFile(FileSource):
    """A file that says when it has nothing to give for the moment. What is compressed is read to its
    end, once."""

    key = ""
    """Its name, for those who follow."""

    def __init__(
        self, place: Path, path: Path, status: os.stat_result, max_line: int, following: Following
    ) -> None:
        """It is opened at `place`, which is not its path where it was opened before."""
        super().__init__(place, status, max_line)
        self._grows = not (super().compressed or path.name.endswith((".gz", ".zst")))
        self._look = Look.of(status)
        self._following = following
        self._heard = time.monotonic()
        self._proof: bytes | None = None
        self._count = 0
        self.name = readable(path)

    @property
    def compressed(self) -> bool:
        return not self._grows

    def is_there(self) -> bool:
        """Whether it can be opened again: its name is still its own."""
        status = _regular(self._path)
        return status is not None and Look.of(status).is_file_of(self._look)

    def blocks(self, offset: int = 0, number: int = 1) -> Iterator[Block | LongLine]:
        with suppress(Left):
            yield from super().blocks(offset, number)

    def consumed(self) -> int:
        return self._count

    def _opened(self) -> IO[bytes]:
        descriptor = self._following.handed()
        if descriptor is None:
            return super()._opened()
        os.lseek(descriptor, 0, os.SEEK_SET)
        return io.FileIO(descriptor)

    def _reader(self, raw: IO[bytes]) -> Read:
        if not Look.of(os.fstat(raw.fileno())).is_file_of(self._look):
            self._following.leave(self.key)  # another one came to its name just now

        def read(size: int) -> bytes | None:
            data = self._read_on(raw, size) if self._grows else raw.read(size)
            self._count += len(data or b"")
            return data

        return read

    def _read_on(self, raw: IO[bytes], size: int) -> bytes | None:
        place = raw.tell()
        if self._proof is None:
            self._proof = _before(raw, place)
        elif self._proof != _before(raw, place):
            return self._following.cut(self.key)
        while not (data := raw.read(size)):
            status = os.fstat(raw.fileno())
            if status.st_size < place:
                return self._following.cut(self.key)
            if place >= 2 * max(self._look.size, 1):  # it is to be known by more of it
                self._following.open_again(self.key, raw.fileno())
            if status.st_size == place:
                return self._following.at_end(self, Look.of(status), self._heard)
        self._heard = time.monotonic()
        self._proof = _before(raw, raw.tell())
        return data


def _before(raw: IO[bytes], place: int) -> bytes:
    """The last bytes before a place; none where the system cannot look there."""
    if not hasattr(os, "pread"):
        return b""
    length = min(PROOF, place)
    return os.pread(raw.fileno(), length, place - length)


def _regular(path: Path | os.DirEntry[str]) -> os.stat_result | None:
    """The status of a regular file; None where there is none, or no more."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _one_path(given: object) -> Path:
    if isinstance(given, (list, tuple)) and len(given) == 1:
        [given] = given
    if not isinstance(given, (str, os.PathLike)):
        raise UsageError("--follow takes one path, of a file or a directory")
    path = arguments.path("the path of a source", given)
    if os.fspath(path) == "-":
        raise UsageError("standard input needs no --follow", hint="it is read until its writer closes it")
    return Path(os.fspath(path))
