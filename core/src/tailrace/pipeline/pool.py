"""Who writes: threads that call the plugin's exporter, in this process or in one of its own.

A pool is told to write a batch and answers later, in any order. The reading thread is the only one
that talks to it. `ThreadPool` writes in this process; `process.py` has the other one.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from tailrace.destination import Batch, Exporter, Failure
from tailrace.errors import TailraceError
from tailrace.pipeline.answers import call_write

log = logging.getLogger("tailrace.delivery")


class Answer(NamedTuple):
    """What became of the write of that number: its failures by index, or what ends the run."""

    number: int
    failures: Mapping[int, Failure]
    error: TailraceError | None = None


class Pool(Protocol):
    """Writes at most so many batches at once as it was made for; it is not given more.

    `ready` says whether it takes batches; until then `receive` is called. `send` and `receive` raise
    PluginError when nothing more will come back, and `receive` raises what the exporter could not be
    made for. `close` lets writes under way come to their end and closes the exporter, for at most so
    many seconds; `abandon` waits for nothing.
    """

    ready: bool

    def send(self, number: int, batch: Batch) -> None: ...

    def receive(self, timeout: float) -> Answer | None: ...

    def close(self, patience: float) -> None: ...

    def abandon(self) -> None: ...


def write(exporter: Exporter, destination: str, number: int, batch: Batch) -> Answer:
    """Write a batch; whatever happens is an answer."""
    try:
        return Answer(number, call_write(exporter, destination, batch))
    except TailraceError as error:
        return Answer(number, {}, error)
    except BaseException as error:
        log.debug("writing thread: %s", type(error).__name__)
        return Answer(number, {}, TailraceError(f"writing ended: unexpected {type(error).__name__}"))


def close_exporter(exporter: Exporter, destination: str) -> None:
    """What a plugin's `close` raises is worth a line in the log, and no more."""
    try:
        exporter.close()
    except BaseException as error:
        log.warning("destination %s: close raised %s", destination, type(error).__name__)


class ThreadPool:
    """Threads of this process, which write with an exporter that exists."""

    ready = True

    def __init__(self, exporter: Exporter, destination: str, count: int) -> None:
        self._exporter = exporter
        self._destination = destination
        self._work: queue.SimpleQueue[tuple[int, Batch] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._threads = [start_thread(self._run, f"tailrace-write-{i}") for i in range(count)]

    def send(self, number: int, batch: Batch) -> None:
        self._work.put((number, batch))

    def receive(self, timeout: float) -> Answer | None:
        try:
            return self._answers.get(timeout=timeout) if timeout > 0 else self._answers.get_nowait()
        except queue.Empty:
            return None

    def close(self, patience: float) -> None:
        closer = self._close_later()
        closer.join(patience)
        if closer.is_alive():
            log.warning("destination %s: close does not return", self._destination)

    def abandon(self) -> None:
        self._close_later()

    def _close_later(self) -> threading.Thread:
        """In a thread of its own, since a plugin may hang in `close` as well as in `write`."""
        for _ in self._threads:
            self._work.put(None)
        return start_thread(self._close, "tailrace-close")

    def _close(self) -> None:
        for thread in self._threads:
            thread.join()
        close_exporter(self._exporter, self._destination)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            self._answers.put(write(self._exporter, self._destination, *work))
            del work  # or its memory lasts until the next write


def start_thread(run: Callable[[], None], name: str) -> threading.Thread:
    """Raises TailraceError where the system allows no more."""
    thread = threading.Thread(target=run, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        raise TailraceError(
            "the system allows no more threads", hint="raise its limit (ulimit -u), or lower --in-flight"
        ) from None
    return thread
