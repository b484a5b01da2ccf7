"""From stored bytes to content: plain, gzip or zstd, told by the first bytes.

Everything is pushed, piece by piece, so that a source that has nothing to give for the moment never
holds up its reader, and what can be decompressed before a break is not lost.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Any, Protocol

Read = Callable[[int], "bytes | None"]
"""Gives up to so many bytes; b"" at the end, None for 'nothing has come for a while'."""

PIECE = 64 * 1024
GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
MAGIC = len(ZSTD)
"""So many bytes tell how the content is stored."""
ZSTD_WINDOW_LOG = 27
"""The largest zstd window accepted, 128 MiB, which is what the zstd tool itself accepts."""

FAILURES = ("error", "ZstdError")
"""The names of what zlib and zstd raise; naming the second would import it."""


class EndsEarly(EOFError):
    """Compressed bytes end before their content does; more of them may come."""


class Member(Protocol):
    """One gzip member or zstd frame. `needs_input`: it gives nothing more without more bytes."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Unpacked:
    """Reads the content of what `read` gives. `compressed` says that its name promises so."""

    def __init__(self, read: Read, compressed: bool) -> None:
        self._stored = read
        self._compressed = compressed
        self._head = b""
        self._content: Read | None = None
        self._members: _Members | None = None

    def read(self, size: int) -> bytes | None:
        """Raises EOFError for what is not compressed and should be, EndsEarly, and what the decompressor
        raises."""
        if self._content is None:
            self._content = self._tell()
            if self._content is None:
                return None
        return self._content(size)

    @property
    def proven(self) -> bool:
        """Whether no sum that was not checked yet covers anything that was given."""
        return self._members is None or self._members.proven

    def _tell(self) -> Read | None:
        """How the content is to be read; None before enough has come."""
        while len(self._head) < MAGIC:
            more = self._stored(PIECE)
            if more is None:
                return None
            if not more:
                break
            self._head += more
        if self._head.startswith(GZIP):
            self._members = _Members(self._head, self._stored, _GzipMember, b"\0")
        if self._head.startswith(ZSTD) or _is_skippable(self._head):
            self._members = _Members(self._head, self._stored, _zstd_frame, b"")
        if self._members is not None:
            return self._members.read
        if self._compressed and self._head:
            what = "its first bytes are neither gzip nor zstd"
            raise EOFError(what) if len(self._head) >= MAGIC else EndsEarly(what)
        return self._plain

    def _plain(self, size: int) -> bytes | None:
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._stored(size)


def is_compressed(head: bytes) -> bool:
    """Whether content that begins so is read through a decompressor."""
    return head.startswith((GZIP, ZSTD)) or _is_skippable(head)


def _is_skippable(head: bytes) -> bool:
    """Whether it begins with a zstd frame that holds no content, as parallel writers put in front."""
    return head[0:1] != b"" and head[0] & 0xF0 == 0x50 and head[1:4] == b"\x2a\x4d\x18"


class Skipping:
    """Reads what is behind the first `offset` bytes of the content of `read`."""

    def __init__(self, read: Read, offset: int) -> None:
        self._content = read
        self._left = offset

    def read(self, size: int) -> bytes | None:
        while self._left:
            piece = self._content(PIECE)
            if not piece:
                return piece
            if len(piece) > self._left:
                piece, self._left = piece[self._left :], 0
                return piece
            self._left -= len(piece)
        return self._content(size)


class _Members:
    """One member after the other; `padding` may stand between and behind them."""

    def __init__(self, head: bytes, read: Read, new: Callable[[], Member], padding: bytes) -> None:
        self._stored = read
        self._new = new
        self._padding = padding
        self._input = head
        self._member: Member | None = new()
        self.proven = True
        """All that was given was of members whose sums fit."""

    def read(self, size: int) -> bytes | None:
        while True:
            member = self._member
            if not self._input and (member is None or member.needs_input):
                more = self._stored(PIECE)
                if more is None:
                    return None
                if not more:
                    if member is None:
                        return b""
                    raise EndsEarly("the compressed data end too early")
                self._input = more
            if member is None:
                self._input = self._input.lstrip(self._padding) if self._padding else self._input
                if self._input:
                    self._member = self._new()
                continue
            given, self._input = self._input, b""
            content = member.decompress(given, size)
            if member.eof:
                self._input, self._member = member.unused_data, None
            if content:
                self.proven = member.eof
                return content


class _GzipMember:
    """A gzip member; zlib checks its sum and length."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        content = self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)
        self.needs_input = len(content) < max_length and not self._inflate.unconsumed_tail
        return content


def _zstd_frame() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG})
