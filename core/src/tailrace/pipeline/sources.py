"""Sources: where profile updates come from, as blocks of lines with their position.

A position is the byte offset in the decompressed stream and the line number. `-` is standard input.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

from tailrace import arguments
from tailrace.errors import SourceNotFound, SourceUnreadable, UsageError
from tailrace.oserrors import FILES, RAISE_LIMIT
from tailrace.pipeline.content import blocks_of
from tailrace.pipeline.identity import Identity
from tailrace.pipeline.items import as_line
from tailrace.pipeline.lines import Block, LongLine
from tailrace.pipeline.unpacking import MAGIC, Read, is_compressed

__all__ = ["Block", "LongLine", "Source", "Sources", "open_sources"]

MAX_LINE = 16 * 2**20
POLL = 0.02
"""Seconds between two looks at what may have more to give, where somebody waits for it."""
PATIENCE = 0.2
"""Seconds without a byte after which a pipe says that nothing has come for a while."""
ITEMS = 64
ITEM_BYTES = 64 * 1024
"""A block of an iterable's lines ends at this many lines or bytes."""


class Source(Protocol):
    """`identity` recognises the same source when it is opened again; None where that cannot be.
    `size` is the number of bytes as stored, `consumed()` how many of them were read. `blocks` begins
    at `offset` of the content, where line `number` begins; only a source with an identity is asked
    to begin elsewhere than at its beginning."""

    name: str
    identity: Identity | None
    size: int | None
    shrunk: bool
    """It was seen to be cut, so that it is no more what it was."""

    @property
    def compressed(self) -> bool: ...

    def blocks(self, offset: int = 0, number: int = 1) -> Iterator[Block | LongLine]: ...

    def consumed(self) -> int: ...


class Sources(Protocol):
    """What an export reads, one after the other; None says that nothing is there for the moment.
    With `again` a source may come once more, and goes on where it was."""

    again: bool

    @property
    def size(self) -> int | None: ...

    def consumed(self) -> int: ...

    def __iter__(self) -> Iterator[Source | None]: ...


class Given(list[Source]):
    """Sources that were named."""

    again = False

    @property
    def size(self) -> int | None:
        sizes = [source.size for source in self]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def consumed(self) -> int:
        return sum(source.consumed() for source in self)


def open_sources(given: object, max_line: int = MAX_LINE, *, eager: bool = False) -> Given:
    """Check everything that can be checked before anything is sent. With `eager` a pipe says at once
    when it has nothing to give. Raises SourceNotFound."""
    return Given(_open_all(given, max_line, eager))


def _open_all(given: object, max_line: int, eager: bool) -> list[Source]:
    if isinstance(given, (str, os.PathLike)):
        return [_open(given, max_line, eager)]
    if isinstance(given, (bytes, Mapping)) or not isinstance(given, Iterable):
        raise UsageError("a source is a path, '-', a list of paths, or an iterable of lines or dicts")
    if isinstance(given, (list, tuple)) and given and all(_is_path(item) for item in given):
        return [_open(item, max_line, eager) for item in given]
    return [IterableSource(given, max_line)]


def _is_path(item: object) -> bool:
    """Text that could be a line of JSON is not a path."""
    if isinstance(item, os.PathLike):
        return True
    return isinstance(item, str) and not item.lstrip().startswith(("{", "["))


def _open(path: str | os.PathLike[str], max_line: int, eager: bool) -> Source:
    if os.fspath(path) == "-":
        return StandardInput(max_line, eager)
    status = look_at(path)
    if stat.S_ISDIR(status.st_mode):
        raise SourceNotFound(
            f"source {readable(Path(path))} is a directory",
            hint="name the files in it, or follow it: --follow",
        )
    return FileSource(Path(path), status, max_line, eager)


def look_at(path: str | os.PathLike[str]) -> os.stat_result:
    """What is at a path. Raises SourceNotFound where nothing is that may be read."""
    if not os.fspath(arguments.path("the path of a source", path)):
        raise SourceNotFound("the path of a source is empty", hint="'-' is standard input")
    try:
        status = os.stat(path)
    except OSError as error:
        raise SourceNotFound(
            f"source {readable(Path(path))}: {error.strerror}", hint="check the path; '-' is standard input"
        ) from None
    if not os.access(path, os.R_OK):
        raise SourceNotFound(f"source {readable(Path(path))} may not be read", hint="check its permissions")
    return status


