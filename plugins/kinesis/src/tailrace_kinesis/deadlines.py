"""Every write ends in time, whatever a server does.

A socket's timeout bounds one read, so a server that answers one byte a second could hold a thread for
hours. One watchdog thread an exporter closes the sockets of writes that are over their time; the
blocked call then fails at once, in its own thread.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

CONTROL_SECONDS = 15.0
"""How long a call that writes nothing may take."""

Progress = Literal["idle", "sending", "sent"]


class Attempt:
    """One write, or one call outside a write. The connection that serves it reports here."""

    __slots__ = ("_lock", "answered", "ends", "expired", "idle_for", "progress", "refusal", "socket")

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self._lock = threading.Lock()
        self.expired = False
        self.socket: socket.socket | None = None
        self.begin()

    def begin(self) -> None:
        """A new request of this attempt begins."""
        self.progress: Progress = "idle"
        self.idle_for: float | None = None
        """Seconds for which the connection lay in the pool; None for a fresh one."""
        self.answered = False
        """Whether the head of an answer was read."""
        self.refusal: ValueError | None = None

    def hold(self, held: socket.socket | None) -> None:
        """The socket that the request uses now; None when it is done."""
        with self._lock:
            self.socket = held
            if self.expired and held is not None:
                _shut(held)

    def expire(self) -> None:
        with self._lock:
            self.expired = True
            if self.socket is not None:
                _shut(self.socket)

    @property
    def left(self) -> float:
        return self.ends - time.monotonic()


class Deadlines:
    """The attempts under way, and the thread that ends those that are over their time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._changed = threading.Condition()
        self._running: dict[int, Attempt] = {}
        self._wakes = 0.0
        self._closed = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def attempt(self, seconds: float | None = None) -> Iterator[Attempt]:
        """Time begins, `seconds` of it if that is less than usual. In the caller's thread connections
        find the attempt by `current()`. One inside another ends no later than that one."""
        outer = _current.attempt
        attempt = Attempt(time.monotonic() + (min(seconds or self.seconds, self.seconds)))
        if outer is not None:
            attempt.ends = min(attempt.ends, outer.ends)
        self._start(attempt)
        _current.attempt = attempt
        try:
            yield attempt
        finally:
            _current.attempt = outer
            with self._changed:
                del self._running[id(attempt)]

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _start(self, attempt: Attempt) -> None:
        with self._changed:
            self._running[id(attempt)] = attempt
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="kinesis-deadlines", daemon=True)
                self._thread.start()
            elif attempt.ends < self._wakes:  # seldom: attempts last equally long, so later ones end later
                self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                waiting = [attempt for attempt in self._running.values() if not attempt.expired]
                for attempt in waiting:
                    if attempt.ends <= now:
                        attempt.expire()
                later = [attempt.ends for attempt in waiting if attempt.ends > now]
                self._wakes = min(later, default=now + self.seconds)
                self._changed.wait(self._wakes - now)


class _Current(threading.local):
    attempt: Attempt | None = None


_current = _Current()


def current() -> Attempt | None:
    """The attempt that the calling thread works for."""
    return _current.attempt


def _shut(held: socket.socket) -> None:
    # The plain shutdown, below TLS: it wakes a blocked read, and the other thread stays the owner.
    with suppress(OSError):
        socket.socket.shutdown(held, socket.SHUT_RDWR)
