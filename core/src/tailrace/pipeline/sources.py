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
from tailrace.pipeline.identity import Identity
from tailrace.pipeline.items import as_line
from tailrace.pipeline.lines import Block, LineCutter, LongLine
from tailrace.pipeline.unpacking import FAILURES, MAGIC, Read, Skipping, Unpacked, is_compressed

__all__ = ["Block", "LongLine", "Source", "open_sources"]

MAX_LINE = 16 * 2**20
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

    @property
    def compressed(self) -> bool: ...

    def blocks(self, offset: int = 0, number: int = 1) -> Iterator[Block | LongLine]: ...

    def consumed(self) -> int: ...


def open_sources(given: object, max_line: int = MAX_LINE) -> list[Source]:
    """Check everything that can be checked before anything is sent. Raises SourceNotFound."""
    if isinstance(given, (str, os.PathLike)):
        return [_open(given, max_line)]
    if isinstance(given, (bytes, Mapping)) or not isinstance(given, Iterable):
        raise UsageError("a source is a path, '-', a list of paths, or an iterable of lines or dicts")
    if isinstance(given, (list, tuple)) and given and all(_is_path(item) for item in given):
        return [_open(item, max_line) for item in given]
    return [IterableSource(given, max_line)]


def _is_path(item: object) -> bool:
    """Text that could be a line of JSON is not a path."""
    if isinstance(item, os.PathLike):
        return True
    return isinstance(item, str) and not item.lstrip().startswith(("{", "["))


def _open(path: str | os.PathLike[str], max_line: int) -> Source:
    if os.fspath(path) == "-":
        return StandardInput(max_line)
    if not os.fspath(arguments.path("the path of a source", path)):
        raise SourceNotFound("the path of a source is empty", hint="'-' is standard input")
    try:
        status = os.stat(path)
    except OSError as error:
        raise SourceNotFound(
            f"source {_readable(Path(path))}: {error.strerror}", hint="check the path; '-' is standard input"
        ) from None
    if stat.S_ISDIR(status.st_mode):
        raise SourceNotFound(f"source {_readable(Path(path))} is a directory", hint="name the files in it")
    if not os.access(path, os.R_OK):
        raise SourceNotFound(f"source {_readable(Path(path))} may not be read", hint="check its permissions")
    return FileSource(Path(path), status, max_line)


class FileSource:
    """A file, which may be compressed."""

    def __init__(self, path: Path, status: os.stat_result, max_line: int) -> None:
        self.name = _readable(path)
        self.size: int | None = status.st_size if stat.S_ISREG(status.st_mode) else None
        self.identity = Identity(path, status) if self.size is not None else None
        self._path = path
        self._max_line = max_line
        self._raw: IO[bytes] | None = None
        self._read = 0

    def blocks(self, offset: int = 0, number: int = 1) -> Iterator[Block | LongLine]:
        try:
            raw = io.FileIO(self._path, opener=_open_without_waiting)
        except OSError as error:
            raise SourceUnreadable(
                f"source {self.name} cannot be opened: {error.strerror}",
                hint=RAISE_LIMIT if error.errno in FILES else None,
            ) from None
        with raw:
            self._raw = raw
            read: Read = raw.read if self.size is not None else _Waiting(raw).read
            yield from _blocks(read, self.name, self._max_line, offset, number, raw)

    @property
    def compressed(self) -> bool:
        """Whether the content is not what is stored; never for what cannot be read twice."""
        if self.size is not None:
            with suppress(OSError), open(self._path, "rb") as file:
                return is_compressed(file.read(MAGIC))
        return False

    def consumed(self) -> int:
        raw = self._raw
        if raw is not None and not raw.closed and self.size is not None:
            self._read = raw.tell()
        return self._read


def _open_without_waiting(path: str, flags: int) -> int:
    """A named pipe without a writer would hold up its reader in `open`."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _readable(path: Path) -> str:
    """A path as text that can be stored and shown, whatever bytes it has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class StandardInput:
    """Standard input. It has no identity: nothing can be read twice."""

    name = "-"
    identity: Identity | None = None
    size: int | None = None
    compressed = False

    def __init__(self, max_line: int) -> None:
        self._max_line = max_line
        self._input: _Waiting | None = None

    def blocks(self, offset: int = 0, number: int = 1) -> Iterator[Block | LongLine]:
        if sys.stdin is None:
            raise SourceUnreadable("standard input is closed", hint="name a file, or pipe updates in")
        self._input = _Waiting(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer))
        yield from _blocks(self._input.read, self.name, self._max_line)

    def consumed(self) -> int:
        return self._input.count if self._input else 0


class IterableSource:
    """Lines (bytes or text) or dictionaries from Python. The offset counts a newline for each."""

    name = "<iterable>"
    identity: Identity | None = None
    size: int | None = None
    compressed = False

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
                    if len(lines) < ITEMS and self._read - offset < ITEM_BYTES:
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
    for a while, so that the engine can send what it has, report, and notice a stop."""

    def __init__(self, raw: Any, patience: float = 0.2) -> None:
        self._raw = raw
        self._patience = patience
        self.count = 0
        self._selectable = os.name == "posix"

    def read(self, size: int) -> bytes | None:
        if self._selectable and not self._ready():
            return None
        data: bytes | None = self._raw.read(size)
        if data is not None:
            self.count += len(data)
        return data

    def _ready(self) -> bool:
        import select

        try:
            return bool(select.select([self._raw], [], [], self._patience)[0])
        except (OSError, ValueError, io.UnsupportedOperation):
            self._selectable = False
            return True


def _blocks(
    read: Read, name: str, max_line: int, offset: int = 0, number: int = 1, raw: IO[bytes] | None = None
) -> Iterator[Block | LongLine]:
    """The lines of what may be compressed. Raises SourceUnreadable where it breaks."""
    content = Unpacked(read, compressed=name.endswith((".gz", ".zst")))
    cutter = LineCutter(content.read, max_line)
    spoilt = False
    try:
        if offset and raw is not None:
            cutter = LineCutter(_from(content, raw, offset), max_line, offset, number)
        yield from cutter.blocks()
    except (OSError, EOFError) as error:
        what = getattr(error, "strerror", None) or str(error)
    except Exception as error:
        if type(error).__name__ not in FAILURES:
            raise
        what, spoilt = str(error), not content.proven  # sums stand behind what they are of
    else:
        return
    broken = SourceUnreadable(
        f"source {name} broke behind byte {cutter.offset} of its content: {what}",
        hint="mend the file and export it again; it is read from its beginning, since what came before may "
        "have been wrong"
        if spoilt
        else "mend the file and export it again: that goes on behind what an export has settled",
    )
    broken.spoilt = spoilt
    raise broken


def _from(content: Unpacked, raw: IO[bytes], offset: int) -> Read:
    """Reads from `offset` of the content. What is compressed has to be read up to there."""
    compressed = is_compressed(raw.read(MAGIC))
    raw.seek(0 if compressed else offset)
    return Skipping(content.read, offset).read if compressed else raw.read
