"""Taking in: lines of an input go to the spool, and are synced in groups, while the export reads what was
synced. In a process of its own where there can be one, as two threads would fight for one interpreter lock.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from tailrace.errors import SourceUnreadable, StateError, TailraceError
from tailrace.forking import Child
from tailrace.pipeline.lines import LongLine
from tailrace.pipeline.pool import start_thread
from tailrace.pipeline.sources import Source
from tailrace.pipeline.spool import SEGMENT, new_segment, size_of, unusable

GROUP = 4 * 2**20
GAP = 0.05
"""A group is synced when it has so many bytes, or so many seconds after the one before; at once where that
was longer ago."""
HELD = 2 * GROUP
"""Bytes that are held in memory at most, while a group is being synced."""

PATIENCE = 0.05
CLOSING = 30.0
"""Seconds for the last group to be synced."""

_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)

_RUNNING, _ENDED, _BROKEN, _FAILED = range(4)
_WORDS = 5
_OFFSET, _LINES, _HOW, _STOP, _LENGTH = range(_WORDS)


class Board:
    """What the one who takes in tells the one who reads, and that it should stop: a page of memory that both
    see, whether they are threads or processes."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, 4096)
        self._words = memoryview(self._page).cast("Q")

    def synced(self, offset: int, lines: int) -> None:
        """All before this place of the stream survives; so many lines are before it."""
        self._words[_LINES] = lines
        self._words[_OFFSET] = offset

    def end(self, error: TailraceError | None = None) -> None:
        """Nothing more comes, as of the last `synced`."""
        if error is not None:
            said = json.dumps([error.message, error.hint]).encode()[: 4096 - 8 * _WORDS]
            self._page[8 * _WORDS : 8 * _WORDS + len(said)] = said
            self._words[_LENGTH] = len(said)
        source = isinstance(error, SourceUnreadable)
        self._words[_HOW] = _ENDED if error is None else _BROKEN if source else _FAILED

    def stop(self) -> None:
        self._words[_STOP] = 1

    @property
    def stopped(self) -> bool:
        return bool(self._words[_STOP])

    @property
    def ended(self) -> bool:
        """To be asked before `offset`, which is final then."""
        return self._words[_HOW] != _RUNNING

    @property
    def offset(self) -> int:
        return self._words[_OFFSET]

    @property
    def lines(self) -> int:
        return self._words[_LINES]

    @property
    def error(self) -> TailraceError | None:
        """Why it ended: SourceUnreadable where the input broke, StateError where the spool did."""
        how = self._words[_HOW]
        if how in (_RUNNING, _ENDED):
            return None
        said = self._page[8 * _WORDS : 8 * _WORDS + self._words[_LENGTH]]
        try:
            message, hint = json.loads(said)
        except ValueError:  # it was too long
            message, hint = "the input could not be taken in", None
        return (SourceUnreadable if how == _BROKEN else StateError)(message, hint=hint)


