"""Writing: threads that take parcels, and records to send again, and hand back what was answered.

One lock guards what the threads share with the one that reads; no I/O happens under it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tailrace.destination import Batch, Clock, Exporter, Failure, Limits
from tailrace.errors import PluginError, TailraceError
from tailrace.pipeline.answers import UNKNOWN_FATE, call_write
from tailrace.pipeline.pack import Parcel, held, record_size
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

    @property
    def held(self) -> int:
        return held(self.data, self.line)


class Answered(NamedTuple):
    """A write that came back: of a parcel, or of records that rode again."""

    parcel: Parcel | None
    riders: list[Waiting]
    failures: Mapping[int, Failure]


class Writers:
    """The threads. `failure` is set when writing had to end early, `hung` when a plugin's write did not
    return in time, `abandoned` when nobody waits for the last writes any more."""

    def __init__(
        self,
        exporter: Exporter,
        limits: Limits,
        *,
        name: str,
        count: int,
        write_timeout: float,
        clock: Clock,
    ) -> None:
        self._exporter = exporter
        self._limits = limits
        self._name = name
        self._write_timeout = write_timeout
        self._clock = clock
        self._lock = threading.Lock()
        self._work_ready = threading.Condition(self._lock)
        self._back = threading.Condition(self._lock)
        self._fresh: deque[Parcel] = deque()
        self._again: deque[Waiting] = deque()
        self._answered: deque[Answered] = deque()
        self._began: dict[int, float] = {}
        """When each write that is under way began, by thread."""
        self._pace = Pace()
        self._retry_pace = Pace()
        self._again_since = 0.0
        self._flush = False
        self._closed = False
        self.failure: TailraceError | None = None
        self.hung = False
        self.abandoned = False
        self.writes = 0
        self._threads = [
            threading.Thread(target=self._work, name=f"tailrace-write-{i}", daemon=True) for i in range(count)
        ]
        for thread in self._threads:
            thread.start()

    # --- the reading thread -------------------------------------------------------------------

    def put(self, parcel: Parcel) -> None:
        """Write this, soon."""
        with self._lock:
            self._fresh.append(parcel)
            self._work_ready.notify()

    def put_again(self, records: Sequence[Waiting]) -> None:
        """Write these once more, when others have joined them and the pace allows it."""
        with self._lock:
            if not self._again:
                self._again_since = self._clock.monotonic()
            self._again.extend(records)
            self._work_ready.notify()

    def take(self) -> Answered | None:
        """The next write that came back, if there is one."""
        return self._answered.popleft() if self._answered else None

    def wait(self) -> None:
        """Until a write comes back, or a moment has passed."""
        with self._lock:
            if not self._answered:
                self._back.wait(TICK)

    def flush(self) -> None:
        """Nothing more comes from the source: what was refused need not wait for company."""
        with self._lock:
            self._flush = True
            self._work_ready.notify_all()

    def close(self) -> None:
        """Take nothing more; a thread ends when its write is back."""
        with self._lock:
            self._closed = True
            self._work_ready.notify_all()

    def abandon(self) -> None:
        """Leave behind the threads that still write; what they bring is not taken any more."""
        with self._lock:
            self.abandoned = bool(self._began)

    def ended(self) -> bool:
        """Whether every thread has ended, or one hangs; waits a moment for that."""
        for thread in self._threads:
            if thread.is_alive() and not self.hung:
                thread.join(TICK)
                break
        return self.hung or not any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        """Wait for every thread, those that were left behind too."""
        for thread in self._threads:
            thread.join()

    def fail(self, error: TailraceError) -> None:
        """End the writing; the first error counts."""
        with self._lock:
            if self.failure is None:
                self.failure = error
                log.info("writing ends: %s", error.code)
            self._work_ready.notify_all()
            self._back.notify_all()

    def check(self) -> None:
        """End the writing when a write is late beyond its deadline."""
        late = self._clock.monotonic() - self._write_timeout - min(GRACE, self._write_timeout)
        with self._lock:
            self.hung = self.hung or any(began < late for began in self._began.values())
        if self.hung:
            said = f"destination {self._name}: a write did not return within {self._write_timeout:g} s"
            self.fail(PluginError(said, hint=UNKNOWN_FATE))

    @property
    def under_way(self) -> int:
        """Writes that have begun and are not back."""
        return len(self._began)

    @property
    def busy(self) -> bool:
        """Something is being written, or waits to be, or to be taken."""
        with self._lock:
            return bool(self._fresh or self._again or self._began or self._answered)

    @property
    def waiting_for(self) -> float | None:
        """Seconds until the next write, while refusals dominate."""
        left = self._pace.until - self._clock.monotonic()
        return left if left > 0 else None

    # --- the writing threads ------------------------------------------------------------------

    def _work(self) -> None:
        me = threading.get_ident()
        while True:
            with self._lock:
                work = self._next()
                if work is None:
                    return
                self._began[me] = self._clock.monotonic()
                self.writes += 1
            answered: Answered | None = None
            try:
                answered = self._write(*work)
            except TailraceError as error:
                self.fail(error)
            except BaseException as error:
                log.debug("writing thread ended: %s", type(error).__name__)
                self.fail(TailraceError(f"writing ended: unexpected {type(error).__name__}"))
            finally:
                with self._lock:
                    self._began.pop(me, None)
                    if answered is not None and not self.abandoned:
                        self._answered.append(answered)
                    self._back.notify()
            work, answered = None, None  # or their memory lasts until the next write

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
