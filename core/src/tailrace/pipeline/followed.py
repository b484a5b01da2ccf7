"""A file that is followed: it says when it has nothing to give for the moment, and when it is no more what
it was."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from tailrace.errors import SourceUnreadable
from tailrace.pipeline.lines import Block, LongLine
from tailrace.pipeline.sources import FileSource, readable
from tailrace.pipeline.unpacking import Read

PROOF = 64
"""So many bytes before its end tell whether a file was written over since it was read."""


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


class Follower(Protocol):
    """Who decides what becomes of a file; see `Following`."""

    def at_end(self, file: FollowedFile, look: Look, heard: float) -> bytes | None: ...

    def open_again(self, name: str, descriptor: int) -> None: ...

    def handed(self) -> int | None: ...

    def leave(self, name: str) -> None: ...

    def cut(self, name: str) -> bytes: ...

    def whole(self, name: str) -> None: ...

    def broke(self, name: str, look: Look, error: SourceUnreadable) -> bool: ...


class FollowedFile(FileSource):
    """A file that says when it has nothing to give for the moment. What is compressed is read to its
    end, once."""

    key = ""
    """Its name, for those who follow."""

    def __init__(
        self, place: Path, path: Path, status: os.stat_result, max_line: int, following: Follower
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
        with suppress(OSError):
            return Look.of(os.stat(self._path)).is_file_of(self._look)
        return False

    def blocks(self, offset: int = 0, number: int = 1) -> Iterator[Block | LongLine]:
        try:
            yield from super().blocks(offset, number)
        except Left:
            return
        except SourceUnreadable as error:
            if not self._following.broke(self.key, self._look, error):
                raise
        else:
            self._following.whole(self.key)

    def consumed(self) -> int:
        return self._count

    def opened(self) -> IO[bytes]:
        descriptor = self._following.handed()
        if descriptor is None:
            return super().opened()
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
