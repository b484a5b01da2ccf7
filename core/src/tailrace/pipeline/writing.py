"""Writing: what goes out next, and when. Parcels and records to send again go to a pool that writes;
what it answers is handed back.

All of it happens in the reading thread, so nothing here is locked.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tailrace.destination import Batch, Clock, Failure, Limits
from tailrace.errors import PluginError, TailraceError
from tailrace.pipeline.answers import UNKNOWN_FATE
from tailrace.pipeline.memory import Change
from tailrace.pipeline.pack import Parcel, held, record_size
from tailrace.pipeline.pool import Answer, Pool
from tailrace.pipeline.retry import Pace
from tailrace.pipeline.settle import Track

log = logging.getLogger("tailrace.delivery")

GRACE = 5.0
"""Seconds that a write may be late before its plugin counts as hung."""

TICK = 0.1

RIDE_AFTER = 0.2
"""Seconds that refused records wait for others, so that they go together."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A record that was refused and is to be sent again."""

    key: str
    data: bytes
    line: bytes
    track: Track
    offset: int
    number: int
    change: Change | None

    @property
    def held(self) -> int:
        return held(self.data, self.line)


@dataclass(frozen=True, slots=True)
class Work:
    """One write: of a parcel, or of records that ride again."""

    parcel: Parcel | None
    riders: list[Waiting]

    def batch(self) -> Batch:
        if self.parcel is not None:
            return self.parcel.batch()
        return Batch([r.key for r in self.riders], [r.data for r in self.riders])

    def __len__(self) -> int:
        return len(self.riders) if self.parcel is None else len(self.parcel)


class Answered(NamedTuple):
    """A write that came back."""

    work: Work
    failures: Mapping[int, Failure]


