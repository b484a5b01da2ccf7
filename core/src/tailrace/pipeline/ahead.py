"""Looking ahead: a second process reads a file and looks at its updates, before it is their turn.

Where little has changed, to look at an update is most of what it costs. The process reads on in blocks of
whole lines, which it leaves in memory that both share, and says of each line what a look at it tells: that
it is filtered, or its profile and its quick digest. So this process, which alone knows what was delivered,
mostly has nothing more to do than to compare. Where most updates have changed it makes their records, too.
Whenever this process waits for a block it is given one as it is, and looks itself: so the work is shared,
however much of it there is on either side.

What is told is of the very bytes that are handed over. What is out of the ordinary (a line that is not
valid, a segment or attribute that is seen for the first time) is left to be looked at here, as are the end
of the file, very long lines, and all the rest if the process dies.
"""

from __future__ import annotations

import io
import logging
import mmap
import os
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from functools import partial

import msgspec

from tailrace.forking import Child, receive, send
from tailrace.pipeline.compile import Compiled, InvalidUpdate
from tailrace.pipeline.lines import Block, LineCutter, LongLine, Made, Mark
from tailrace.pipeline.profiles import Secrets
from tailrace.pipeline.sources import FileSource, Given, Source, Sources

log = logging.getLogger("tailrace.export")

LEAST = 8 * 2**20
"""Bytes of a file that are to be read; for fewer it is not worth while."""
SLOT = 256 * 1024
"""The most bytes in a block: several times what is read at once."""
SLOTS = 16
ENOUGH = 3
"""Blocks that may be handed over before one is looked at."""
PATIENCE = 0.1
"""Seconds without a block after which there may be something else to do."""
HUNG = 100
"""After so many of them nobody waits any more."""

DONE, KNOWN, CHANGED = b"d", b"k", b"c"
"""What is answered to a block when it is done with: nothing more, or what most updates in it were, of which
there were marks."""

Place = tuple[int, int]
"""Where in a file to go on: the offset, and the number of the line that begins there."""

_Frame = tuple[int, int, int, int, int]
"""(kind, offset, line number, length, end)"""
_END, _LONG, _BLOCK = 0, 1, 2
"""Kinds of frames: where to go on; a line that is too long; a block in the next slot, whose lines have that
length, and behind them as far as that end its marks, if anybody has looked at it."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Frame).decode
_decode_request = msgspec.msgpack.Decoder(tuple[int, int, int]).decode
_decode_marks = msgspec.msgpack.Decoder(list[Mark]).decode

Look = Callable[[Sequence[bytes], bool], "list[Mark] | None"]
"""From lines, and whether to make records, to a mark for each; None where something is in them for the first
time."""


def is_worth_it(sources: Sources) -> bool:
    """Whether one of them is a file with much to be read."""
    given = sources if isinstance(sources, Given) else ()
    return any(type(source) is FileSource and (source.size or 0) >= LEAST for source in given)


def blocks_of(source: Source, offset: int, number: int, ahead: Ahead | None) -> Iterator[Block | LongLine]:
    """The blocks of a source from a place on, as far as possible of what looks ahead."""
    if ahead is not None and type(source) is FileSource:
        offset, number = yield from ahead.blocks(source, offset, number)
    yield from source.blocks(offset, number)


class Ahead:
    """A process that looks ahead. `compiled` and `secrets` are those of the run."""

    def __init__(self, compiled: Compiled, secrets: Secrets, *, making: bool | None) -> None:
        """`making`: no profile is known yet, so that it makes records from the first one on; None: it never
        does. Raises OSError where the system allows no more processes, open files or memory."""
        self._memory = mmap.mmap(-1, SLOT * SLOTS)
        self._child: Child | None = None
        self._child = Child(partial(serve, self._memory, looking(compiled, secrets), making), sockets=2)
        self._requests, self._frames = self._child.sockets
        self._taken = 0

    def blocks(
        self, source: FileSource, offset: int, number: int
    ) -> Generator[Block | LongLine, None, Place]:
        """The blocks of a file from a place on, an empty one where none has come for a while. Returns where
        to go on without this: at once, unless there is much to be read of a plain file."""
        place = offset, number
        if self._child is None or source.size is None or source.size - offset < LEAST or source.compressed:
            return place
        done = False
        try:
            self._begin(source, offset, number)
            for frame in self._answers(self._child):
                if frame is None:
                    yield Block([], *place)
                    continue
                kind, offset, number, length, end = frame
                if kind == _END:
                    done = True
                    return offset, number
                if kind == _LONG:
                    place = end, number + 1
                    yield LongLine(offset, number, length, end)
                    continue
                lines, marks = self._next(length, end)
                place = offset + length, number + len(lines)
                source.moved(offset + length)
                yield Block(lines, offset, number, marks)
                self._frames.sendall(DONE if marks is None else _kind_of(marks))
        except OSError as error:
            log.warning("nobody looks ahead any more: %s", error.strerror)
        finally:
            if not done:
                self.close()
        return place

    def close(self) -> None:
        """End the process. May be called again."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _begin(self, source: FileSource, offset: int, number: int) -> None:
        with source.opened() as file:
            request = _encode((offset, number, source.max_line))
            socket.send_fds(self._requests, [request], [file.fileno()])

    def _answers(self, child: Child) -> Iterator[_Frame | None]:
        """None where nothing has come for a while. Ends where nothing more will."""
        waited = 0
        while waited < HUNG:
            waited += 1
            if not child.has_answered(PATIENCE):
                yield None
            elif (frame := receive(self._frames)) is not None:
                waited = 0
                yield _decode(frame)
            else:
                break
        log.warning("the process that looks ahead does not any more")

    def _next(self, length: int, end: int) -> tuple[list[bytes], list[Mark] | None]:
        """What is in the next slot."""
        start = self._taken % SLOTS * SLOT
        self._taken += 1
        lines = io.BytesIO(self._memory[start : start + length]).readlines()
        marks = _decode_marks(self._memory[start + length : start + end]) if end > length else None
        return lines, marks


