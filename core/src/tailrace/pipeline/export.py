"""One export: the pipeline from source to checkpoint.

    source -> decode -> select -> map -> encode -> key -> pack -> write -> settle -> checkpoint

The calling thread reads, projects, packs and settles; `Delivery` writes from its own threads, and
`Committer` makes true what was settled, from one more. Nothing here knows what the destination is or
where the state is kept.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal

from tailrace.deadletters import DeadLetterFile
from tailrace.destination import Clock, Exporter, Plan
from tailrace.errors import Interrupted, SourceUnreadable, TailraceError
from tailrace.ledger import Ledger
from tailrace.pipeline.commit import Commit, Committer
from tailrace.pipeline.compile import Compiled, InvalidUpdate
from tailrace.pipeline.delivery import BUDGET, Delivery
from tailrace.pipeline.draining import Drain
from tailrace.pipeline.lanes import Lanes
from tailrace.pipeline.letters import Letters
from tailrace.pipeline.pack import Parcel, record_size
from tailrace.pipeline.resume import unread
from tailrace.pipeline.settle import Track
from tailrace.pipeline.sources import Block, LongLine, Source
from tailrace.store.journal import Checkpoint

log = logging.getLogger("tailrace.export")

PARCELS = 4
"""A parcel holds at most this part of the budget, so that several are under way at once."""

PROGRESS_EVERY = 0.1
SAVE_EVERY = 2.0

PRECEDENCE = (130, 7, 4, 3, 6, 8)
"""Which error an export ends with when there are several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a running export stands. `bytes_read` and `bytes_total` count stored bytes; the total
    is None where it cannot be known. `waiting` is the number of seconds until the next write while
    the destination refuses."""

    ledger: Ledger
    in_flight: int
    bytes_read: int
    bytes_total: int | None
    waiting: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that one export needs. `number_of(source)` gives the source's number within the
    activation, stored before anything of it is sent."""

    run: int | None
    activation_id: str
    compiled: Compiled
    plan: Plan
    exporter: Exporter
    sources: Sequence[Source]
    number_of: Callable[[Source], int]
    letters: DeadLetterFile
    in_flight: int
    give_up_after: float
    write_timeout: float
    commit: Commit | None = None
    """Makes checkpoints and counters true; None for a run that keeps none."""
    checkpoint_of: Callable[[int], Checkpoint | None] = lambda number: None
    """Where an earlier run left the source of that number."""
    ordering: Literal["key", "none"] = "none"
    """`key`: records of one partition key are accepted in input order."""
    known_letters: Set[tuple[int, int]] = frozenset()
    """Source number and offset of dead letters that a run left which was cut off."""
    notes: Sequence[str] = ()
    """What a person should know of the sources; it may grow until the end."""
    clock: Clock = time
    stop: threading.Event = field(default_factory=threading.Event)
    on_progress: Callable[[Progress], None] | None = None
    save: Callable[[Ledger], None] = lambda ledger: None
    """Called every few seconds, so that a run that is killed leaves more than nothing."""
    budget: int = BUDGET