class Writers:
    """`failure` is set when writing had to end early, `hung` when writes will not come back,
    `abandoned` when nobody waits for the last ones any more."""

    def __init__(
        self, pool: Pool, limits: Limits, *, name: str, count: int, write_timeout: float, clock: Clock
    ) -> None:
        """The pool is given at most `count` batches at a time."""
        self._pool = pool
        self._limits = limits
        self._name = name
        self._count = count
        self._write_timeout = write_timeout
        self._clock = clock
        self._fresh: deque[Parcel] = deque()
        self._again: deque[Waiting] = deque()
        self._arrived: deque[Answered] = deque()
        self._under_way: dict[int, tuple[Work, float]] = {}
        """Each write that is not back, by number, and when it began."""
        self._pace = Pace()
        self._retry_pace = Pace()
        self._again_since = 0.0
        self._flush = False
        self._closed = False
        self.failure: TailraceError | None = None
        self.hung = False
        self.abandoned = False
        self.writes = 0

    def put(self, parcel: Parcel) -> None:
        """Write this, soon."""
        self._fresh.append(parcel)
        self._send()

    def put_again(self, records: Sequence[Waiting]) -> None:
        """Write these once more, when others have joined them and the pace allows it."""
        if not self._again:
            self._again_since = self._clock.monotonic()
        self._again.extend(records)

    def take(self) -> Answered | None:
        """The next write that came back, if there is one. Sends what may go out now."""
        self._receive(0.0)
        if self._arrived:
            return self._arrived.popleft()
        self._send()
        return None

    def wait(self) -> None:
        """Until a write comes back, another is due, or a moment has passed."""
        self._send()
        if not self._arrived:
            self._receive(self._patience())

    def flush(self) -> None:
        """Nothing more comes from the source: what was refused need not wait for company."""
        self._flush = True

    def close(self, patience: float) -> None:
        """Let what is under way come to its end, if anything can, and close the exporter: for at most
        so many seconds."""
        self._closed = True
        if self.hung or self.abandoned:
            self._pool.abandon()
        else:
            self._pool.close(patience)

    def abandon(self) -> None:
        """Leave behind what is under way; it is not taken any more."""
        self.abandoned = bool(self._under_way)

    def fail(self, error: TailraceError) -> None:
        """End the writing; the first error counts."""
        if self.failure is None:
            self.failure = error
            log.info("writing ends: %s", error.code)

    def check(self) -> None:
        """End the writing when a write is late beyond its deadline."""
        late = self._clock.monotonic() - self._write_timeout - min(GRACE, self._write_timeout)
        if any(began < late for _, began in self._under_way.values()):
            self.hung = True
            said = f"destination {self._name}: a write did not return within {self._write_timeout:g} s"
            self.fail(PluginError(said, hint=UNKNOWN_FATE))

    @property
    def under_way(self) -> int:
        """Writes that have begun and are not back."""
        return len(self._under_way)

    @property
    def ready(self) -> bool:
        """Whether those who write have begun."""
        return self._pool.ready

    @property
    def ending(self) -> bool:
        """Writes are under way, or were answered and not taken, and will come back."""
        return bool(self._arrived or (self._under_way and not self.hung))

    @property
    def busy(self) -> bool:
        """Something is being written, or waits to be, or to be taken; or nothing can be yet."""
        return bool(self._fresh or self._again or self._under_way or self._arrived or not self._pool.ready)

    @property
    def waiting_for(self) -> float | None:
        """Seconds until the next write, while refusals dominate."""
        left = self._pace.until - self._clock.monotonic()
        return left if left > 0 else None

    # --- the pool -----------------------------------------------------------------------------

    def _receive(self, timeout: float) -> None:
        if self.hung or self.abandoned or self._closed:
            return
        try:
            while (answer := self._pool.receive(timeout)) is not None:
                self._arrive(answer)
                timeout = 0.0
        except TailraceError as error:  # nothing comes back any more
            self.hung = True
            self.fail(error)

    def _arrive(self, answer: Answer) -> None:
        work, _ = self._under_way.pop(answer.number)
        if answer.error is not None:
            return self.fail(answer.error)
        again = [failure for failure in answer.failures.values() if failure.kind != "rejected"]
        wait = max((failure.retry_after or 0.0 for failure in again), default=0.0)
        pace = self._retry_pace if work.parcel is None else self._pace
        pace.after(self._clock.monotonic(), len(again), len(work), wait)
        self._arrived.append(Answered(work, answer.failures))
        return None

    def _send(self) -> None:
        """Send what may go out now."""
        while (
            self.failure is None
            and not self._closed
            and len(self._under_way) < self._count
            and self._pool.ready
            and (work := self._next()) is not None
        ):
            self._under_way[self.writes] = work, self._clock.monotonic()
            try:
                self._pool.send(self.writes, work.batch())
            except TailraceError as error:
                self.hung = True
                self.fail(error)
            self.writes += 1

    def _next(self) -> Work | None:
        """The next thing to write, if one may go out now."""
        if not self._fresh and not self._again:
            return None
        now = self._clock.monotonic()
        ride_at = self._ride_at()
        if ride_at is not None and now >= ride_at:
            return Work(None, self._riders())
        if self._fresh and now >= self._pace.until:
            return Work(self._fresh.popleft(), [])
        return None

    def _patience(self) -> float:
        """Seconds until something is due that is not under way; at most TICK."""
        if self.failure is not None or len(self._under_way) >= self._count or not self._pool.ready:
            return TICK
        due = [at for at in (self._ride_at(), self._pace.until if self._fresh else None) if at is not None]
        return min(TICK, max(min(due) - self._clock.monotonic(), 0.001)) if due else TICK

    def _ride_at(self) -> float | None:
        """When refused records go out again: when they fill a write or nothing else is to come,
        otherwise after a moment, so that they go together. None: there are none."""
        if not self._again:
            return None
        soon = (self._flush and not self._fresh) or len(self._again) >= self._limits.records
        start = 0.0 if soon else self._again_since + RIDE_AFTER
        return max(start, self._pace.until, self._retry_pace.until)

    def _riders(self) -> list[Waiting]:
        riders: list[Waiting] = []
        size = 0
        while self._again and len(riders) < self._limits.records:
            record = self._again[0]
            size += record_size(record.key, record.data, self._limits.record_overhead)
            if riders and size > self._limits.bytes:
                break
            riders.append(self._again.popleft())
        return riders
