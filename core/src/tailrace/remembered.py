"""What activations remember between runs: looking at it, proving it whole, and forgetting it.

The verbs of `tailrace state`, for an activation that nobody exports meanwhile.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tailrace.opening import journal_folder, open_journal
from tailrace.state.sources import list_sources
from tailrace.store.journal import hold_journal, journal_size, remove_journal

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationState:
    """What is remembered of an activation. `bytes` is the length of its files; `profiles` is how many
    profiles it remembers something of."""

    activation: str
    folder: str
    bytes: int
    profiles: int
    sources: tuple[SourceState, ...]


class States:
    """Each verb raises NotFound for an unknown activation, and ActivationBusy while one is exported."""

    def __init__(self, t: Tailrace) -> None:
        self._t = t

    def show(self, activation: str) -> ActivationState:
        """Sources by number; one without a checkpoint is left out. Raises StateDamaged."""
        return self._look(activation)

    def verify(self, activation: str) -> ActivationState:
        """The same, after reading all of it and comparing each checksum."""
        return self._look(activation, whole=True)

    def reset(self, activation: str) -> None:
        """Forget all of it, damaged or not: the next export reads its sources from their beginning,
        and sends all of it again. Dead letters, runs and the numbers of sources stay."""
        id = self._t.activations.get(activation).id
        folder = journal_folder(self._t.home, id)
        with closing(hold_journal(folder, activation)):
            for run in self._t.runs.cut_off(id):
                # What it had committed is about to be lost; the copy that was saved is what is left.
                self._t.runs.interrupt(
                    run,
                    "the process ended before the run did, and its state was reset",
                    self._t.runs.get(run).ledger,
                )
            remove_journal(folder)

    def _look(self, activation: str, *, whole: bool | None = None) -> ActivationState:
        id = self._t.activations.get(activation).id
        folder = journal_folder(self._t.home, id)
        found: list[SourceState] = []
        with closing(open_journal(self._t.home, id, activation, whole=whole)) as journal:
            for source in list_sources(self._t._foundation.database, id):
                checkpoint = journal.checkpoint(source.number)
                if checkpoint is None:
                    continue
                behind = checkpoint.read_line - checkpoint.line - checkpoint.unsettled.total
                found.append(
                    SourceState(
                        number=source.number,
                        source=source.path,
                        offset=checkpoint.offset,
                        line=checkpoint.line,
                        settled_beyond=behind,
                    )
                )
            profiles = journal.profiles()
            size = journal_size(folder)
        return ActivationState(
            activation=activation, folder=str(folder), bytes=size, profiles=profiles, sources=tuple(found)
        )
