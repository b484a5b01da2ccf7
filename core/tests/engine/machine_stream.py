"""A destination whose answers are chosen, and the death of whoever writes to it: for the state machine of
`test_machine.py`."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from core.tests.engine.machine_model import serial_of
from tailrace.deadletters import DeadLetterFile, Letter
from tailrace.destination import Batch, BatchResult, Failure
from tailrace.errors import AuthenticationFailed, StateError, Transient

Said = Literal["taken", "rejected", "retry", "throttled", "ambiguous", "denied", "defect"]
FINAL = ("taken", "rejected")


@dataclass(frozen=True)
class Answer:
    """What one write meets: `what`, for the records whose place is in `places` modulo 4, or for all of
    them as an error. `kept`: the records are on the stream all the same."""

    what: Said
    places: frozenset[int] = frozenset(range(4))
    kept: bool = False


@dataclass(frozen=True)
class Death:
    """When a run is killed: at the commit of a part of that number (none of it is true then), counted
    from its beginning or from where it begins to read, or at a write, before or after its records are on
    the stream."""

    begin: int | None = None
    commit: int | None = None
    write: int | None = None
    after: bool = False


class Life:
    """Of one process. What it would do after its death does not happen."""

    def __init__(self, death: Death | None) -> None:
        self.dead = False
        self._death = death or Death()
        self._at = self._death.begin
        self._commits = self._writes = 0

    def reads(self) -> None:
        """From now on commits are counted anew."""
        if self._death.commit is not None:
            self._at, self._commits = self._death.commit, 0

    def commits(self) -> None:
        """A part is about to be committed to. Raises StateError for the dead."""
        self.dead = self.dead or self._commits == self._at
        self._commits += 1
        self.goes_on()

    def writes(self, *, after: bool) -> None:
        if (self._writes, after) == (self._death.write, self._death.after):
            self.dead = True
        self._writes += after

    def goes_on(self) -> None:
        if self.dead:
            raise StateError("dead")


@dataclass
class Stream:
    """The destination. It says what the script says, then takes everything."""

    script: list[Answer] = field(default_factory=list)
    valid: int | None = None
    """For how many more writes the credentials are."""
    stop_after: int | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    life: Life = field(default_factory=lambda: Life(None))
    arrived: list[tuple[str, int]] = field(default_factory=list)
    """Partition key and serial, in order of acceptance."""
    said: dict[int, list[tuple[Said, bool]]] = field(default_factory=lambda: defaultdict(list))
    """Of this run, by serial: what was said, and whether it is on the stream."""

    def write(self, batch: Batch) -> BatchResult:
        self.life.writes(after=False)
        if self.life.dead:
            raise AuthenticationFailed("dead")
        try:
            return self._write(batch)
        finally:
            self.life.writes(after=True)

    def close(self) -> None:
        pass

    def renew(self) -> None:
        self.valid = None

    def _write(self, batch: Batch) -> BatchResult:
        if self.stop_after is not None:
            self.stop_after -= 1
            if self.stop_after <= 0:
                self.stop.set()
        answer = self.script.pop(0) if self.script else Answer("taken")
        if self.valid is not None:
            self.valid -= 1
            answer = Answer("denied") if self.valid < 0 else answer
        failures: dict[int, Failure] = {}
        for index, (key, data) in enumerate(zip(batch.keys, batch.data, strict=True)):
            whole = answer.what in ("denied", "defect")
            said: Said = answer.what if whole or index % 4 in answer.places else "taken"
            there = said == "taken" or (answer.kept and said in ("ambiguous", "defect"))
            serial = serial_of(data)
            self.said[serial].append((said, there))
            if there:
                self.arrived.append((key, serial))
            if said == "rejected" or said == "retry" or said == "throttled" or said == "ambiguous":
                failures[index] = Failure(said, "Scripted")
        if answer.what == "denied":
            raise AuthenticationFailed("denied")
        if answer.what == "defect":
            raise RuntimeError("a defect of the plugin")
        if answer.what == "ambiguous" and len(failures) == len(batch):
            raise Transient("no answer", ambiguous=True)
        return BatchResult(len(batch), failures)


class Letters(DeadLetterFile):
    """Nobody writes a letter after his death."""

    def __init__(self, folder: Path, run: int, life: Life) -> None:
        super().__init__(folder, run, "hot")
        self._life = life

    def write(self, letters: Sequence[Letter], now: float) -> None:
        self._life.goes_on()
        super().write(letters, now)
