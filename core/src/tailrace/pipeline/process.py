"""Writing from a process of its own.

Reading and writing then have an interpreter each, and the second core of the machine. The process is a
fork, made while this one has a single thread; it makes the exporter itself. Batches go to it over one
socket, from which its threads take turns to read; answers come back over another; a third tells it to
stop waiting, and that this process is gone: then it ends at once, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec

from tailrace.destination import Batch, Exporter, Failure
from tailrace.errors import PluginError, TailraceError
from tailrace.forking import Child, pack_error, receive, send
from tailrace.pipeline.answers import UNKNOWN_FATE
from tailrace.pipeline.pool import Answer, close_exporter, start_thread, write

log = logging.getLogger("tailrace.delivery")

READY = -1
"""The number of the first answer: the exporter is made, or could not be."""

SEND_TIMEOUT = 4.0
"""Seconds for a thread that waits for a batch to take it. It does so at once, unless its process was
stopped or its machine has no time left."""

ON_THE_WAY = 2**20
"""Bytes of batches that may wait to be taken, where the system allows it: while there is room for a batch
nobody waits until a thread of the other process runs."""

STOP = b"s"
_Work = tuple[int, list[str], list[bytes]]
_Reply = tuple[int, dict[int, Failure], bytes]
_encode = msgspec.msgpack.Encoder().encode
_decode_work = msgspec.msgpack.Decoder(_Work).decode
_decode_reply = msgspec.msgpack.Decoder(_Reply).decode


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
        self._child = Child(partial(_write_all, make, destination, count, stop), sockets=3)
        self._work, self._control, self._answers = self._child.sockets
        self._work.settimeout(SEND_TIMEOUT)
        self._work.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ON_THE_WAY)

    def send(self, number: int, batch: Batch) -> None:
        try:
            send(self._work, _encode((number, batch.keys, batch.data)))
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
        if not self._child.has_answered(timeout):
            return None
        frame = receive(self._answers)
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
        if self._child.wait(patience) is None:
            log.warning("destination %s: close does not return", self._destination)
        self.abandon()

    def abandon(self) -> None:
        self._child.kill()

    def _gone(self) -> PluginError:
        how = self._child.how_it_ended()
        return PluginError(
            f"destination {self._destination}: the process that writes to it ended {how}", hint=UNKNOWN_FATE
        )


def _write_all(
    make: Callable[[], Exporter],
    destination: str,
    count: int,
    stop: threading.Event,
    sockets: list[socket.socket],
) -> None:
    work, control, answers = sockets
    _Worker(make, destination, count, stop, work, answers, control).run()


@dataclass(frozen=True, slots=True)
class _Worker:
    """The other side: runs in the process of its own."""

    make: Callable[[], Exporter]
    destination: str
    count: int
    stop: threading.Event
    work: socket.socket
    answers: socket.socket
    control: socket.socket
    taking: threading.Lock = field(default_factory=threading.Lock)
    answering: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
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
                frame = receive(self.work)
            if frame is None:
                return
            number, keys, data = _decode_work(frame)
            del frame
            self._answer(write(exporter, self.destination, number, Batch(keys, data)))

    def _answer(self, answer: Answer) -> None:
        packed = b"" if answer.error is None else pack_error(answer.error)
        frame = _encode((answer.number, dict(answer.failures), packed))
        with self.answering:
            send(self.answers, frame)
