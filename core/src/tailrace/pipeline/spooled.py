"""Reading the spool: what earlier exports left in it, then what is being taken in, as far as it is synced."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tailrace.errors import SourceUnreadable, TailraceError, UsageError
from tailrace.ledger import SourcePosition
from tailrace.pipeline.identity import Identity
from tailrace.pipeline.intake import Intake
from tailrace.pipeline.lines import Block, LineCutter, LongLine
from tailrace.pipeline.sources import POLL, Given, IterableSource, Source, open_sources
from tailrace.pipeline.spool import (
    Segment,
    length_of,
    new_session,
    recover,
    remove_settled,
    segments_of,
    size_of,
)

MOST = 2**30
"""Bytes in the spool beyond which the input is not read on, unless another bound is given."""

LEAST = 2**20

Reach = Callable[[], tuple[int, bool]]
"""How far a session is synced, and whether that was all."""


class SessionIdentity(Identity):
    """The identity of a session: its name, which never comes again."""

    def __init__(self, session: str) -> None:
        self.place = f"spool:{session}"

    def __str__(self) -> str:
        return self.place


class SessionSource:
    """The lines of one session, as one source."""

    size: int | None = None
    compressed = shrunk = False

    def __init__(
        self, name: str, folder: Path, session: str, max_line: int, reach: Reach, broken: Callable[[], None]
    ) -> None:
        """`broken` is called behind the last line; it raises what the input ended with."""
        self.name = name
        self.path = str(folder / session)
        self.session = session
        self.identity: Identity | None = SessionIdentity(session)
        self._folder = folder
        self._max_line = max_line
        self._reach = reach
        self._broken = broken
        self._read = 0

    def blocks(self, offset: int = 0, number: int = 1) -> Iterator[Block | LongLine]:
        """A segment ends with a line. What is missing in between was settled, and is passed over."""
        place, line = offset, number
        while True:
            reached, ended = self._reach()
            segment = self._segment_at(place) if place < reached else None
            if segment is not None:
                if segment.offset > place:
                    place, line = segment.offset, segment.line
                with io.FileIO(segment.path) as file:
                    file.seek(place - segment.offset)
                    cutter = LineCutter(self._reader(file, place), self._max_line, place, line)
                    yield from cutter.blocks()
                place, line = cutter.offset, cutter.number
            elif ended:
                yield Block([], place, line)  # what was left out at the end has met its fate, too
                break
            else:
                time.sleep(POLL)  # who takes in may be another process
                yield Block([], place, line)
        self._broken()

    def consumed(self) -> int:
        return self._read

    def _segment_at(self, place: int) -> Segment | None:
        """The file that holds the line at that place, else the next one."""
        for segment in segments_of(self._folder, self.session):
            if segment.offset + length_of(segment) > place:
                return segment
        return None

    def _reader(self, file: io.FileIO, place: int) -> Callable[[int], bytes | None]:
        def read(size: int) -> bytes | None:
            nonlocal place
            reached, ended = self._reach()
            if place < reached:
                data = file.read(min(size, reached - place))
                place += len(data)
                self._read += len(data)
                return data
            if ended:
                return b""
            time.sleep(POLL)  # who takes in may be another process
            return None

        return read


class Spooled:
    """The sources of an export that takes its input into a spool first."""

    again = False
    size: int | None = None

    def __init__(
        self, source: Source, folder: Path, max_line: int, most: int, *, worker_process: bool
    ) -> None:
        """`source` is `spoolable`. What an earlier export left is read before it. Raises StateError, or
        OSError where the system allows no more processes."""
        left = recover(folder)
        self._folder = folder
        self._session = new_session(folder)
        apart = worker_process and not isinstance(source, IterableSource)
        self._intake = Intake(source, folder, self._session, most, worker_process=apart)
        self._all = [
            SessionSource(f"spool:{name}", folder, name, max_line, _whole(end), lambda: None)
            for name, end in left.items()
        ]
        self._ends = dict(left)
        self._all.append(
            SessionSource(source.name, folder, self._session, max_line, self._reach, self._raise_broken)
        )
        self._numbers: dict[int, str] = {}
        self._settled: dict[int, tuple[int, bool]] = {}

    def __iter__(self) -> Iterator[Source | None]:
        self._intake.start()
        try:
            yield from self._all
        finally:  # whoever leaves early reads no further, and what is not taken stays where it is
            self.stop()

    def consumed(self) -> int:
        return sum(source.consumed() for source in self._all)

    def numbered(self, source: SessionSource, number: int) -> None:
        """The source has this number within the activation."""
        self._numbers[number] = source.session

    def settled(self, positions: Sequence[SourcePosition]) -> None:
        """All before these places is committed: files that hold nothing else are removed."""
        for position in positions:
            session = self._numbers.get(position.number)
            if session is None:
                continue
            place = position.offset, position.offset == self._end_of(session)
            if self._settled.get(position.number) != place:
                self._settled[position.number] = place
                remove_settled(self._folder, session, position.offset, whole=place[1])

    def stop(self) -> None:
        """Read the input no further, soon."""
        self._intake.board.stop()

    def close(self) -> None:
        """Take no more in, and let what was taken be synced. May be called again."""
        self._intake.close()

    @property
    def lines(self) -> int:
        """Lines of the input that are synced."""
        return self._intake.board.lines

    @property
    def bytes_left(self) -> int:
        """Bytes in files of which not all is settled."""
        return size_of(self._folder)

    @property
    def error(self) -> TailraceError | None:
        """Why the input is not taken in any more, where that is not its own end."""
        error = self._intake.board.error
        return None if isinstance(error, SourceUnreadable) else error

    def _end_of(self, session: str) -> int | None:
        """The end of a session; None while more may come."""
        if session != self._session:
            return self._ends[session]
        board = self._intake.board
        return board.offset if board.ended else None

    def _reach(self) -> tuple[int, bool]:
        self._intake.check()
        ended = self._intake.board.ended
        return self._intake.board.offset, ended

    def _raise_broken(self) -> None:
        error = self._intake.board.error
        if isinstance(error, SourceUnreadable):
            raise error


def spoolable(given: object, max_line: int) -> Given:
    """The one source, if a spool is for it. Raises UsageError or SourceNotFound."""
    found = open_sources(given, max_line, eager=True)
    if len(found) != 1 or found[0].identity is not None:
        raise UsageError(
            "--spool is for standard input, a pipe or an iterable, one of them",
            hint="a file needs none: the same export again goes on where it was settled",
        )
    [source] = found
    if isinstance(source, IterableSource):
        source.at_once = 1  # the next one may be long in coming
    return found


def waiting_in(folder: Path) -> int:
    """Bytes that earlier exports left in a spool."""
    return size_of(folder) if os.path.isdir(folder) else 0


def _whole(end: int) -> Reach:
    return lambda: (end, True)
