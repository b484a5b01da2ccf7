"""The pipeline without threads and without time, so that each run is like the next: for the state machine of
`test_machine.py`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random

import pytest

from core.tests.engine.machine_stream import Life, Stream
from tailrace.destination import Batch
from tailrace.errors import TailraceError
from tailrace.pipeline import commit as committing
from tailrace.pipeline.pool import Answer as Written
from tailrace.pipeline.pool import write
from tailrace.store import commits
from tailrace.store.journal import Share
from tailrace.store.part import Part


class AnyOrder(commits.Commits):
    """Commits to the parts in an order that is drawn, as several threads would."""

    def __init__(self, parts: Sequence[Part], draw: Random) -> None:
        super().__init__(parts)
        self._draw = draw

    def commit(self, run: int, shares: Sequence[Share], forget: Collection[bytes] = ()) -> None:
        self.forget(forget)
        for number in self._draw.sample(range(len(self._parts)), len(self._parts)):
            commits._commit(self._parts[number], self._known[number], run, shares[number])


class Clock:
    """Time goes by whenever somebody looks, so nobody waits for it, and each run is like the next."""

    def __init__(self) -> None:
        self._now = 0.0

    def time(self) -> float:
        return 1.8e9

    def monotonic(self) -> float:
        self._now += 0.01
        return self._now


class Pool:
    """Writes at once, and hands back what was answered later, in any order."""

    ready = True

    def __init__(self, stream: Stream, draw: Random) -> None:
        self._stream = stream
        self._draw = draw
        self._answers: list[Written] = []

    def send(self, number: int, batch: Batch) -> None:
        self._answers.append(write(self._stream, "scripted", number, batch))

    def receive(self, timeout: float) -> Written | None:
        if not self._answers or (timeout == 0 and self._draw.random() < 0.5):
            return None
        return self._answers.pop(self._draw.randrange(len(self._answers)))

    def close(self, patience: float) -> None: ...

    def abandon(self) -> None: ...


class Slow(committing.Committer):
    """Commits in no thread: what was started is done at one of the next looks, or when somebody waits."""

    draw = Random(0)

    def due(self, now: float, delivered: int) -> bool:
        if self._work is not None and self.draw.random() < 0.5:
            self._do()
        return super().due(now, delivered)

    def wait(self, patience: float) -> None:
        self._do()

    def stop(self) -> None:
        self._do()
        super().stop()

    def _do(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            try:
                self._make_true(work)
            except TailraceError as error:
                self._failure = error

    def _run(self) -> None: ...


@contextmanager
def by_hand(life: Life, draw: Random) -> Iterator[None]:
    """Commits as often as can be, no thread, and each commit of a part may be the last thing."""
    commit = Part.commit

    def mortal(part: Part, changes: Mapping[bytes, bytes | None]) -> None:
        life.commits()
        commit(part, changes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "EVERY", 0.0)
        patch.setattr(Slow, "draw", draw)
        patch.setattr("tailrace.pipeline.export.Committer", Slow)
        patch.setattr(Part, "commit", mortal)
        yield
