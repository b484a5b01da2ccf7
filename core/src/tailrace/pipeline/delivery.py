"""Delivery: parcels are written, refused records ride again, and every record meets its fate once.

Nothing here knows a destination, a format or a file. All of it happens in the reading thread, which is
the only one that settles.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass

from tailrace.destination import Clock, Failure, Limits
from tailrace.errors import TailraceError, Unavailable
from tailrace.pipeline.domains import Waiting
from tailrace.pipeline.memory import Change, part_of_change
from tailrace.pipeline.pack import Parcel
from tailrace.pipeline.pool import Pool
from tailrace.pipeline.settle import Unsettled
from tailrace.pipeline.writing import Answered, Writers

log = logging.getLogger("tailrace.delivery")

BUDGET = 6 * 2**20
"""Bytes of records and their updates held at once; the reader waits at the bound."""


Settled = tuple[str, Change | None]
"""Of a record that has met its fate: its key, and what was to become true of its profile."""


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


class Delivery:
    """Has parcels written until told to finish. `failure` is set when that had to end early."""

    def __init__(
        self,
        pool: Pool,
        limits: Limits,
        *,
        name: str,
        in_flight: int,
        give_up_after: float,
        write_timeout: float,
        max_pause: float | None,
        clock: Clock,
        bury: Callable[[Sequence[Refused]], None],
        settled: Callable[[Sequence[Settled], bool], None] | None = None,
        budget: int = BUDGET,
    ) -> None:
        """`settled` is told of records that have met their fate, and whether they were delivered."""
        self._name = name
        self._give_up_after = give_up_after
        self._clock = clock
        self._bury = bury
        self._settled = settled
        self._budget = budget
        self._parcels: set[Parcel] = set()
        self._waiting: set[Waiting] = set()
        self._held = 0
        self._failing_since: float | None = None
        self._last_refusal = ""
        self.counts = Counts()
        self._writers = Writers(
            pool,
            limits,
            name=name,
            count=in_flight,
            write_timeout=write_timeout,
            clock=clock,
            max_pause=max_pause,
        )

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
                self._writers.put(parcel)
                return True
            self._writers.wait()
            self.check()
            impatient = tick()

    def begin(self, tick: Callable[[], bool]) -> None:
        """Wait until those who write are ready, or will never be."""
        while not self._writers.ready and self.failure is None:
            self.wait()
            if tick():
                return

    def collect(self) -> None:
        """Settle what was answered meanwhile. A dead letter that cannot be kept ends the writing."""
        while (answered := self._writers.take()) is not None:
            try:
                self._settle(answered)
            except TailraceError as error:
                self._writers.fail(error)

    def unsettled(self) -> Iterator[Unsettled]:
        """Every record that waits for its fate."""
        for parcel in self._parcels:
            for _, _, _, track, offset, number, change in parcel.records:
                yield track, part_of_change(change), number, offset
        for record in self._waiting:
            yield record.track, part_of_change(record.change), record.number, record.offset

    def in_doubt(self) -> Iterator[Change]:
        """Changes that may have been delivered: of writes that were left behind or broke off, and of
        records whose last answer did not say."""
        for work in self._writers.unknown:
            yield from (change for change in work.changes() if change is not None)
        left = self.abandoned or self._writers.hung
        for parcel in self._parcels if left else ():
            yield from (record[6] for record in parcel.records if record[6] is not None)
        for record in self._waiting:
            if record.change is not None and (left or record.change.in_doubt):
                yield record.change

    def wait(self) -> None:
        """Until a write comes back and is settled, or a moment has passed."""
        self._writers.wait()
        self.collect()
        self.check()

    def flush(self) -> None:
        """Nothing more comes from the source: what was refused need not wait for company."""
        self._writers.flush()

    def finish(self, tick: Callable[[], bool], *, abandon: bool = True) -> None:
        """No more parcels: wait until every record has met its fate, writing has failed, or `tick`
        answers True; then until what is under way has come back. What hangs in a plugin is left
        behind; with `abandon` so is what is under way when `tick` answers True: it stays pending."""
        self.flush()
        self.collect()
        while self.failure is None and self._writers.busy:
            self.wait()
            if tick():
                break
        while self._writers.ending and not self.abandoned:
            self.wait()
            if tick() and abandon:
                self._writers.abandon()
        self.collect()

    def close(self, patience: float) -> None:
        """End those who write, waiting for at most so many seconds."""
        self._writers.close(patience)

    def fail(self, error: TailraceError) -> None:
        """Send no more; what is under way may come back."""
        self._writers.fail(error)

    def check(self) -> None:
        """End the run when a write is late beyond its deadline, a pause has lasted too long, or the time
        to give up comes while nothing is being written (the destination may have asked for a long wait).
        That time does not run in a pause."""
        self._writers.check()
        if self._writers.needs is not None:
            self._failing_since = None
        elif not self._writers.under_way:
            self._give_up(self._clock.monotonic())

    def pause(self, paused: bool) -> None:
        """Send nothing from now on, or go on: the time to give up begins anew then."""
        if paused != self._writers.paused:
            self._writers.paused = paused
            self._failing_since = None

    @property
    def paused(self) -> bool:
        return self._writers.paused

    def snapshot(self) -> Counts:
        """The counts of one moment, which add up."""
        counts = copy(self.counts)
        counts.writes = self._writers.writes
        counts.retries += self._writers.kept
        return counts

    @property
    def idle(self) -> bool:
        """Every record that was handed over has met its fate."""
        return not (self._parcels or self._waiting)

    @property
    def failure(self) -> TailraceError | None:
        return self._writers.failure

    @property
    def abandoned(self) -> bool:
        return self._writers.abandoned

    @property
    def writing(self) -> int:
        """Writes under way."""
        return self._writers.under_way

    @property
    def needs(self) -> TailraceError | None:
        """What the run waits for: something that somebody has to grant or mend."""
        return self._writers.needs

    @property
    def waiting_for(self) -> float | None:
        """Seconds until the next write, while refusals dominate."""
        return self._writers.waiting_for

    # --- settling -----------------------------------------------------------------------------

    def _settle(self, answered: Answered) -> None:
        work, failures = answered
        parcel, riders = work.parcel, work.riders
        failing = {
            index: riders[index] if parcel is None else Waiting(*parcel.records[index]) for index in failures
        }
        if parcel is not None:
            self._waiting.update(failing.values())
            self._parcels.discard(parcel)
            self._held -= parcel.held - sum(record.held for record in failing.values())
            settled = [
                (record[0], record[6]) for index, record in enumerate(parcel.records) if index not in failures
            ]
        else:
            done = [record for index, record in enumerate(riders) if index not in failures]
            settled = [(record.key, record.change) for record in done]
            self._forget(done)
        self.counts.delivered += len(settled)
        if settled:
            self._failing_since = None
        if self._settled is not None:
            self._settled(settled, True)
        if failures:
            self._settle_failures(failing, failures, len(work))

    def _settle_failures(
        self, failing: Mapping[int, Waiting], failures: Mapping[int, Failure], size: int
    ) -> None:
        refused = [
            Refused(failing[index], failure)
            for index, failure in failures.items()
            if failure.kind == "rejected"
        ]
        again = {index: failure for index, failure in failures.items() if failure.kind != "rejected"}
        if again:
            self._send_again([failing[index] for index in again], [*again.values()], size)
        if refused:
            self._bury(refused)  # written and synced before they count as settled
            self.counts.rejected += len(refused)
            self._forget([letter.record for letter in refused])
            if self._settled is not None:
                self._settled([(letter.record.key, letter.record.change) for letter in refused], False)
        if len(failures) == size and again:
            now = self._clock.monotonic()
            if self._failing_since is None:
                self._failing_since = now
            if self.needs is None:
                self._give_up(now)

    def _forget(self, records: Iterable[Waiting]) -> None:
        for record in records:
            self._waiting.discard(record)
            self._held -= record.held

    def _send_again(self, records: Sequence[Waiting], failures: Sequence[Failure], size: int) -> None:
        self.counts.retries += len(records)
        for record, failure in zip(records, failures, strict=True):
            record.domain = failure.domain
            if failure.kind == "ambiguous":
                self.counts.ambiguous += 1
                if record.change is not None:
                    record.change.in_doubt = True
        last = failures[-1]
        self._last_refusal = f"{last.code}: {last.message}" if last.message else last.code
        log.info("write of %d: %d to send again, last %s", size, len(records), last.code)
        self._writers.put_again(records)

    def _give_up(self, now: float) -> None:
        if self.paused:  # nothing can be accepted
            return
        if self._failing_since is not None and now - self._failing_since >= self._give_up_after:
            self._writers.fail(
                Unavailable(
                    f"destination {self._name} accepted nothing for {self._give_up_after:g} s; "
                    f"last answer: {self._last_refusal}",
                    hint="what was not delivered counts as pending; export the source again later",
                )
            )