class Running:
    """One export on its way. `ledger` tells where it stands at any time, its end included."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._limits = job.plan.limits
        self._clock = job.clock
        self._started = job.clock.monotonic()
        self._tracks: list[Track] = []
        self._kept: list[Track] = []
        """Sources with a checkpoint that may still move."""
        self._received = self._filtered = 0
        self._letters = Letters(job.letters, job.activation_id, job.clock, job.known_letters)
        self._parcel = Parcel()
        self._lanes = Lanes() if job.ordering == "key" else None
        self._parcel_held = job.budget // PARCELS
        self._next_progress = 0.0
        self._next_save = self._started + SAVE_EVERY
        self._committer = Committer(job.commit, job.clock) if job.commit is not None else None
        self._drain: Drain | None = None
        self._errors: list[TailraceError] = []
        self._delivery = Delivery(
            job.exporter,
            job.plan.limits,
            name=job.plan.destination,
            in_flight=job.in_flight,
            give_up_after=job.give_up_after,
            write_timeout=job.write_timeout,
            clock=job.clock,
            bury=self._letters.write_refused,
            settled=self._lanes.settled if self._lanes is not None else None,
            budget=job.budget,
        )

    def execute(self) -> Ledger:
        """Export all sources. Returns the ledger of a run that finished, dead letters or not;
        otherwise raises the error it ended with, its `ledger` set."""
        try:
            try:
                self._read_all()
                self._delivery.finish(self._waiting)
            except KeyboardInterrupt:  # once: settle what is in flight; again: it goes through
                self._job.stop.set()
                self._received = self._met()
                self._delivery.finish(self._waiting)
            except TailraceError as error:
                self._errors.append(error)
                self._delivery.finish(self._waiting)
        finally:
            self._delivery.finish(lambda: True, abandon=self._job.stop.is_set())
            self._close_exporter()
            self._commit_last()
            self._job.letters.close()
        return self._conclude()

    # --- reading ------------------------------------------------------------------------------

    def _read_all(self) -> None:
        for source in self._job.sources:
            if self._ending():
                return
            number = self._job.number_of(source)
            track = Track(source.name, number, self._job.checkpoint_of(number))
            self._tracks.append(track)
            if source.identity is not None:
                self._kept.append(track)
            try:
                self._read(source, track)
            except SourceUnreadable as error:
                self._errors.append(error)
        self._close_parcel()
        if self._lanes is not None:
            self._empty_lanes(self._lanes)

    def _met(self) -> int:
        """Updates whose fate is known or in hand. An interrupt may come between reading a line and
        that: the line counts as not read."""
        letters = self._letters.written + self._letters.waiting
        return self._filtered + letters + self._delivery.counts.submitted + len(self._parcel) + self._in_lanes

    @property
    def _in_lanes(self) -> int:
        return self._lanes.waiting if self._lanes is not None else 0

    def _ending(self) -> bool:
        return self._job.stop.is_set() or self._delivery.failure is not None

    def _read(self, source: Source, track: Track) -> None:
        for block in unread(track, source.blocks(track.offset, track.line)):
            if isinstance(block, LongLine):
                self._long_line(block, track)
            elif block.lines:
                if not self._read_block(block, track):
                    return
            else:
                self._close_parcel()  # nothing has come for a while: send what there is
            self._delivery.collect()
            if self._lanes is not None and self._lanes.waiting:
                self._move_lanes(self._lanes)
            self._tick()
            if self._ending():
                return

    def _read_block(self, block: Block, track: Track) -> bool:
        """Project and pack the lines of a block. False: writing has ended."""
        project, limits, letters = self._job.compiled.project, self._limits, self._letters
        overhead, most = limits.record_overhead, min(limits.record_bytes, limits.bytes)
        lanes, parcel = self._lanes, self._parcel
        offset = end = block.offset
        number = block.number - 1
        since, filtered, blank = block.number, 0, 0  # what is not counted yet
        try:
            for number, line in enumerate(block.lines, block.number):
                offset = end
                end += len(line)
                try:
                    projected = project(line)
                except InvalidUpdate as invalid:
                    if not line.strip():
                        blank += 1
                        continue
                    letters.add(invalid.reason, invalid.message, track, line, offset, number)
                    if letters.enough:
                        self._count(number + 1 - since - blank, filtered)
                        since, filtered, blank = number + 1, 0, 0
                        offset, number = end, number + 1  # as of behind this line, should writing fail
                        letters.write()
                        number -= 1
                    continue
                if projected is None:
                    filtered += 1
                    continue
                key, data = projected
                size = len(data) + len(key) + overhead if key.isascii() else record_size(key, data, overhead)
                if size > most:
                    message = f"the record is {size:,} bytes; the limit is {most:,}"
                    letters.add("too-large", message, track, line, offset, number)
                    continue
                record = (key, data, line, track, offset, number)
                if lanes is not None and not lanes.enter(record, size):
                    continue
                if (
                    len(parcel.records) >= limits.records
                    or parcel.size + size > limits.bytes
                    or parcel.held > self._parcel_held
                ):
                    # What comes next may take long or end the run, so all is told as of before this line.
                    self._count(number - since - blank, filtered)
                    since, filtered, blank = number, 0, 0
                    track.moved(offset, number)
                    if not self._close_parcel():
                        end, number = offset, number - 1
                        return False
                    parcel = self._parcel
                parcel.records.append(record)
                parcel.size += size
                parcel.held += len(data) + len(line)
        except BaseException:
            end, number = offset, number - 1  # the fate of this line is not known
            raise
        finally:
            self._count(number + 1 - since - blank, filtered)
            track.moved(end, number + 1)
        if not line.endswith(b"\n"):
            track.moved(end, number + 1, len(line))
        return True

    def _count(self, received: int, filtered: int) -> None:
        self._received += received
        self._filtered += filtered

    def _long_line(self, line: LongLine, track: Track) -> None:
        self._received += 1
        message = f"the line is {line.length:,} bytes long, over the limit"
        self._letters.add("line-too-long", message, track, b"", line.offset, line.number, line.length)
        tail = 0 if line.end > line.offset + line.length else line.length
        track.moved(line.end, line.number + 1, tail)
        if self._letters.enough:
            self._letters.write()

    def _close_parcel(self) -> bool:
        """Write the letters that were gathered, then hand over the records. False: writing has ended."""
        self._letters.write()
        parcel, self._parcel = self._parcel, Parcel()
        return self._delivery.submit(parcel, self._waiting)

    # --- lanes --------------------------------------------------------------------------------

    def _move_lanes(self, lanes: Lanes) -> None:
        """Pack what may go out now, and wait while the lanes are full."""
        self._pack_released(lanes)
        if self._delivery.idle:  # nobody would release anything
            self._close_parcel()
        while lanes.full and not self._ending():
            self._close_parcel()
            self._await_lanes(lanes)

    def _empty_lanes(self, lanes: Lanes) -> None:
        """All has been read: wait until nothing waits for its key any more."""
        self._delivery.flush()
        while lanes.waiting and self._delivery.failure is None:
            if self._await_lanes(lanes):
                return
            self._close_parcel()

    def _await_lanes(self, lanes: Lanes) -> bool:
        self._delivery.wait()
        self._pack_released(lanes)
        return self._waiting()

    def _pack_released(self, lanes: Lanes) -> None:
        limits = self._limits
        for record, size in lanes.released():
            parcel = self._parcel
            if len(parcel) and (len(parcel) >= limits.records or parcel.size + size > limits.bytes):
                self._close_parcel()
            self._parcel.add(record, size)

    # --- settling -----------------------------------------------------------------------------

    def _unsettled(self) -> dict[Track, list[tuple[int, int]]]:
        """Line number and offset of all that was read and has not met its fate, by source."""
        found: dict[Track, list[tuple[int, int]]] = {track: [] for track in self._tracks}
        for track, number, offset in self._delivery.unsettled():
            found[track].append((number, offset))
        for _, _, _, track, offset, number in self._parcel.records:
            found[track].append((number, offset))
        for _, _, _, track, offset, number in self._lanes.records() if self._lanes is not None else ():
            found[track].append((number, offset))
        for track, number, offset in self._letters.unwritten():
            found[track].append((number, offset))
        return found

    def _snapshot(self) -> tuple[Ledger, dict[int, Checkpoint]]:
        """Counters and checkpoints that belong together."""
        self._letters.write()
        self._delivery.collect()
        unsettled = self._unsettled()
        checkpoints = {track.number: track.checkpoint(unsettled[track]) for track in self._kept}
        # A source that was read to its end and is settled does not change any more.
        current = self._tracks[-1] if self._tracks else None
        self._kept = [track for track in self._kept if track is current or unsettled[track]]
        return self._ledger(unsettled), checkpoints

    def _commit_last(self) -> None:
        if self._committer is None:
            return
        try:
            self._committer.finish(*self._snapshot())
        except TailraceError as error:
            self._errors.append(error)

    # --- time ---------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._clock.monotonic()
        if self._committer is not None and self._committer.due(now, self._delivery.counts.delivered):
            self._committer.start(*self._snapshot())
        if now < self._next_progress:
            return
        self._next_progress = now + PROGRESS_EVERY
        self._delivery.check()
        if now >= self._next_save:
            self._next_save = now + SAVE_EVERY
            self._job.save(self.ledger())
        if self._job.on_progress is not None:
            self._job.on_progress(self._progress())

    def _waiting(self) -> bool:
        """Runs while the reader waits. True: a stopped run has waited long enough."""
        self._tick()
        if not self._job.stop.is_set():
            return False
        if self._drain is None:
            self._drain = Drain(self._clock.monotonic())
        return self._drain.over(self._clock.monotonic(), self._delivery.counts.delivered)

    def _progress(self) -> Progress:
        sizes = [source.size for source in self._job.sources]
        return Progress(
            ledger=self.ledger(),
            in_flight=self._delivery.writing,
            bytes_read=sum(source.consumed() for source in self._job.sources),
            bytes_total=None if None in sizes else sum(size or 0 for size in sizes),
            waiting=self._delivery.waiting_for,
        )

    # --- the end ------------------------------------------------------------------------------

    def ledger(self, warnings: Sequence[str] = ()) -> Ledger:
        return self._ledger(self._unsettled(), warnings)

    def _ledger(
        self, unsettled: Mapping[Track, Sequence[tuple[int, int]]], warnings: Sequence[str] = ()
    ) -> Ledger:
        counts = self._delivery.snapshot()
        return Ledger(
            run=self._job.run,
            received=self._received,
            delivered=counts.delivered,
            filtered=self._filtered,
            dead_lettered=self._letters.written + counts.rejected,
            pending=counts.pending + self._letters.waiting + len(self._parcel) + self._in_lanes,
            retries=counts.retries,
            ambiguous_resends=counts.ambiguous,
            writes=counts.writes,
            seconds=self._clock.monotonic() - self._started,
            sources=tuple(track.position(unsettled[track]) for track in self._tracks),
            warnings=tuple(warnings),
            reasons=self._letters.reasons(),
        )

    def _close_exporter(self) -> None:
        if self._delivery.hung:
            return
        # In a thread of its own, since a plugin may hang here as well as in `write`.
        closer = threading.Thread(target=self._call_close, name="tailrace-close", daemon=True)
        closer.start()
        if self._delivery.abandoned:
            return
        closer.join(self._job.write_timeout)
        if closer.is_alive():
            log.warning("destination %s: close does not return", self._job.plan.destination)

    def _call_close(self) -> None:
        try:
            self._delivery.join()
            self._job.exporter.close()
        except BaseException as error:
            log.warning("destination %s: close raised %s", self._job.plan.destination, type(error).__name__)

    def _conclude(self) -> Ledger:
        errors = [*self._errors]
        if self._delivery.failure is not None:
            errors.append(self._delivery.failure)
        if self._job.stop.is_set():
            errors.append(
                Interrupted(
                    "the export was stopped",
                    hint="what was read and not delivered is pending; the rest was not read",
                )
            )
        warnings = [*self._job.notes]
        if not errors and not self._received and any(track.since for track in self._tracks):
            warnings.append("nothing is new since an earlier run; --from-start reads all of it again")
        if not errors and self._received:
            warnings += [f"{name} was never seen" for name in self._job.compiled.unseen()]
        ledger = self.ledger(warnings)
        if self._job.on_progress is not None:
            self._job.on_progress(self._progress())
        if not errors:
            return ledger
        order = {code: place for place, code in enumerate(PRECEDENCE)}
        error = min(errors, key=lambda e: order.get(e.exit_code, len(order)))
        error.ledger = ledger
        raise error
