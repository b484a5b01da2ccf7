"""Delivery: parcels go to the exporter from several threads, refused records ride again, and every
record meets its fate once.

Nothing here knows a destination, a format or a file. The reading thread calls `submit`, `collect`
and `finish`, and is the only one that settles; `in_flight` threads write, and hand back what was
answered. One lock guards what they share; no I/O happens under it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

from tailrace.destination import Batch, Clock, Exporter, Failure, Limits
from tailrace.errors import PluginError, TailraceError, Unavailable
from tailrace.pipeline.answers import UNKNOWN_FATE, call_write
from tailrace.pipeline.pack import Parcel, held, record_size
from tailrace.pipeline.retry import Pace
from tailrace.pipeline.settle import Track

log = logging.getLogger("tailrace.delivery")

BUDGET = 6 * 2**20
"""Bytes of records and their updates held at once; the reader waits at the bound."""

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
    attempts: int = 0

    @property
    def held(self) -> int:
        return held(self.data, self.line)


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that can never be delivered, on its way to the dead letters."""

    record: Waiting
    failure: Failure


@dataclass(slots=True)
class Counts:
    """What happened to records so far."""

    submitted: int = 0
    delivered: int = 0
    rejected: int = 0
    retries: int = 0
    ambiguous: int = 0
    writes: int = 0

    @property
    def pending(self) -> int:
        return self.submitted - self.delivered - self.rejected


class Answered(NamedTuple):
    """A write that came back: of a parcel, or of records that rode again."""

    parcel: Parcel | None
    riders: list[Waiting]
    failures: Mapping[int, Failure]


