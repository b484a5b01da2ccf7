"""One export: the pipeline from source to checkpoint.

    source -> decode -> select -> map -> encode -> key -> pack -> write -> settle -> checkpoint

The calling thread reads, projects, packs (`Reading`) and settles (`Delivery`); a `Pool` writes, from
threads or from a process of its own, and `Committer` makes true what was settled, from a thread too.
Nothing here knows what the destination is or where the state is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

from tailrace.errors import SourceUnreadable, StateError, TailraceError
from tailrace.ledger import Ledger, SourcePosition
from tailrace.pipeline.ahead import blocks_of
from tailrace.pipeline.changes import Changes
from tailrace.pipeline.commit import Committer, Group
from tailrace.pipeline.delivery import Delivery, Settled
from tailrace.pipeline.draining import WITHOUT_PROGRESS, Drain
from tailrace.pipeline.endings import first_of, stopped
from tailrace.pipeline.every import Every
from tailrace.pipeline.exits import Exits
from tailrace.pipeline.job import Job, Progress
from tailrace.pipeline.lanes import Lanes
from tailrace.pipeline.letters import Letters
from tailrace.pipeline.lines import LongLine
from tailrace.pipeline.memory import Memory, Taken, memory_of
from tailrace.pipeline.pauses import words
from tailrace.pipeline.reading import Reading
from tailrace.pipeline.resume import unread
from tailrace.pipeline.settle import Track
from tailrace.pipeline.sources import Source
from tailrace.pipeline.tally import Tally
from tailrace.pipeline.tracks import Tracks, Waiting
from tailrace.pipeline.unended import Unended
from tailrace.pipeline.versioned import Versioned
from tailrace.store.journal import PARTS, Share

log = logging.getLogger("tailrace.export")

PARCELS = 4
"""A parcel holds at most this part of the budget, so that several are under way at once."""
PROGRESS_EVERY = 0.1
SAVE_EVERY = 2.0


class Running:
    """One export on its way. `ledger` tells where it stands at any time, its end included."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._clock = job.clock
        self._started = job.clock.monotonic()
        self._parts = 1 if job.remembering is None else PARTS
        self._tracks = Tracks(
            job.checkpoints_of, job.read_again, job.replay_of, again=job.sources.again, parts=self._parts
        )
        self._next_progress = 0.0
        self._next_save = self._started + SAVE_EVERY
        self._drain: Drain | None = None
        self._errors: list[TailraceError] = []
        self._warnings: list[str] = []
        self._unended = Unended()
        self._settled: tuple[SourcePosition, ...] | None = None
        """What of the sources is settled, where that is not what was read and met its fate."""
        self._tally = Tally("received" if job.exits_of is None else "generated")
        event_id = partial(job.compiled.event_id, job.activation_id)
        self._letters = Letters(job.letters, event_id, job.clock, self._tally, job.known_letters)
        self._lanes = Lanes() if job.ordering == "key" or job.remembering is not None else None
        self._changes = self._tell_changes()
        self._committer = Committer(job.commit, job.clock) if job.commit is not None else None
        self._delivery = Delivery(
            job.pool,
            job.plan.limits,
            name=job.plan.destination,
            in_flight=job.in_flight,
            give_up_after=job.give_up_after,
            write_timeout=job.write_timeout,
            max_pause=job.max_pause,
            clock=job.clock,
            bury=self._letters.write_refused,
            settled=self._settler(),
            budget=job.budget,
        )
        self._reading = Reading(
            job.compiled,
            job.plan.limits,
            self._letters,
            self._lanes,
            self._changes,
            lambda parcel: self._delivery.submit(parcel, self._waiting),
            by_key=job.ordering == "key",
            held=job.budget // PARCELS,
            linger=job.linger,
            enclose=None if job.begin is None else Every(job.compiled, job.begin).enclose,
        )

    def _tell_changes(self) -> Changes | None:
        given = self._job.remembering
        if given is None or self._lanes is None:
            return None
        by_key, gone = self._job.ordering == "key", self._job.exits_of
        if gone is not None:
            memory = Memory(given.get, given.refresh)
            return Exits(self._job.compiled, memory, self._lanes, self._tally, gone, by_key=by_key)
        memory = memory_of(given.get, given.refresh, keeping=given.keep is not None)
        sketcher = self._job.compiled.sketches(given.secrets)
        what = (self._job.compiled, sketcher, memory, given.rules, self._lanes, self._tally)
        begin, slot = self._job.begin, given.secrets.version
        if begin is None and slot is None and given.rules.refuse_stale == "none":
            return Changes(*what, by_key=by_key, keep=given.keep)
        return Versioned(*what, by_key=by_key, keep=given.keep, slot=slot, begin=begin)

    def _settler(self) -> Callable[[Sequence[Settled], bool], None] | None:
        """What is told of records that have met their fate."""
        if self._changes is not None:
            return self._changes.settled
        if (lanes := self._lanes) is not None:
            return lambda settled, delivered: lanes.settled([key for key, _ in settled])
        return None

    def execute(self) -> Ledger:
        """Export all sources. Returns the ledger of a run that finished, dead letters or not;
        otherwise raises the error it ended with, its `ledger` set."""
        try:
            try:
                self._read_all()
                self._delivery.finish(self._waiting)
            except KeyboardInterrupt:  # once: settle what was read; again: it goes through
                self._job.stop.set()
                self._reading.received = self._met()
                self._delivery.finish(self._waiting)
            except TailraceError as error:
                self._errors.insert(0, error)  # it ends the run, those of single sources do not
                if isinstance(error, StateError):  # what is sent from now on would be sent again
                    self._delivery.fail(error)
                self._delivery.finish(self._waiting)
        finally:
            try:
                self._delivery.finish(lambda: True, abandon=self._job.stop.is_set())
                self._delivery.close(self._patience())
                self._commit_last()
            finally:
                if self._committer is not None:
                    self._committer.stop()
                self._job.letters.close()
        return self._conclude()

    # --- reading ------------------------------------------------------------------------------

    def _read_all(self) -> None:
        for source in self._job.sources:
            if self._ending():
                break
            if source is None:
                self._reading.pause(self._clock.monotonic())
                self._turn()
                continue
            number = self._job.number_of(source)
            track = self._tracks.open(number, source.name, kept=source.identity is not None)
            if track is None:
                self._warnings.append(f"{source.name} was named before, so it is read once")
                continue
            if source.identity is None:  # what is read of it cannot be read again
                self._delivery.begin(self._waiting)
                if self._ending():
                    break
            try:
                self._read(source, track)
            except SourceUnreadable as error:
                if not any(isinstance(other, SourceUnreadable) for other in self._errors):
                    self._errors.append(error)  # the first is told; where a path is followed many may come
                if error.spoilt:
                    track.distrust()
        self._reading.close()
        if self._lanes is not None:
            self._empty_lanes(self._lanes)

    def _met(self) -> int:
        """Updates whose fate is known or in hand. An interrupt may come between reading a line and
        that: the line counts as not read."""
        settled = self._reading.filtered + self._letters.written + self._tally.known
        return settled + self._reading.pending + self._delivery.counts.submitted

    def _ending(self) -> bool:
        return self._job.stop.is_set() or self._delivery.failure is not None

    def _read(self, source: Source, track: Track) -> None:
        part_of = self._changes.part if self._changes is not None else lambda line: 0
        self._unended.opened(source)
        place = track.resume()  # before anybody asks what is known of it
        ahead = None if track.replayed else self._job.ahead
        # Whoever keeps the error that a run ends with keeps this frame: the source is closed all the same.
        with closing(unread(track, blocks_of(source, *place, ahead), part_of)) as blocks:
            for block in blocks:
                if isinstance(block, LongLine):
                    self._reading.long_line(block, track)
                elif block.lines and not self._unended.leaves(source, track.number, block):
                    if not self._reading.block(block, track):
                        return
                else:
                    track.passed(block.offset, block.number)
                    self._reading.pause(self._clock.monotonic())
                self._turn()
                if self._ending():
                    return

    def _turn(self) -> None:
        """What there is to do between two blocks."""
        self._delivery.collect()
        if self._lanes is not None and self._lanes.waiting:
            self._move_lanes(self._lanes)
        self._tick()
        while self._delivery.paused and not self._ending():
            self._delivery.wait()
            self._tick()
        if self._changes is not None and self._changes.memory.full:
            self._await_commit(self._changes.memory)

    def _await_commit(self, memory: Memory) -> None:
        """Wait while too much is remembered that is not in the store."""
        while self._committer is not None and memory.full and not self._ending():
            self._committer.wait(PROGRESS_EVERY)
            if self._waiting():
                return

    # --- lanes --------------------------------------------------------------------------------

    def _move_lanes(self, lanes: Lanes) -> None:
        """Pack what may go out now, and wait while the lanes are full."""
        self._reading.pack_released()
        if self._delivery.idle:  # nobody would release anything
            self._reading.close()
        while lanes.full and not self._ending():
            self._reading.close()
            self._await_lanes()

    def _empty_lanes(self, lanes: Lanes) -> None:
        """All has been read: wait until nothing waits for its key any more."""
        self._delivery.flush()
        while lanes.waiting and self._delivery.failure is None:
            if self._await_lanes():
                return
            self._reading.close()

    def _await_lanes(self) -> bool:
        self._delivery.wait()
        self._reading.pack_released()
        return self._waiting()

    # --- settling -----------------------------------------------------------------------------

    def _unsettled(self) -> Waiting:
        """All that was read and has not met its fate."""
        held = (self._delivery.unsettled(), self._reading.unsettled(), self._letters.unwritten())
        return self._tracks.unsettled(held)

    def _snapshot(self) -> Group:
        """Counters, checkpoints and what is remembered, as of one moment."""
        self._letters.write()
        self._delivery.collect()
        unsettled = self._unsettled()
        pending = [sum(len(places[part]) for places in unsettled.values()) for part in range(self._parts)]
        taken = self._changes.memory.take() if self._changes is not None else Taken([{}], set(), [{}])
        counts = self._tally.shares(self._ledger(unsettled), pending)
        shares = [
            Share(
                counts[part], self._tracks.checkpoints(part, unsettled), taken.changes[part], taken.kept[part]
            )
            for part in range(self._parts)
        ]
        self._tracks.committing(unsettled)
        delivered = self._delivery.counts.delivered
        return Group(shares, taken.forgotten, delivered, self._tracks.positions(unsettled))

    def _mark(self) -> object:
        """What is another whenever there is something to commit: a source may be silent for days."""
        at = self._tracks.current
        place = (at.number, at.offset, at.tail) if at is not None else None
        met = self._reading.received, self._met(), self._delivery.snapshot()
        return place, self._tracks.counts, met

    def _commit_last(self) -> None:
        if self._committer is None:
            return
        self._committer.stop()
        try:
            if self._changes is not None:
                self._changes.memory.committed()
                for change in self._delivery.in_doubt():
                    self._changes.doubt(change)
            self._committer.finish(self._snapshot())
        except TailraceError as error:
            self._errors.append(error)
        if self._committer.failed:
            self._settled = self._tracks.committed(self._committer.sources)

    def _patience(self) -> float:
        """Seconds for those who write to come to their end."""
        return WITHOUT_PROGRESS if self._job.stop.is_set() else self._job.write_timeout

    # --- time ---------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._clock.monotonic()
        if self._committer is not None and self._committer.due(now, self._delivery.counts.delivered):
            if self._changes is not None:
                self._changes.memory.committed()
            if self._committer.is_new(self._mark()):
                self._committer.start(self._snapshot())
        if now < self._next_progress:
            return
        self._next_progress = now + PROGRESS_EVERY
        self._delivery.check()
        self._delivery.pause(self._job.attend(self._progress) and not self._job.stop.is_set())
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
        if self._delivery.needs is not None and not self._delivery.writing:
            return True  # what is kept would only be refused again
        return self._drain.over(self._clock.monotonic(), self._delivery.counts.delivered)

    def _progress(self) -> Progress:
        needs, lanes = self._delivery.needs, self._lanes
        return Progress(
            ledger=self.ledger(),
            in_flight=self._delivery.writing,
            bytes_read=self._job.sources.consumed(),
            bytes_total=self._job.sources.size,
            waiting=self._delivery.waiting_for,
            paused=self._delivery.paused,
            needs=None if needs is None else words(needs),
            hot_key=lanes.longest() if lanes is not None and lanes.full else None,
        )

    # --- the end ------------------------------------------------------------------------------

    def ledger(self, warnings: Sequence[str] = ()) -> Ledger:
        return self._ledger(self._unsettled(), warnings)

    def _ledger(self, unsettled: Waiting, warnings: Sequence[str] = ()) -> Ledger:
        counts = self._delivery.snapshot()
        generated = self._job.exits_of is not None
        return Ledger(
            run=self._job.run,
            received=0 if generated else self._reading.received,
            generated=self._reading.received if generated else 0,
            delivered=counts.delivered,
            filtered=self._reading.filtered,
            unchanged=sum(self._tally.unchanged),
            stale=sum(self._tally.stale),
            dead_lettered=self._letters.written + counts.rejected,
            pending=counts.pending + self._reading.pending,
            retries=counts.retries,
            ambiguous_resends=counts.ambiguous,
            writes=counts.writes,
            seconds=self._clock.monotonic() - self._started,
            sources=() if generated else self._positions(unsettled),
            warnings=tuple(warnings),
            reasons=self._tally.reasons(),
        )

    def _positions(self, unsettled: Waiting) -> tuple[SourcePosition, ...]:
        return self._tracks.positions(unsettled) if self._settled is None else self._settled

    def _conclude(self) -> Ledger:
        errors = [*self._errors]
        if self._delivery.failure is not None:
            errors.append(self._delivery.failure)
        if self._job.stop.is_set():
            errors.append(stopped())
        warnings = [*self._job.notes, *self._warnings, *self._unended.warnings()]
        received = self._reading.received
        if not errors and not received and self._tracks.were_known:
            warnings.append(self._job.nothing_new)
        if not errors and received:
            unseen = self._job.compiled.unseen(self._reading.filtered > 0)
            warnings += [f"{name} was not seen in this run" for name in unseen]
        ledger = self.ledger(warnings)
        if self._job.on_progress is not None:
            self._job.on_progress(self._progress())
        if not errors:
            return ledger
        error = first_of(errors)
        error.ledger = ledger
        raise error
