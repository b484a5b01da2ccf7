"""Sources: where profile updates come from, as blocks of lines with their position.

A position is the byte offset in the decompressed stream and the line number. Files may be plain,
gzip or zstd (told by their first bytes, so a name does not matter); `-` is standard input.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from tailrace.errors import SourceNotFound, SourceUnreadable, UsageError

BLOCK = 64 * 1024
MAX_LINE = 16 * 2**20
ITEMS = 64
BOM = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
ZSTD_WINDOW_LOG = 27
"""The largest zstd window accepted, 128 MiB, which is what the zstd tool itself accepts."""


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, each with its newline (the last of a source may have none). `offset` and `number`
    (1-based) are the first line's. An empty block says that nothing has come for a while."""

    lines: list[bytes]
    offset: int
    number: int


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line over the limit, which was skipped: its position and its length in bytes."""

    offset: int
    number: int
    length: int


class Source(Protocol):
    """`identity` recognises the same source when it is opened again; None where that cannot be.
    `size` is the number of bytes as stored, `consumed()` how many of them were read."""

    name: str
    identity: str | None
    size: int | None

    def blocks(self) -> Iterator[Block | LongLine]: ...

    def consumed(self) -> int: ...


def open_sources(given: object, max_line: int = MAX_LINE) -> list[Source]:
    """Check everything that can be checked before anything is sent. Raises SourceNotFound."""
    if isinstance(given, (str, os.PathLike)):
        return [_open(given, max_line)]
    if isinstance(given, (bytes, Mapping)) or not isinstance(given, Iterable):
        raise UsageError("a source is a path, '-', a list of paths, or an iterable of lines or dicts")
    if isinstance(given, (list, tuple)) and given and all(_is_path(item) for item in given):
        return [_open(item, max_line) for item in given]
    return [IterableSource(given)]


def _is_path(item: object) -> bool:
    """Text that could be a line of JSON is not a path."""
    if isinstance(item, os.PathLike):
        return True
    return isinstance(item, str) and not item.lstrip().startswith(("{", "["))


def _open(path: str | os.PathLike[str], max_line: int) -> Source:
    if os.fspath(path) == "-":
        return StandardInput(max_line)
    try:
        status = os.stat(path)
    except OSError as error:
        raise SourceNotFound(
            f"source {os.fspath(path)}: {error.strerror}", hint="check the path; '-' is standard input"
        ) from None
    if stat.S_ISDIR(status.st_mode):
        raise SourceNotFound(f"source {os.fspath(path)} is a directory", hint="name the files in it")
    if not os.access(path, os.R_OK):
        raise SourceNotFound(f"source {os.fspath(path)} may not be read", hint="check its permissions")
    return FileSource(Path(path), status, max_line)


class FileSource:
    """A file, which may be compressed."""

    def __init__(self, path: Path, status: os.stat_result, max_line: int) -> None:
        self.name = os.fspath(path)
        self.size: int | None = status.st_size if stat.S_ISREG(status.st_mode) else None
        self.identity: str | None = None
        if self.size is not None:
            self.identity = f"{status.st_dev}:{status.st_ino}:{_head_digest(path)}"
        self._path = path
        self._max_line = max_line
        self._raw: IO[bytes] | None = None
        self._read = 0

    def blocks(self) -> Iterator[Block | LongLine]:
        with open(self._path, "rb", buffering=0) as raw:
            self._raw = raw
            yield from _blocks(self._reader(raw), self.name, self._max_line)

    def consumed(self) -> int:
        raw = self._raw
        if raw is not None and not raw.closed and self.size is not None:
            self._read = raw.tell()
        return self._read

    def _reader(self, raw: IO[bytes]) -> Callable[[int], bytes | None]:
        if self.size is None:
            return _compressed_or_plain(_Waiting(raw), self.name)
        return _compressed_or_plain(raw, self.name)


class StandardInput:
    """Standard input. It has no identity: nothing can be read twice."""

    name = "-"
    identity: str | None = None
    size: int | None = None

    def __init__(self, max_line: int) -> None:
        self._max_line = max_line
        self._input: _Waiting | None = None

    def blocks(self) -> Iterator[Block | LongLine]:
        self._input = _Waiting(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer))
        yield from _blocks(_compressed_or_plain(self._input, self.name), self.name, self._max_line)

    def consumed(self) -> int:
        return self._input.count if self._input else 0


class IterableSource:
    """Lines (bytes or text) or dictionaries from Python. The offset counts a newline for each."""

    name = "<iterable>"
    identity: str | None = None
    size: int | None = None

    def __init__(self, items: Iterable[object]) -> None:
        self._items = items
        self._read = 0

    def blocks(self) -> Iterator[Block | LongLine]:
        lines: list[bytes] = []
        offset, number = 0, 1
        for item in self._guarded():
            lines.append(item)
            if len(lines) == ITEMS:
                yield Block(lines, offset, number)
                offset, number, lines = self._read, number + len(lines), []
        if lines:
            yield Block(lines, offset, number)

    def _guarded(self) -> Iterator[bytes]:
        iterator = iter(self._items)
        while True:
            try:
                item = next(iterator)
            except StopIteration:
                return
            except Exception as error:
                raise SourceUnreadable(f"the iterable raised {type(error).__name__}") from error
            line = _as_line(item) + b"\n"
            self._read += len(line)
            yield line

    def consumed(self) -> int:
        return self._read


def _as_line(item: object) -> bytes:
    if isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item).rstrip(b"\r\n")
    if isinstance(item, str):
        return item.rstrip("\r\n").encode("utf-8", "surrogatepass")
    import msgspec

    try:
        return msgspec.json.encode(item)
    except Exception as error:
        raise SourceUnreadable(
            f"the iterable gave a {type(item).__name__} that is not JSON: {type(error).__name__}",
            hint="give lines (bytes or str) or dictionaries of JSON values",
        ) from None


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
        data: bytes = self._raw.read(size) or b""
        self.count += len(data)
        return data

    def _ready(self) -> bool:
        import select

        try:
            return bool(select.select([self._raw], [], [], self._patience)[0])
        except (OSError, ValueError, io.UnsupportedOperation):
            self._selectable = False
            return True


def _compressed_or_plain(raw: Any, name: str) -> Callable[[int], bytes | None]:
    """A read function that gives decompressed bytes, b"" at the end, None for 'nothing yet'."""
    head = b""
    while len(head) < 4:
        more = raw.read(4 - len(head))
        if more is None:
            continue
        if not more:
            break
        head += more
    joined = _Joined(head, raw)
    if head.startswith(GZIP):
        import gzip

        return gzip.GzipFile(fileobj=io.BufferedReader(joined, BLOCK), mode="rb").read
    if head.startswith(ZSTD):
        zstd = _zstd()
        options = {zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
        reader: Callable[[int], bytes] = zstd.open(io.BufferedReader(joined, BLOCK), options=options).read
        return reader
    if name.endswith((".gz", ".zst")) and head:
        raise SourceUnreadable(f"source {name}: its first bytes are neither gzip nor zstd")
    return joined.read_some


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


class _Joined(io.RawIOBase):
    """The bytes already looked at, then the rest."""

    def __init__(self, head: bytes, raw: Any) -> None:
        self._head = head
        self._raw = raw

    def readable(self) -> bool:
        return True

    def read_some(self, size: int) -> bytes | None:
        if self._head:
            head, self._head = self._head, b""
            return head
        data: bytes | None = self._raw.read(size)
        return data

    def readinto(self, buffer: Any) -> int:
        data = None
        while data is None:  # a decompressor cannot be told 'nothing yet'
            data = self.read_some(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _blocks(read: Callable[[int], bytes | None], name: str, max_line: int) -> Iterator[Block | LongLine]:
    offset, number = 0, 1
    rest = b""
    skipped = 0  # bytes of a line over the limit that were read and forgotten
    first = True
    while True:
        chunk = _read_chunk(read, name, offset)
        if chunk is None:
            yield Block([], offset, number)
            continue
        if not chunk:
            break
        if first and len(rest) + len(chunk) < len(BOM):
            rest += chunk
            continue
        data = rest + chunk if rest else chunk
        rest = b""
        if first:
            first = False
            if data.startswith(BOM):
                data, offset = data[len(BOM) :], len(BOM)
        if skipped:
            end = data.find(b"\n") + 1
            if not end:
                skipped += len(data)
                continue
            yield LongLine(offset, number, skipped + end - 1)
            offset, number, data, skipped = offset + skipped + end, number + 1, data[end:], 0
        end = data.rfind(b"\n") + 1
        if end:
            # Much faster than bytes.split, which looks at one byte at a time.
            lines = io.BytesIO(data[:end]).readlines()
            if len(data) > max_line and max(map(len, lines)) > max_line:
                yield from _without_long(lines, offset, number, max_line)
            else:
                yield Block(lines, offset, number)
            offset, number = offset + end, number + len(lines)
        rest = data[end:]
        if len(rest) > max_line:
            skipped, rest = len(rest), b""
    if skipped:
        yield LongLine(offset, number, skipped)
    elif rest:
        yield Block([rest], offset, number)


def _without_long(lines: list[bytes], offset: int, number: int, max_line: int) -> Iterator[Block | LongLine]:
    for line in lines:
        length = len(line.removesuffix(b"\n"))
        if length > max_line:
            yield LongLine(offset, number, length)
        else:
            yield Block([line], offset, number)
        offset, number = offset + len(line), number + 1


def _read_chunk(read: Callable[[int], bytes | None], name: str, offset: int) -> bytes | None:
    try:
        return read(BLOCK)
    except (OSError, EOFError) as error:
        what = getattr(error, "strerror", None) or str(error)
    except Exception as error:
        if type(error).__name__ not in ("error", "ZstdError"):  # zlib.error, ZstdError
            raise
        what = str(error)
    raise SourceUnreadable(
        f"source {name} broke after byte {offset} of its decompressed content: {what}",
        hint="what came before is settled; mend the file and export it again",
    )


def _head_digest(path: Path) -> str:
    import hashlib

    with contextlib.suppress(OSError), open(path, "rb") as file:
        return hashlib.sha256(file.read(64 * 1024)).hexdigest()[:32]
    return ""
