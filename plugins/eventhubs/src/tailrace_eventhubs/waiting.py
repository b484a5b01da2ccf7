"""Calls that nothing can interrupt, a look-up of a name above all, and that are not waited for any longer
than so many seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class OutOfTime(Exception):
    """There was no answer in the time that was given."""


class _Call(Generic[T]):
    """The work of another thread. Who comes last, the result or the end of the patience, cleans up."""

    def __init__(self, work: Callable[[], T], discard: Callable[[T], None]) -> None:
        self._work = work
        self._discard = discard
        self._lock = threading.Lock()
        self.done = threading.Event()
        self.given_up = False
        self.result: list[T] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            result = self._work()
        except BaseException as error:  # raised by who waits
            self.error = error
        else:
            with self._lock:
                self.result.append(result)
                late = self.given_up
            if late:
                self._discard(result)
        self.done.set()

    def give_up(self) -> bool:
        """Whether the result is still out."""
        with self._lock:
            self.given_up = not self.result
            return self.given_up and self.error is None


def within(seconds: float, work: Callable[[], T], discard: Callable[[T], None] = lambda result: None) -> T:
    """What `work` returns or raises; OutOfTime where it takes longer. What it returns later is discarded."""
    call = _Call(work, discard)
    threading.Thread(target=call.run, name="eventhubs-opening", daemon=True).start()
    if not call.done.wait(seconds) and call.give_up():
        raise OutOfTime
    if call.error is not None:
        raise call.error
    return call.result[0]
