"""Writing from a process of its own.

Reading and writing then have an interpreter each, and the second core of the machine. The process is a
fork, made while this one has a single thread; it makes the exporter itself. Batches go to it over one
socket, from which its threads take turns to read; answers come back over another; a third tells it to
stop waiting, and that this process is gone: then it ends at once, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import pickle
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

import msgspec

from tailrace.destination import Batch, Exporter, Failure
from tailrace.errors import PluginError, TailraceError
from tailrace.pipeline.answers import UNKNOWN_FATE
from tailrace.pipeline.pool import Answer, close_exporter, start_thread, write

log = logging.getLogger("tailrace.delivery")

READY = -1
"""The number of the first answer: the exporter is made, or could not be."""

SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} if sys.platform != "win32" else set()
"""What a terminal or a service manager sends to all processes is for the reading one to act on."""

SEND_TIMEOUT = 4.0
"""Seconds for a thread that waits for a batch to take it. It does so at once, unless its process was
stopped or its machine has no time left."""

STOP = b"s"
_PR_SET_PDEATHSIG = 1
_M_ARENA_MAX = -8

_LENGTH = struct.Struct("!I")
_Work = tuple[int, list[str], list[bytes]]
_Reply = tuple[int, dict[int, Failure], bytes]
_encode = msgspec.msgpack.Encoder().encode
_decode_work = msgspec.msgpack.Decoder(_Work).decode
_decode_reply = msgspec.msgpack.Decoder(_Reply).decode


def can_fork() -> bool:
    """Whether a fork is safe here: on Linux, and no other thread could hold a lock meanwhile."""
    return sys.platform == "linux" and threading.active_count() == 1


class ProcessPool:
    """A process that writes. `make` makes its exporter, there; `stop` is handed on to it."""

    def __init__(
        self,
        make: Callable[[], Exporter],
        destination: str,
        count: int,
        *,
        stop: threading.Event,
    ) -> None:
        """Raises OSError where the system allows no more processes or open files."""
        self.ready = False
        self._destination = destination
        self._stop = stop
        self._told_to_stop = False
        self._status: int | None = None
        pairs = [socket.socketpair() for _ in range(3)]
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        parent = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            for ours, _ in pairs:
                ours.close()
            work, answers, control = (theirs for _, theirs in pairs)
            _Worker(make, destination, count, parent, stop, work, answers, control).run(mask)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for _, theirs in pairs:
            theirs.close()
        self._work, self._answers, self._control = (ours for ours, _ in pairs)
        self._work.settimeout(SEND_TIMEOUT)
        self._arrived = select.poll()
        self._arrived.register(self._answers, select.POLLIN)

    def send(self, number: int, batch: Batch) -> None:
        frame = _encode((number, batch.keys, batch.data))
        try:
            self._work.sendall(_LENGTH.pack(len(frame)) + frame)
        except TimeoutError:
            raise PluginError(
                f"destination {self._destination}: the process that writes to it does not take any more",
                hint=UNKNOWN_FATE,
            ) from None
        except OSError:
            raise self._gone() from None

    def receive(self, timeout: float) -> Answer | None:
        if self._stop.is_set() and not self._told_to_stop:
            self._told_to_stop = True
            with contextlib.suppress(OSError):
                self._control.sendall(STOP)
        if not self._arrived.poll(max(timeout, 0.0) * 1000):
            return None
        frame = _receive(self._answers)
        if frame is None:
            raise self._gone()
        number, failures, packed = _decode_reply(frame)
        error: TailraceError | None = pickle.loads(packed) if packed else None
        if number != READY:
            return Answer(number, failures, error)
        if error is not None:
            raise error
        self.ready = True
        return None

    def close(self, patience: float) -> None:
        self._work.close()
        if self._wait(patience) is None:
            log.warning("destination %s: close does not return", self._destination)
        self.abandon()

    def abandon(self) -> None:
        if self._status is None:
            os.kill(self._pid, signal.SIGKILL)
            self._wait(None)
        for ours in (self._work, self._answers, self._control):
            ours.close()

    def _gone(self) -> PluginError:
        status = self._wait(1.0) or 0
        how = f"by signal {-status}" if status < 0 else f"with {status}"
        return PluginError(
            f"destination {self._destination}: the process that writes to it ended {how}", hint=UNKNOWN_FATE
        )

    def _wait(self, patience: float | None) -> int | None:
        """How the process ended: an exit code, or a signal as a negative number. None: it still runs,
        after so many seconds."""
        if self._status is None and self._closes(patience):
            try:
                self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
            except ChildProcessError:  # somebody else has waited for it
                self._status = 0
        return self._status

    def _closes(self, patience: float | None) -> bool:
        """Whether its end of the answers is closed in time, as it is when it ends. What comes until then
        is dropped, or the process would wait for somebody to take it."""
        until = None if patience is None else time.monotonic() + patience
        while self._arrived.poll(None if until is None else max(until - time.monotonic(), 0.0) * 1000):
            if not self._answers.recv(65536):
                return True
        return False


@dataclass(frozen=True, slots=True)
class _Worker:
    """The other side: runs in the process of its own, and never returns."""

    make: Callable[[], Exporter]
    destination: str
    count: int
    parent: int
    stop: threading.Event
    work: socket.socket
    answers: socket.socket
    control: socket.socket
    taking: threading.Lock = field(default_factory=threading.Lock)
    answering: threading.Lock = field(default_factory=threading.Lock)

    def run(self, mask: set[int]) -> NoReturn:
        """`mask` are the signals to block; more are blocked until they are ignored."""
        code = 1
        try:
            gc.freeze()
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            _die_with(self.parent)
            _allocate_from_one_heap()
            self._write_all()
            code = 0
        finally:
            os._exit(code)  # nothing of the other process may be flushed, closed or rolled back here

    def _write_all(self) -> None:
        try:
            start_thread(self._watch, "tailrace-watch")
            exporter = self.make()
            serve = partial(self._serve, exporter)
            threads = [start_thread(serve, f"tailrace-write-{i}") for i in range(self.count)]
        except TailraceError as error:
            return self._answer(Answer(READY, {}, error))
        except BaseException as error:
            said = f"the exporter cannot be made: unexpected {type(error).__name__}"
            return self._answer(Answer(READY, {}, TailraceError(said)))
        self._answer(Answer(READY, {}))
        for thread in threads:
            thread.join()
        return close_exporter(exporter, self.destination)

    def _watch(self) -> None:
        """Ends this process when the other one is gone."""
        while self.control.recv(1) == STOP:
            self.stop.set()
        os._exit(1)

    def _serve(self, exporter: Exporter) -> None:
        while True:
            with self.taking:
                frame = _receive(self.work)
            if frame is None:
                return
            number, keys, data = _decode_work(frame)
            del frame
            self._answer(write(exporter, self.destination, number, Batch(keys, data)))

    def _answer(self, answer: Answer) -> None:
        packed = b"" if answer.error is None else _pack(answer.error)
        frame = _encode((answer.number, dict(answer.failures), packed))
        with self.answering:
            self.answers.sendall(_LENGTH.pack(len(frame)) + frame)


def _die_with(parent: int) -> None:
    """Have Linux kill this process when the other one ends, even if it is stopped by then. `_watch` does
    the same where that cannot be had."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _allocate_from_one_heap() -> None:
    """Have the C library keep one heap for all threads, where it has several: one for each thread that
    writes fills with holes, and the process grows for minutes. They allocate one at a time anyway."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _pack(error: TailraceError) -> bytes:
    """An error as bytes; one whose class does not allow that becomes the nearest of Tailrace's own."""
    try:
        packed = pickle.dumps(error)
        pickle.loads(packed)
    except Exception:
        own = next(base for base in type(error).__mro__ if base.__module__ == TailraceError.__module__)
        return pickle.dumps(own(error.message, hint=error.hint))
    return packed


def _receive(source: socket.socket) -> bytearray | None:
    """The next frame; None at the end."""
    head = _exactly(source, _LENGTH.size)
    return None if head is None else _exactly(source, _LENGTH.unpack(head)[0])


def _exactly(source: socket.socket, size: int) -> bytearray | None:
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        count = source.recv_into(rest)
        if not count:
            return None
        rest = rest[count:]
    return data
