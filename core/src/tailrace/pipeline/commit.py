"""Group commits: what was settled becomes true a few times a second, all at once.

A commit waits for the disk, so it happens in a thread of its own, one at a time. What it holds was
gathered by the reading thread at one moment: counters and checkpoints that belong together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from tailrace.destination import Clock
from tailrace.errors import TailraceError
from tailrace.ledger import SourcePosition
from tailrace.pipeline.pool import start_thread
from tailrace.store.journal import Share

EVERY = 0.2
RECORDS = 6_500
"""A commit follows after so many seconds or delivered records. What was delivered since, and what
was in flight, is what a crash makes an export send again."""


@dataclass(frozen=True, slots=True)
class Group:
    """What one commit makes true: a share for each part of the state, and profiles that are forgotten
    before that. `delivered` counts the records of the run so far; `sources` tells people what the
    checkpoints say."""

    shares: Sequence[Share]
    forgotten: Collection[bytes]
    delivered: int
    sources: tuple[SourcePosition, ...] = ()


Commit = Callable[[Group], None]
"""Makes a group true. Raises StateError."""


class Committer:
    """Commits in the background. The reading thread asks `due`, and starts the next."""

    def __init__(self, commit: Commit, clock: Clock) -> None:
        self._commit = commit
        self._clock = clock
        self._next = clock.monotonic() + EVERY
        self._delivered = 0
        self._mark: object = None
        self._changed = threading.Condition()
        self._work: Group | None = None
        self._closed = False
        self._failure: TailraceError | None = None
        self._told = False
        self.sources: tuple[SourcePosition, ...] = ()
        """As of the last commit that is true."""
        self._thread = start_thread(self._run, "tailrace-commit")

    def due(self, now: float, delivered: int) -> bool:
        """Whether it is time for the next, and the last one is done. Raises what that one raised,
        once."""
        if now < self._next and delivered - self._delivered < RECORDS:
            return False
        with self._changed:
            if self._failure is not None and not self._told:
                self._told = True
                raise self._failure
            return self._work is None and self._failure is None

    def is_new(self, mark: object) -> bool:
        """Whether that differs from what it was the last time; if not, the next is due later."""
        if mark == self._mark:
            self._next = self._clock.monotonic() + EVERY
            return False
        self._mark = mark
        return True

    def start(self, group: Group) -> None:
        """Commit this, soon. The last one must be done."""
        self._next = self._clock.monotonic() + EVERY
        self._delivered = group.delivered
        with self._changed:
            self._work = group
            self._changed.notify_all()

    def wait(self, patience: float) -> None:
        """Until the one that is under way has come to its end, for at most so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._work is None, patience)

    def stop(self) -> None:
        """Let the one that is under way come to its end, and start no more; may be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def finish(self, group: Group) -> None:
        """The last commit, after `stop`; when it returns, it is true. Raises StateError, and what an
        earlier one raised that nobody was told of."""
        if self._failure is None:
            try:
                self._make_true(group)
            except TailraceError as error:
                self._failure = error
                raise
        elif not self._told:
            raise self._failure

    @property
    def failed(self) -> bool:
        """Whether a commit failed; none came after it."""
        return self._failure is not None

    def _make_true(self, group: Group) -> None:
        self._commit(group)
        self.sources = group.sources

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._work is not None or self._closed)
                if self._work is None:
                    return
                work = self._work
            try:
                self._make_true(work)
            except TailraceError as error:
                self._failure = error
            except Exception as error:
                self._failure = TailraceError(f"the commit failed: unexpected {type(error).__name__}")
            with self._changed:
                self._work = None
                self._changed.notify_all()
