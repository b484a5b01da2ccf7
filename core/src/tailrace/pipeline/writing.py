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
from tailrace.errors import AuthenticationFailed, ConfigurationError, PluginError, TailraceError
from tailrace.pipeline.answers import UNKNOWN_FATE
from tailrace.pipeline.breaker import Breaker
from tailrace.pipeline.domains import RIDE_AFTER, Riders, Waiting
from tailrace.pipeline.memory import Change
from tailrace.pipeline.pack import Parcel
from tailrace.pipeline.pauses import Pauses
from tailrace.pipeline.pool import Answer, Pool
from tailrace.pipeline.retry import Pace

log = logging.getLogger("tailrace.delivery")

GRACE = 5.0
"""Seconds that a write may be late before its plugin counts as hung."""

TICK = 0.1


@dataclass(frozen=True, slots=True)
class Work:
    """One write: of a parcel, or of records that ride again."""

    parcel: Parcel | None
    riders: list[Waiting]

    def batch(self) -> Batch:
        if self.parcel is not None:
            return self.parcel.batch()
        return Batch([r.key for r in self.riders], [r.data for r in self.riders])

    def changes(self) -> list[Change | None]:
        """What was to become true of the profiles of its records."""
        if self.parcel is not None:
            return [record[6] for record in self.parcel.records]
        return [rider.change for rider in self.riders]

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
        self,
        pool: Pool,
        limits: Limits,
        *,
        name: str,
        count: int,
        write_timeout: float,
        clock: Clock,
        max_pause: float | None,
    ) -> None:
        """The pool is given at most `count` batches at a time."""
        self._pool = pool
        self._limits = limits
        self._name = name
        self._count = count
        self._write_timeout = write_timeout
        self._clock = clock
        self._fresh: deque[Parcel] = deque()
        self._riders = Riders(limits)
        self._arrived: deque[Answered] = deque()
        self._under_way: dict[int, tuple[Work, float]] = {}
        """Each write that is not back, by number, and when it began."""
        self._began = 0.0
        self._pauses = Pauses(max_pause)
        self._breaker = Breaker(count)
        self._pace = Pace()
        """Of parcels; records to send again have paces of their own."""
        self._flush = False
        self._closed = False
        self.paused = False
        """Nothing is sent meanwhile; what is under way comes back."""
        self.failure: TailraceError | None = None
        self.hung = False
        self.abandoned = False
        self.unknown: list[Work] = []
        """Writes that ended the writing, and nobody knows whether their records arrived."""
        self.writes = 0
        self.kept = 0
        """Records of writes that were refused until something is granted, once for each such write."""

    def put(self, parcel: Parcel) -> None:
        """Write this, soon."""
        self._fresh.append(parcel)
        self._send()

    def put_again(self, records: Sequence[Waiting]) -> None:
        """Write these once more, when others have joined them and the pace of their domain allows it."""
        self._riders.put(records, self._clock.monotonic(), self.writes)

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
        """End the writing when a write is late beyond its deadline, or a pause has lasted too long."""
        now = self._clock.monotonic()
        if self._pauses.error is not None and self._pauses.over(now):
            self.fail(self._pauses.error)
        late = now - self._write_timeout - min(GRACE, self._write_timeout)
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
        return bool(self._fresh or self._riders or self._under_way or self._arrived or not self._pool.ready)

    @property
    def waiting_for(self) -> float | None:
        """Seconds until the next write, while refusals dominate."""
        left = max(self._pace.until, self._closed_until) - self._clock.monotonic()
        return left if left > 0 else None

    @property
    def needs(self) -> TailraceError | None:
        """What the run waits for: something that somebody has to grant or mend."""
        return self._pauses.error

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
            if self._pauses.refused(answer.error, self._clock.monotonic(), answer.number, self.writes):
                return self._keep(work)
            if not isinstance(answer.error, (AuthenticationFailed, ConfigurationError)):  # nothing was sent
                self.unknown.append(work)
            return self.fail(answer.error)
        self._learn(answer, work)
        self._arrived.append(Answered(work, answer.failures))
        return None

    def _learn(self, answer: Answer, work: Work) -> None:
        """How fast to go on."""
        now, size = self._clock.monotonic(), len(work)
        accepted = size - len(answer.failures)
        again = {index: each for index, each in answer.failures.items() if each.kind != "rejected"}
        unnamed = [each for each in again.values() if each.domain is None]
        wait = max((each.retry_after or 0.0 for each in unnamed), default=0.0)
        self._pauses.answered(answer.number, accepted)
        refused = len(again) == size
        # What rides again for congested domains may all be refused, and all else go well.
        telling = not refused or work.parcel is not None or unnamed or self._breaker.open
        if telling and self._breaker.answered(now, answer.number, self.writes, refused=refused, wait=wait):
            self._pace.relax()
        self._riders.earn(accepted)
        if work.parcel is None:
            self._riders.answered(work.riders, again, now)
        else:
            self._riders.told(again, now)
            self._pace.after(now, len(unnamed), size - len(again) + len(unnamed), wait)

    def _keep(self, work: Work) -> None:
        """Nothing of it was accepted or refused; it goes out again, before what came later."""
        self.kept += len(work)
        if work.parcel is not None:
            self._fresh.appendleft(work.parcel)
        else:
            self._riders.put_back(work.riders)

    @property
    def _has_room(self) -> bool:
        """Whether one more write may begin. While something has to be granted one at a time probes."""
        return len(self._under_way) < (self._breaker.room if self._pauses.error is None else 1)

    def _send(self) -> None:
        """Send what may go out now."""
        while (
            self.failure is None
            and not self._closed
            and not self.paused
            and self._has_room
            and self._pool.ready
            and (work := self._next()) is not None
        ):
            self._began = self._clock.monotonic()
            self._under_way[self.writes] = work, self._began
            try:
                self._pool.send(self.writes, work.batch())
            except TailraceError as error:
                self.hung = True
                self.fail(error)
            self.writes += 1

    def _next(self) -> Work | None:
        """The next thing to write, if one may go out now."""
        if not self._fresh and not self._riders:
            return None
        now = self._clock.monotonic()
        if now < self._closed_until:
            return None
        ride_at = self._ride_at(now)
        if ride_at is not None and now >= ride_at:
            return Work(None, self._riders.take(now))
        if self._fresh and now >= self._pace.until:
            return Work(self._fresh.popleft(), [])
        return None

    def _patience(self) -> float:
        """Seconds until something is due that is not under way; at most TICK."""
        if self.paused or self.failure is not None or not self._has_room or not self._pool.ready:
            return TICK
        now = self._clock.monotonic()
        due = [at for at in (self._ride_at(now), self._pace.until if self._fresh else None) if at is not None]
        if not due:
            return TICK
        return min(TICK, max(max(min(due), self._closed_until) - now, 0.001))

    def _ride_at(self, now: float) -> float | None:
        """When refused records go out again. None: there are none that could."""
        nothing = not self._fresh and not self._under_way
        idle = not self._fresh if self._flush else nothing and now - self._began >= RIDE_AFTER
        at = self._riders.at(now, self.writes, soon=nothing and self._flush, idle=idle)
        return None if at is None else max(at, self._pace.until)

    @property
    def _closed_until(self) -> float:
        """Before that nothing goes out: something has to be granted, or nothing is accepted."""
        return max(self._breaker.until, self._pauses.until)