class FileSource:
    """A file, which may be compressed."""

    shrunk = False

    def __init__(self, path: Path, status: os.stat_result, max_line: int, eager: bool = False) -> None:
        self.name = readable(path)
        self.size: int | None = status.st_size if stat.S_ISREG(status.st_mode) else None
        self.identity = Identity(path, status) if self.size is not None else None
        self._path = path
        self.max_line = max_line
        self._eager = eager
        self._raw: IO[bytes] | None = None
        self._read = 0

    def blocks(self, offset: int = 0, number: int = 1) -> Iterator[Block | LongLine]:
        try:
            raw = self.opened()
        except OSError as error:
            refused = SourceUnreadable(
                f"source {self.name} cannot be opened: {error.strerror}",
                hint=RAISE_LIMIT if error.errno in FILES else None,
            )
            refused.fault = "unread"
            raise refused from None
        with raw:
            self._raw = raw
            read = self._reader(raw)
            yield from blocks_of(read, self.name, self.max_line, offset, number, raw)

    def opened(self) -> IO[bytes]:
        return io.FileIO(self._path, opener=_open_without_waiting)

    def _reader(self, raw: IO[bytes]) -> Read:
        if self.size is None:
            return _Waiting(raw, self._eager).read
        size = self.size

        def read(count: int) -> bytes:
            data: bytes = raw.read(count)
            if size and not data and os.fstat(raw.fileno()).st_size < max(size, raw.tell()):
                raise self._shrank()  # the beginning of a line that is not there any more is no line
            return data

        return read

    def _shrank(self) -> SourceUnreadable:
        return SourceUnreadable(
            f"source {self.name} became shorter while it was read",
            hint="what was read of it is settled; export it again: it is read as a new source where it is "
            "shorter than that, or was written over",
        )

    @property
    def compressed(self) -> bool:
        """Whether the content is not what is stored; never for what cannot be read twice."""
        if self.size is not None:
            with suppress(OSError), open(self._path, "rb") as file:
                return is_compressed(file.read(MAGIC))
        return False

    def moved(self, offset: int) -> None:
        """Somebody else has read up to there."""
        self._read = offset

    def consumed(self) -> int:
        raw = self._raw
        if raw is not None and not raw.closed and self.size is not None:
            self._read = raw.tell()
        return self._read


def _open_without_waiting(path: str, flags: int) -> int:
    """A named pipe without a writer would hold up its reader in `open`."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def readable(path: Path) -> str:
    """A path as text that can be stored and shown, whatever bytes it has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class StandardInput:
    """Standard input. It has no identity: nothing can be read twice."""

    name = "-"
    identity: Identity | None = None
    size: int | None = None
    compressed = shrunk = False

    def __init__(self, max_line: int, eager: bool) -> None:
        self._max_line = max_line
        self._eager = eager
        self._input: _Waiting | None = None

    def blocks(self, offset: int = 0, number: int = 1) -> Iterator[Block | LongLine]:
        if sys.stdin is None:
            raise SourceUnreadable("standard input is closed", hint="name a file, or pipe updates in")
        self._input = _Waiting(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer), self._eager)
        yield from blocks_of(self._input.read, self.name, self._max_line)

    def consumed(self) -> int:
        return self._input.count if self._input else 0


class IterableSource:
    """Lines (bytes or text) or dictionaries from Python. The offset counts a newline for each."""

    name = "<iterable>"
    identity: Identity | None = None
    size: int | None = None
    compressed = shrunk = False
    at_once = ITEMS
    """A block ends at so many lines."""

    def __init__(self, items: Iterable[object], max_line: int) -> None:
        self._items = items
        self._max_line = max_line
        self._read = 0

    def blocks(self, offset: int = 0, number: int = 1) -> Iterator[Block | LongLine]:
        lines: list[bytes] = []
        broken: SourceUnreadable | None = None
        try:
            for line in self._lines():
                length, long = len(line) - 1, len(line) - 1 > self._max_line
                if not long:
                    lines.append(line)
                    if len(lines) < self.at_once and self._read - offset < ITEM_BYTES:
                        continue
                if lines:
                    yield Block(lines, offset, number)
                    number, lines = number + len(lines), []
                if long:
                    yield LongLine(self._read - len(line), number, length, self._read)
                    number += 1
                offset = self._read
        except SourceUnreadable as error:
            broken = error
        if lines:
            yield Block(lines, offset, number)
        if broken is not None:
            raise broken

    def _lines(self) -> Iterator[bytes]:
        try:
            for item in self._items:
                line = as_line(item) + b"\n"
                self._read += len(line)
                yield line
        except SourceUnreadable:
            raise
        except Exception as error:
            raise SourceUnreadable(f"the iterable raised {type(error).__name__}") from error

    def consumed(self) -> int:
        return self._read


class _Waiting:
    """Reads a pipe or terminal without blocking for good: `read` gives None when nothing has come
    for a while, so that the engine can send what it has, report, and notice a stop; an `eager` one
    whenever nothing is there."""

    def __init__(self, raw: Any, eager: bool) -> None:
        self._raw = raw
        self._eager = eager
        self.count = 0
        self._selectable = os.name == "posix"

    def read(self, size: int) -> bytes | None:
        if self._selectable and not self._ready(0.0 if self._eager else PATIENCE):
            if self._eager:
                self._ready(POLL)
            return None
        data: bytes | None = self._raw.read(size)
        if data is not None:
            self.count += len(data)
        return data

    def _ready(self, patience: float) -> bool:
        import select

        try:
            return bool(select.select([self._raw], [], [], patience)[0])
        except (OSError, ValueError, io.UnsupportedOperation):
            self._selectable = False
            return True
