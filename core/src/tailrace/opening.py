"""Opening the journal of an activation, and its sources: their number, and where an earlier run left
them."""

from __future__ import annotations

import uuid
from pathlib import Path

from tailrace.pipeline.identity import Identity
from tailrace.pipeline.sources import Source
from tailrace.state.database import Database
from tailrace.state.folders import private_folder
from tailrace.state.sources import Known, known_sources, reidentify, source_number
from tailrace.store.journal import Checkpoint, Journal

FOLDER = "journal"


def journal_folder(home: Path, activation_id: str) -> Path:
    """The folder of an activation's journal, made where it is not there. Raises StateError."""
    return private_folder(private_folder(home / FOLDER) / activation_id)


def open_journal(home: Path, activation_id: str, activation: str, *, whole: bool | None = None) -> Journal:
    """The journal of an activation in a home, held by this process until it is closed.

    Raises ActivationBusy, StateDamaged or StateError.
    """
    return Journal(journal_folder(home, activation_id), activation, whole=whole)


class Openings:
    """Opens the sources of one run. `notes` tells what a person should know of them."""

    def __init__(
        self, database: Database, activation_id: str, journal: Journal, *, from_start: bool = False
    ) -> None:
        self._database = database
        self._activation_id = activation_id
        self._journal = journal
        self._from_start = from_start
        self.notes: list[str] = []

    def number(self, source: Source) -> int:
        """The number of the source within the activation, stored before anything of it is sent. One
        that cannot be known again is a new one each time."""
        if source.identity is None:
            return self._new(f"once:{uuid.uuid4()}", source.name)
        path = str(Path(source.name).absolute())
        identity = str(source.identity)
        known = known_sources(self._database, self._activation_id, source.identity.place, path)
        for other in known:
            if self._has_shrunk(source, source.identity, other):
                self._reidentify(other, f"shrunk:{uuid.uuid4()}")
                self.notes.append(f"{source.name} is shorter than it was, so it is read as a new source")
                break
            if source.identity.matches(other.identity):
                if other.identity != identity:
                    self._reidentify(other, identity)
                return other.number
        else:
            if any(other.path == path for other in known):
                self.notes.append(f"{source.name} is another file than it was, so it is read as a new source")
        return self._new(identity, path)

    def checkpoint(self, number: int) -> Checkpoint | None:
        """Where an earlier run left the source of that number."""
        if self._from_start:
            return None
        return self._journal.checkpoint(number)

    def checkpoints(self, number: int) -> tuple[Checkpoint | None, ...]:
        """The same, by part."""
        found = self._journal.checkpoints(number)
        return (None,) * len(found) if self._from_start else found

    def _new(self, identity: str, path: str) -> int:
        return source_number(self._database, self._activation_id, identity, path)

    def _reidentify(self, known: Known, identity: str) -> None:
        reidentify(self._database, self._activation_id, known.number, identity)

    def _has_shrunk(self, source: Source, identity: Identity, known: Known) -> bool:
        """Whether it is that file, and ends before a place where an earlier run left it."""
        if identity.is_shorter_than(known.identity):
            return True
        if source.size is None or source.compressed or not identity.matches(known.identity):
            return False
        # One part is enough: its lines behind that place would be taken for settled.
        left = [checkpoint for checkpoint in self._journal.checkpoints(known.number) if checkpoint]
        return any(source.size < checkpoint.offset + checkpoint.tail for checkpoint in left)