class Delivery:
    """Writes parcels until told to finish. `failure` is set when writing had to end early."""

    def __init__(
        self,
        exporter: Exporter,
        limits: Limits,
        *,
        name: str,
        in_flight: int,
        give_up_after: float,
        write_timeout: float,
        clock: Clock,
        bury: Callable[[Sequence[Refused]], None],
        settled: Callable[[Iterable[str]], None] | None = None,
        budget: int = BUDGET,
    ) -> None:
        self._exporter = exporter
        self._limits = limits
        self._name = name
        self._give_up_after = give_up_after
        self._write_timeout = write_timeout
        self._clock = clock
        self._bury = bury
        self._settled = settled
        self._budget = budget
        self._lock = threading.Lock()
        self._work_ready = threading.Condition(self._lock)
        self._back = threading.Condition(self._lock)
        self._fresh: deque[Parcel] = deque()
        self._again: deque[Waiting] = deque()
        self._answered: deque[Answered] = deque()
        self._writing: dict[int, float] = {}
        self._pace = Pace()
        self._retry_pace = Pace()
        self._again_since = 0.0
        self._flush = False
        self._closed = False
        self.failure: TailraceError | None = None
        self.hung = False
        self.abandoned = False
        # Of the reading thread alone:
        self._parcels: set[Parcel] = set()
        self._waiting: set[Waiting] = set()
        self._held = 0
        self._failing_since: float | None = None
        self._last_refusal = ""
        self.counts = Counts()
        self._writes = 0
        self._threads = [
            threading.Thread(target=self._work, name=f"tailrace-write-{i}", daemon=True)
            for i in range(in_flight)
        ]
        for thread in self._threads:
            thread.start()

    # --- the reading thread -------------------------------------------------------------------

    def submit(self, parcel: Parcel, tick: Callable[[], bool]) -> bool:
        """Hand over a parcel, waiting while too many bytes are held. False: writing has ended and
        the parcel was only counted. `tick` runs while waiting; it answers True to stop waiting."""
        if not len(parcel):
            return self.failure is None
        self.counts.submitted += len(parcel)
        self._parcels.add(parcel)
        impatient = False
        while True:
            self.collect()
            if self.failure is not None:
                return False
            if impatient or not self._held or self._held + parcel.held <= self._budget:
                self._held += parcel.held
                with self._lock:
                    self._fresh.append(parcel)
                    self._work_ready.notify()
                return True
            self._wait()
            self.check()
            impatient = tick()

    def collect(self) -> None:
        """Settle what was answered meanwhile. A dead letter that cannot be kept ends the writing."""
        while self._answered:
            answered = self._answered.popleft()
            try:
                self._settle(answered)
            except TailraceError as error:
                self._end(error)
            finally:
                if self._again:
                    with self._lock:
                        self._work_ready.notify()

    def unsettled(self) -> Iterator[tuple[Track, int, int]]:
        """Source, line number and offset of every record that waits for its fate."""
        for parcel in self._parcels:
            for _, _, _, track, offset, number in parcel.records:
                yield track, number, offset
        for record in self._waiting:
            yield record.track, record.number, record.offset

    def finish(self, tick: Callable[[], bool], *, abandon: bool = True) -> None:
        """No more parcels: wait until every record has met its fate, writing has failed, or `tick`
        answers True. Then end the threads. One that hangs in a plugin is left behind; with `abandon`
        so is each that still writes when `tick` answers True, and its records stay pending."""
        self.flush()
        while True:
            self.collect()
            with self._lock:
                done = not (self._fresh or self._again or self._writing or self._answered)
            if self.failure is not None or done:
                break
            self._wait()
            self.check()
            if tick():
                break
        with self._lock:
            self._closed = True
            self._work_ready.notify_all()
        for thread in self._threads:
            while thread.is_alive() and not self.hung:
                thread.join(TICK)
                self.check()
                if tick() and abandon:
                    with self._lock:
                        self.abandoned = bool(self._writing)
                    self.collect()
                    return
        self.collect()

    def flush(self) -> None:
        """Nothing more comes from the source: what was refused need not wait for company."""
        with self._lock:
            self._flush = True
            self._work_ready.notify_all()

    @property
    def idle(self) -> bool:
        """Nothing is being written, nor waits to be, nor waits to be settled."""
        return not (self._parcels or self._waiting)

    def wait(self) -> None:
        """Until a write comes back and is settled, or a moment has passed."""
        self._wait()
        self.collect()
        self.check()

    def _wait(self) -> None:
        with self._lock:
            if not self._answered:
                self._back.wait(TICK)

    def join(self) -> None:
        """Wait for every thread, those that were left behind too."""
        for thread in self._threads:
            thread.join()

    def snapshot(self) -> Counts:
        """The counts of one moment, which add up."""
        counts = copy(self.counts)
        counts.writes = self._writes
        return counts

    @property
    def waiting_for(self) -> float | None:
        """Seconds until the next write, while refusals dominate."""
        left = self._pace.until - self._clock.monotonic()
        return left if left > 0 else None

    @property
    def writing(self) -> int:
        """Writes under way."""
        return len(self._writing)

    def check(self) -> None:
        """End the run when a write is late beyond its deadline, or when the time to give up comes
        while nothing is being written (the destination may have asked for a long wait)."""
        late = self._clock.monotonic() - self._write_timeout - min(GRACE, self._write_timeout)
        with self._lock:
            if any(started < late for started in self._writing.values()):
                self.hung = True
                self._fail(
                    PluginError(
                        f"destination {self._name}: a write did not return within {self._write_timeout:g} s",
                        hint=UNKNOWN_FATE,
                    )
                )
            if not self._writing:
                self._give_up(self._clock.monotonic())

    # --- the writing threads ------------------------------------------------------------------

    def _work(self) -> None:
        me = threading.get_ident()
        while True:
            with self._lock:
                work = self._next()
                if work is None:
                    return
                self._writing[me] = self._clock.monotonic()
                self._writes += 1
            parcel, riders = work
            answered: Answered | None = None
            try:
                answered = self._write(parcel, riders)
            except TailraceError as error:
                self._end(error)
            except BaseException as error:
                log.debug("writing thread ended: %s", type(error).__name__)
                self._end(TailraceError(f"writing ended: unexpected {type(error).__name__}"))
            finally:
                with self._lock:
                    self._writing.pop(me, None)
                    if answered is not None and not self.abandoned:  # else nobody counts any more
                        self._answered.append(answered)
                    self._back.notify()
            parcel, riders, answered = None, [], None  # or their memory lasts until the next write

    def _write(self, parcel: Parcel | None, riders: list[Waiting]) -> Answered:
        if parcel is not None:
            batch = parcel.batch()
        else:
            batch = Batch([r.key for r in riders], [r.data for r in riders])
        failures = call_write(self._exporter, self._name, batch)
        again = [failure for failure in failures.values() if failure.kind != "rejected"]
        wait = max((failure.retry_after or 0.0 for failure in again), default=0.0)
        with self._lock:
            pace = self._retry_pace if parcel is None else self._pace
            pace.after(self._clock.monotonic(), len(again), len(batch), wait)
        return Answered(parcel, riders, failures)

    def _end(self, error: TailraceError) -> None:
        with self._lock:
            self._fail(error)

    def _fail(self, error: TailraceError) -> None:
        if self.failure is None:
            self.failure = error
            log.info("writing ends: %s", error.code)
        self._work_ready.notify_all()
        self._back.notify_all()

    def _next(self) -> tuple[Parcel | None, list[Waiting]] | None:
        """The next thing to write; waits for it. None: there is nothing more to do."""
        while not self._closed and self.failure is None:
            now = self._clock.monotonic()
            ride_at = self._ride_at()
            if ride_at is not None and now >= ride_at:
                return None, self._riders()
            if self._fresh and now >= self._pace.until:
                return self._fresh.popleft(), []
            wake = [at for at in (ride_at, self._pace.until if self._fresh else None) if at is not None]
            self._work_ready.wait(max(min(wake) - now, 0.001) if wake else None)
        return None

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

    # --- settling, in the reading thread ------------------------------------------------------

    def _settle(self, answered: Answered) -> None:
        parcel, riders, failures = answered
        again: list[Waiting] = []
        refused: list[Refused] = []
        for index, failure in failures.items():
            record = riders[index] if parcel is None else Waiting(*parcel.records[index])
            record.attempts += 1
            if failure.kind == "rejected":
                refused.append(Refused(record, failure))
            else:
                again.append(record)
        if parcel is not None:
            size = len(parcel)
            self._waiting.update(again, (letter.record for letter in refused))
            self._parcels.discard(parcel)
            self._held -= parcel.held - sum(record.held for record in self._of(again, refused))
        else:
            size = len(riders)
            for index, record in enumerate(riders):
                if index not in failures:
                    self._forget(record)
        self.counts.delivered += size - len(failures)
        if self._settled is not None:
            keys = [r[0] for r in parcel.records] if parcel is not None else [r.key for r in riders]
            if failures:
                keys = [key for index, key in enumerate(keys) if index not in failures]
            self._settled(keys)
        if size > len(failures):
            self._failing_since = None
        if refused:
            self._bury([*refused])  # written and synced before they count as settled
            self.counts.rejected += len(refused)
            for letter in refused:
                self._forget(letter.record)
            if self._settled is not None:
                self._settled(letter.record.key for letter in refused)
        if again:
            self._send_again(again, failures, size)

    @staticmethod
    def _of(again: Sequence[Waiting], refused: Sequence[Refused]) -> Iterator[Waiting]:
        yield from again
        yield from (letter.record for letter in refused)

    def _forget(self, record: Waiting) -> None:
        self._waiting.discard(record)
        self._held -= record.held

    def _send_again(self, again: Sequence[Waiting], failures: Mapping[int, Failure], size: int) -> None:
        now = self._clock.monotonic()
        self.counts.retries += len(again)
        self.counts.ambiguous += sum(f.kind == "ambiguous" for f in failures.values())
        with self._lock:
            if not self._again:
                self._again_since = now
            self._again.extend(again)
        last = [failure for failure in failures.values() if failure.kind != "rejected"][-1]
        self._last_refusal = f"{last.code}: {last.message}" if last.message else last.code
        log.info("write of %d: %d to send again, last %s", size, len(again), last.code)
        if len(failures) == size:
            if self._failing_since is None:
                self._failing_since = now
            with self._lock:
                self._give_up(now)

    def _give_up(self, now: float) -> None:
        if self._failing_since is not None and now - self._failing_since >= self._give_up_after:
            self._fail(
                Unavailable(
                    f"destination {self._name} accepted nothing for {self._give_up_after:g} s; "
                    f"last answer: {self._last_refusal}",
                    hint="what was not delivered counts as pending; export the source again later",
                )
            )