def _kind_of(marks: list[Mark]) -> bytes:
    """Of a block that was read. The marks of what has changed, or was not told, were emptied meanwhile."""
    empty, filtered = marks.count(b""), marks.count(None)
    return KNOWN if 2 * empty <= len(marks) - filtered else CHANGED


def looking(compiled: Compiled, secrets: Secrets) -> Look:
    """The function that looks at lines."""
    sketcher = compiled.sketches(secrets)
    look, complete, encode, unseen = compiled.look, compiled.complete, compiled.encode, compiled.unseen
    glance, quick, sketch, of_key = sketcher.glance, sketcher.quick, sketcher.sketch, sketcher.of_key

    def mark(line: bytes, making: bool) -> Mark:
        try:
            update = look(line)
            if update is None:
                return None
            profile = None if making and of_key else glance(update, line)
            if not making:
                return b"" if profile is None else profile + quick(update)
            told = quick(update)
            key, update, found = complete(update, line)
            if of_key:
                profile = of_key(key.encode())
        except InvalidUpdate:
            return b""
        if profile is None:
            return b""
        return Made(profile, sketch(update, found, told), key, encode(update))

    def marks(lines: Sequence[bytes], making: bool) -> list[Mark] | None:
        before = unseen(True), unseen(False)
        found = [mark(line, making) for line in lines]
        return found if (unseen(True), unseen(False)) == before else None

    return marks


def serve(memory: mmap.mmap, look: Look, making: bool | None, sockets: list[socket.socket]) -> None:
    """The other side: look ahead in one file after the other, until the sockets are closed."""
    requests, frames = sockets
    served = _Served(memory, look, making, frames)
    while True:
        request, files, _, _ = socket.recv_fds(requests, 64, 1)
        if not request:
            return
        (file,) = files
        try:
            place = served.read(file, *_decode_request(request))
        except EOFError:
            return
        finally:
            os.close(file)
        send(frames, _encode((_END, *place, 0, 0)))


class _AtEnd(Exception):
    """Of what there is of a file so far."""


class _Served:
    def __init__(self, memory: mmap.mmap, look: Look, making: bool | None, frames: socket.socket) -> None:
        self._memory = memory
        self._look = look
        self._making = bool(making)
        self._may_make = making is not None
        self._frames = frames
        self._given = self._waiting = 0
        """Blocks that were handed over, and those of them that nobody has done with."""

    def read(self, file: int, offset: int, number: int, max_line: int) -> Place:
        """Hand over the blocks from a place on. Returns where to go on otherwise. Raises EOFError where
        nobody is there any more."""

        def read(size: int) -> bytes:
            with suppress(OSError):  # whoever reads on meets it, and tells
                if data := os.read(file, size):
                    return data
            raise _AtEnd

        cutter = LineCutter(read, max_line, offset, number)
        os.lseek(file, offset, os.SEEK_SET)
        try:
            for block in cutter.blocks():
                if isinstance(block, LongLine):
                    self._send(_LONG, block.offset, block.number, block.length, block.end)
                elif block.lines:
                    data = b"".join(block.lines)
                    if len(data) > SLOT:
                        return block.offset, block.number
                    self._hand_over(block, data)
        except _AtEnd:
            pass
        return cutter.offset, cutter.number

    def _hand_over(self, block: Block, data: bytes) -> None:
        self._await_slot()
        marks = None
        if self._waiting >= ENOUGH:  # else it would soon be waited for
            marks = self._look(block.lines, self._making)
        told = b"" if marks is None else _encode(marks)
        length, end = len(data), len(data) + len(told)
        if end > SLOT:
            end = length
        start = self._given % SLOTS * SLOT
        self._memory[start : start + end] = (data + told)[:end]
        self._send(_BLOCK, block.offset, block.number, length, end)
        self._given += 1
        self._waiting += 1

    def _await_slot(self) -> None:
        """Learn how many blocks are done with; wait until there is a slot."""
        full = self._waiting == SLOTS
        try:
            done = self._frames.recv(SLOTS, 0 if full else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if not done:
            raise EOFError
        self._waiting -= len(done)
        if told := done.replace(DONE, b""):
            self._making = self._may_make and told.endswith(CHANGED)

    def _send(self, kind: int, offset: int, number: int, length: int, end: int) -> None:
        send(self._frames, _encode((kind, offset, number, length, end)))