class Keeper:
    """Writes lines to the files of a session and syncs them in groups, in a thread of its own."""

    def __init__(self, folder: Path, session: str, board: Board, most: int) -> None:
        """While the spool holds more than `most` bytes it takes no more."""
        self._folder = folder
        self._session = session
        self._board = board
        self._most = most
        self._segment = min(SEGMENT, most // 4)
        self._changed = threading.Condition()
        self._held: deque[tuple[bytes, int, int]] = deque()
        self._size = 0
        self._closed = False
        self._descriptor: int | None = None
        self._begin = self._offset = self._lines = 0
        self._total = size_of(folder)
        self.error: StateError | None = None
        self._thread = start_thread(self._run, "tailrace-spool")

    def put(self, data: bytes, lines: int, hole: int = 0) -> bool:
        """Keep whole lines, after a hole of so many bytes. False: they are not kept, as it was told to stop
        or could not write."""
        with self._changed:
            while self._size >= HELD and not self._over:
                self._changed.wait(PATIENCE)
            if self._over:
                return False
            self._held.append((data, lines, hole))
            self._size += len(data)
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """Let all that was put be synced; nothing more is taken. May be called again."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    @property
    def _over(self) -> bool:
        return self._closed or self.error is not None or self._board.stopped

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                group = self._next()
                if not group:
                    break
                began = time.monotonic()
                self._await_room()
                self._keep(group)
                with self._changed:
                    left = GAP - (time.monotonic() - began)
                    self._changed.wait_for(lambda: self._closed or self._size >= GROUP, max(left, 0.0))
        except OSError as error:
            self._fail(error)
        except Exception as error:
            self._fail(OSError(0, f"unexpected {type(error).__name__}"))
        finally:
            if self._descriptor is not None:
                os.close(self._descriptor)

    def _next(self) -> list[tuple[bytes, int, int]]:
        with self._changed:
            self._changed.wait_for(lambda: self._held or self._closed)
            group, self._size = [*self._held], 0
            self._held.clear()
            self._changed.notify_all()
            return group

    def _await_room(self) -> None:
        """What is settled is removed by the one who reads. What was taken before a stop is kept anyway."""
        while self._total > self._most and not self._board.stopped:
            time.sleep(PATIENCE)  # another process may be who removes, and nothing tells of it
            self._total = size_of(self._folder)

    def _keep(self, group: list[tuple[bytes, int, int]]) -> None:
        if self._descriptor is None:
            self._descriptor = new_segment(self._folder, self._session, self._offset, self._lines + 1)
        for data, _, hole in group:
            if hole:
                os.lseek(self._descriptor, hole, os.SEEK_CUR)
            _write_all(self._descriptor, data)
        _sync(self._descriptor)
        size = sum(len(data) + hole for data, _, hole in group)
        self._offset += size
        self._total += size
        self._lines += sum(lines for _, lines, _ in group)
        self._board.synced(self._offset, self._lines)
        if self._offset - self._begin >= self._segment or self._total > self._most:
            os.close(self._descriptor)
            self._descriptor, self._begin = None, self._offset
            self._descriptor = new_segment(self._folder, self._session, self._offset, self._lines + 1)

    def _fail(self, error: OSError) -> None:
        """What is not synced is cut off again, so that it is not read as half of what it was."""
        with self._changed:
            self.error = unusable(
                self._folder,
                error,
                f"make room, then give the input again from its line {self._lines + 1:,} on: what "
                "is before it is kept",
            )
            self._changed.notify_all()
        if self._descriptor is not None:
            with suppress(OSError):  # nothing reads it before the next export
                os.ftruncate(self._descriptor, self._offset - self._begin)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def take_in(source: Source, keeper: Keeper, board: Board) -> None:
    """Take the lines of a source into the spool, until it ends, breaks, or the board says stop."""
    error: TailraceError | None = None
    try:
        for block in source.blocks():
            if isinstance(block, LongLine):  # its length is kept, as a hole in the file
                kept = keeper.put(b"\n", 1, block.length)
            elif block.lines:
                data = b"".join(block.lines)
                kept = keeper.put(data if data.endswith(b"\n") else data + b"\n", len(block.lines))
            else:
                kept = not board.stopped and keeper.error is None
            if not kept:
                break
    except TailraceError as broken:
        error = broken
    except Exception as unexpected:
        error = SourceUnreadable(f"the input could not be taken in: {type(unexpected).__name__}")
    keeper.close()
    board.end(keeper.error or error)


class Intake:
    """Somebody who takes in. `board` tells how far that is."""

    def __init__(
        self, source: Source, folder: Path, session: str, most: int, *, worker_process: bool
    ) -> None:
        """Raises OSError where the system allows no more processes or open files."""
        self.board = Board()
        self._source = source
        self._make_keeper = partial(Keeper, folder, session, self.board, most)
        self._child = Child(self._in_process, sockets=1) if worker_process else None
        self._keeper: Keeper | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, where it is a thread."""
        if self._child is None:
            self._keeper = self._make_keeper()
            work = partial(take_in, self._source, self._keeper, self.board)
            self._thread = start_thread(work, "tailrace-intake")

    def check(self) -> None:
        """Notice a process that is gone, whatever ended it."""
        child, board = self._child, self.board
        if child is not None and not board.ended and child.has_answered(0.0) and not board.ended:
            board.end(StateError(f"the process that takes the input in ended {child.how_it_ended()}"))

    def close(self) -> None:
        """Take no more, and let what was taken be synced. May be called again."""
        self.board.stop()
        if self._child is not None:
            self._child.wait(CLOSING)
            self._child.kill()
        elif self._keeper is not None and self._thread is not None:
            self._keeper.close()
            self._thread.join(PATIENCE)  # an iterable may be waiting for something

    def _in_process(self, sockets: list[socket.socket]) -> None:
        del sockets
        take_in(self._source, self._make_keeper(), self.board)
