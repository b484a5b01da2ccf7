"""What activations remember between runs: looking at it, proving it whole, and forgetting it.

The verbs of `tailrace state`, for an activation that nobody exports meanwhile.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tailrace import arguments
from tailrace.errors import StateError
from tailrace.exiting import waiting_exits, waiting_jobs
from tailrace.opening import backfilled, forget_profile, journal_folder, open_journal
from tailrace.spooling import was_sent
from tailrace.state.holders import refuse_other
from tailrace.state.sources import list_sources
from tailrace.store.compact import compact_parts
from tailrace.store.journal import hold_journal, journal_size, remove_journal
from tailrace.store.repair import RepairedPart, repair_parts

if TYPE_CHECKING:
    from tailrace.client import Tailrace


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """How far a source is settled. The next export reads on at `offset` (bytes of its content) and
    `line`; `settled_beyond` lines behind that place have met their fate already and are left out."""

    number: int
    source: str
    offset: int
    line: int
    settled_beyond: int
    backfill: str | None = None
    """The segment that it is back-filled for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationState:
    """What is remembered of an activation. `bytes` is the length of its files; `profiles` is how many
    profiles it remembers something of."""

    activation: str
    folder: str
    bytes: int
    profiles: int
    kept: int = 0
    """Of how many of them identities are kept for exits."""
    exits_waiting: tuple[str, ...] = ()
    """Segments that were removed, whose members are to be told yet."""
    sources: tuple[SourceState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactedState:
    """Bytes of an activation's files, before and after they were rewritten."""

    activation: str
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairedState:
    """What became of each part of an activation's state."""

    activation: str
    parts: tuple[RepairedPart, ...]

    @property
    def damaged(self) -> tuple[RepairedPart, ...]:
        """Those that began anew."""
        return tuple(part for part in self.parts if part.damage is not None)


class States:
    """Each verb raises NotFound for an unknown activation, StateElsewhere where another home holds its state,
    and ActivationBusy while it is exported."""

    def __init__(self, t: Tailrace) -> None:
        self._t = t

    def show(self, activation: str) -> ActivationState:
        """Sources by number; left out is one without a checkpoint, and an input that was spooled and of which
        nothing is left in the spool. Raises StateDamaged or StateError."""
        return self._look(activation)

    def verify(self, activation: str) -> ActivationState:
        """The same, after reading all of it and comparing each checksum."""
        return self._look(activation, whole=True)

    def compact(self, activation: str) -> CompactedState:
        """Rewrite its files without what was removed or changed since. Raises StateDamaged, before
        anything is changed."""
        folder = journal_folder(self._t.home, self._id(activation))
        with closing(hold_journal(folder, activation)):
            before = journal_size(folder)
            compact_parts(folder)
            return CompactedState(activation=activation, before=before, after=journal_size(folder))

    def repair(self, activation: str) -> RepairedState:
        """Let the parts that are damaged begin anew, and keep the others: the next export reads its
        sources from their beginning for the parts that began anew, and sends the profiles of those once
        more. Where part 0 is damaged all of them begin anew. What is whole is left as it is."""
        id = self._id(activation)
        folder = journal_folder(self._t.home, id)
        with closing(hold_journal(folder, activation)):
            parts = repair_parts(folder, about_to=lambda: self._end_cut_off(id, "repaired"))
        return RepairedState(activation=activation, parts=tuple(parts))

    def forget(self, activation: str, profile: str) -> bool:
        """Forget one profile, and tell whether anything was remembered of it; its next update is
        exported. `profile` is NAMESPACE:ID where profiles are known by an identity, else the value of the
        attribute that they are known by. Raises UsageError, which does not repeat it, or StateDamaged."""
        arguments.text("the profile", profile)
        id = self._id(activation)
        with closing(open_journal(self._t.home, id, activation)) as journal:
            return forget_profile(journal, activation, profile)

    def reset(self, activation: str) -> int | None:
        """Forget all of it, damaged or not: the next export reads its sources from their beginning,
        and sends all of it again. Dead letters, runs and the numbers of sources stay. Exits that wait
        are lost with it: how many, or None where nobody can tell."""
        id = self._id(activation)
        folder = journal_folder(self._t.home, id)
        exits = self._waiting_exits(activation, id)
        with closing(hold_journal(folder, activation)):
            self._end_cut_off(id, "reset")
            remove_journal(folder)
        return exits

    def _waiting_exits(self, activation: str, id: str) -> int | None:
        segments = self._t.activations.get(activation).segments
        try:
            with closing(open_journal(self._t.home, id, activation)) as journal:
                return waiting_exits(journal, segments)
        except StateError:  # it is reset all the same
            return None

    def _id(self, activation: str) -> str:
        """Of the activation of that name, whose state is here."""
        id = self._t.activations.get(activation).id
        refuse_other(self._t._foundation.database, id, activation, self._t.home)
        return id

    def _end_cut_off(self, activation_id: str, how: str) -> None:
        """What such a run had committed is about to be lost; the copy that was saved is what is left."""
        for run in self._t.runs.cut_off(activation_id):
            self._t.runs.interrupt(
                run,
                f"the process ended before the run did, and its state was {how}",
                self._t.runs.get(run).ledger,
            )

    def _look(self, activation: str, *, whole: bool | None = None) -> ActivationState:
        id = self._id(activation)
        known = self._t.activations.get(activation)
        folder = journal_folder(self._t.home, id)
        found: list[SourceState] = []
        sent = was_sent(self._t.home, id)
        with closing(open_journal(self._t.home, id, activation, whole=whole)) as journal:
            for source in list_sources(self._t._foundation.database, id):
                checkpoint = journal.checkpoint(source.number)
                if checkpoint is None or sent(source.identity):
                    continue
                behind = checkpoint.read_line - checkpoint.line - checkpoint.unsettled.total
                found.append(
                    SourceState(
                        number=source.number,
                        source=source.path,
                        offset=checkpoint.offset,
                        line=checkpoint.line,
                        settled_beyond=behind,
                        backfill=backfilled(source.identity),
                    )
                )
            return ActivationState(
                activation=activation,
                folder=str(folder),
                bytes=journal_size(folder),
                profiles=journal.profiles(),
                kept=journal.kept_profiles(),
                exits_waiting=tuple(job.segment for job in waiting_jobs(journal, known)),
                sources=tuple(found),
            )
