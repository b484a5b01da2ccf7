"""Following: a file that grows, or the files of a directory in the order of their names, for as long as
somebody wants them.

One file is open at a time. It is read to its end, and looked at again and again; what is known of the
others is their name, and how they were when they were read to their end. One that is not so any more is
read again, from where it was.
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from tailrace import arguments
from tailrace.errors import SourceUnreadable, UsageError
from tailrace.pipeline.breaks import Breaks
from tailrace.pipeline.followed import FollowedFile, Left, Look
from tailrace.pipeline.sources import POLL, Source, look_at, readable

GRACE = 1.0
"""Seconds without a byte after which a file that is no more at its name has come to its end: who writes
it may learn late that it was renamed."""

DEAR = 10
"""Looking at a directory takes at most one part in so many of the time."""

LATE = "came when a later name had been read, so that updates may be out of order"


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
        self._breaks = Breaks(notes)
        self._over = False
        """The only file is broken, so that nothing can come any more."""
        self._before = 0
        self._reading: FollowedFile | None = None

    def __iter__(self) -> Iterator[Source | None]:
        try:
            while not self._over:
                source = self._next()
                if source is None:
                    self._rest()
                yield source
        finally:
            self._breaks.end()
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
        self._rest()
        return None

    @staticmethod
    def _rest() -> None:
        """Until the next look: nothing tells of a file that grows. Not by waiting for the event that
        stops the run, which a signal sets in this thread, perhaps while it holds the event's lock."""
        time.sleep(POLL)

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

    def whole(self, name: str) -> None:
        """A file was read to its end."""
        self._breaks.whole(name)

    def broke(self, name: str, look: Look, error: SourceUnreadable) -> bool:
        """A file cannot be read on. Whether that is no error, as more of it may come."""
        if error.fault is None:  # that of no file
            return False
        if error.fault == "early" and self._breaks.waits(name, look, error):
            return True
        self._breaks.tell(name, look, error)
        if error.fault == "broken" and not self._folder:
            status = _regular(self._path)
            self._over = status is None or Look.of(status).is_file_of(look)
        return False

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
        self._breaks.opens(name, self._known[name])
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
        self._breaks.there(self._there)
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
