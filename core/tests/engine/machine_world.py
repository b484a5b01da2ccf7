"""The pipeline as the state machine of `test_machine.py` drives it: a real journal in a folder, a stream
whose answers are chosen, and a death that leaves just what a dead process leaves."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, cast

from core.tests.engine import rig
from core.tests.engine.machine_hands import AnyOrder, Clock, Pool, by_hand
from core.tests.engine.machine_model import Terms, Update
from core.tests.engine.machine_stream import Death, Letters, Life, Said, Stream
from tailrace.cutoff import letters_left
from tailrace.deadletters import DeadLetters
from tailrace.destination import KeyPlan, Limits, Plan
from tailrace.errors import StateError, TailraceError
from tailrace.ledger import Ledger
from tailrace.objects import Activation, Segment
from tailrace.opening import DIGEST_KEY, begin
from tailrace.pipeline.compile import Compiled, InvalidUpdate, compile_export
from tailrace.pipeline.export import Running
from tailrace.pipeline.job import Job, Remembering
from tailrace.pipeline.remembering import STANDINGS, remembered_place
from tailrace.pipeline.sources import open_sources
from tailrace.planning import Prepared
from tailrace.runs import ledger_of
from tailrace.store.journal import Journal, part_of


@dataclass(frozen=True)
class Line:
    """An update where it stands in a file. `serial` tells it from all others."""

    serial: int
    update: Update
    number: int
    offset: int
    raw: bytes


@dataclass
class File:
    path: Path
    number: int
    lines: list[Line] = field(default_factory=list)
    size: int = 0
    open_end: bool = False

    @property
    def readable(self) -> list[Line]:
        """A last line that has no end and that nobody can read is left."""
        cut = self.open_end and self.lines[-1].update.bad
        return self.lines[:-1] if cut else self.lines

    def append(self, line: bytes, serial: int, update: Update) -> None:
        if self.open_end:
            self._write(b"\n")
        self.lines.append(Line(serial, update, len(self.lines) + 1, self.size, line))
        self._write(line)
        self.open_end = True

    def end(self) -> None:
        if self.open_end:
            self._write(b"\n")
        self.open_end = False

    def _write(self, data: bytes) -> None:
        with open(self.path, "ab") as file:
            file.write(data)
        self.size += len(data)


@dataclass(frozen=True)
class Ran:
    """What one run left. Lines by serial: `fresh` are those that it had to read, in order, `settled`
    those that have met their fate. `places` and `members` are what the journal remembers of profiles."""

    file: File
    terms: Terms
    died: bool
    ledger: Ledger | None
    error: TailraceError | None
    fresh: list[Line]
    settled: set[int]
    said: Mapping[int, list[tuple[Said, bool]]]
    arrived: Sequence[tuple[str, int]]
    places: Mapping[str, tuple[int, int] | None]
    members: Mapping[str, Mapping[str, bool]]


@dataclass(frozen=True)
class Pace:
    """How one run goes about it."""

    records: int = 3
    in_flight: int = 2
    budget: int = 2**24
    seed: int = 0


class World:
    """A folder, a stream, and an activation whose terms may change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stream = Stream()
        self.terms = Terms()
        self.files: list[File] = []
        self._runs = self._serials = 0
        self._cut_off: list[int] = []
        self._letters = DeadLetters(folder / "letters")
        (folder / "journal").mkdir()
        with closing(Journal(folder / "journal", "hot")) as journal:
            journal.keep({DIGEST_KEY: b"k" * 32})  # or parts would have other profiles each time
        self.new_file()

    def new_file(self) -> None:
        number = len(self.files) + 1
        self.files.append(File(self.folder / f"{number}.jsonl", number))
        self.files[-1].path.touch()

    def ingest(self, file: File, updates: Sequence[Update], *, ended: bool) -> None:
        for update in updates:
            self._serials += 1
            file.append(update.line(self._serials), self._serials, update)
        if ended:
            file.end()

    def letters(self) -> list[tuple[int, int]]:
        """Source number and line of each dead letter there is."""
        return [(each.source_number, each.line) for each in self._letters.list()]

    def run(self, file: File, pace: Pace, death: Death | None = None, stop_after: int | None = None) -> Ran:
        """Export a file; killed at `death`, told to stop at a write. It ends, whatever happens."""
        life, stop = Life(death), threading.Event()
        self.stream.life, self.stream.stop, self.stream.stop_after = life, stop, stop_after
        self.stream.said = defaultdict(list)
        self._runs += 1
        before = len(self.stream.arrived)
        draw = Random(pace.seed)
        with by_hand(life, draw), closing(Journal(self.folder / "journal", "hot")) as journal:
            remembering: Remembering | None = None
            ledger: Ledger | None = None
            error: TailraceError | None = None
            fresh: list[Line] = []
            compiled = compile_export(self._activation(), KeyPlan(), 256)
            try:
                known = letters_left(journal, self._letters, self._cut_off)
                self._cut_off = []
                remembering = begin(journal, self._runs, self._prepared(), [])
            except StateError as caught:
                error = caught
            else:
                assert remembering is not None
                journal._commits = AnyOrder(journal._parts, draw)
                part = self._parts(compiled, remembering)
                fresh = [line for line in file.readable if not _is_settled(journal, file, line, part)]
                life.reads()
                job = self._job(file, pace, journal, compiled, remembering, known)
                running = Running(job)
                try:
                    ledger = running.execute()
                except TailraceError as caught:
                    error, ledger = caught, caught.ledger or running.ledger()
            if life.dead:
                counts = journal.counts(self._runs)
                ledger = None if counts is None else ledger_of(counts)
            journal.refresh()
            self._cut_off += [self._runs] if life.dead else []
            settled = {line.serial for line in fresh if _is_settled(journal, file, line, part)}
            places, members = self._remembered(journal, compiled, remembering)
        if life.dead and draw.random() < 0.1:  # nobody left a note that the files are whole
            for note in (self.folder / "journal").glob("*.note"):
                note.unlink()
        return Ran(
            file=file,
            terms=self.terms,
            died=life.dead,
            ledger=ledger,
            error=error,
            fresh=fresh,
            settled=settled,
            said=self.stream.said,
            arrived=self.stream.arrived[before:],
            places=places,
            members=members,
        )

    def _job(
        self,
        file: File,
        pace: Pace,
        journal: Journal,
        compiled: Compiled,
        remembering: Remembering,
        known: frozenset[tuple[int, int]],
    ) -> Job:
        run, life = self._runs, self.stream.life
        limits = Limits(records=pace.records, bytes=2**20, record_bytes=2**16)
        return Job(
            run=run,
            activation_id="activation-1",
            compiled=compiled,
            plan=Plan(destination="scripted", format="xdm-json", limits=limits, in_flight=pace.in_flight),
            pool=Pool(self.stream, Random(pace.seed)),
            sources=open_sources(file.path, 2**20),
            number_of=lambda source: file.number,
            letters=Letters(self.folder / "letters", run, life),
            in_flight=pace.in_flight,
            max_pause=0.0,
            give_up_after=1e6,
            write_timeout=1e6,
            clock=Clock(),
            commit=lambda group: journal.commit(run, group.shares, group.forgotten),
            checkpoints_of=journal.checkpoints,
            remembering=remembering,
            ordering="key",
            known_letters=known,
            stop=self.stream.stop,
            budget=pace.budget,
        )

    def _activation(self) -> Activation:
        segments = tuple(Segment(id=id, created_at=number) for id, number in self.terms.segments.items())
        made = replace(rig.activation(), segments=segments, attributes=self.terms.attributes)
        return replace(made, triggers=self.terms.triggers)

    def _prepared(self) -> Prepared:
        plan = Plan(destination="scripted", format="xdm-json", limits=rig.LIMITS)
        nothing = cast("Any", None)
        return Prepared(self._activation(), plan, nothing, nothing, "place")

    def _parts(self, compiled: Compiled, remembering: Remembering) -> Callable[[Line], int]:
        profile_of = compiled.sketches(remembering.secrets).profile

        def part(line: Line) -> int:
            try:
                selected = compiled.select(line.raw)
            except InvalidUpdate:
                return 0
            profile = None if selected is None else profile_of(selected.found)
            return 0 if profile is None else part_of(profile)

        return part

    def _remembered(
        self, journal: Journal, compiled: Compiled, remembering: Remembering | None
    ) -> tuple[dict[str, tuple[int, int] | None], dict[str, dict[str, bool]]]:
        """Source number and offset of the update that was last delivered of each profile, and its
        memberships as they are remembered."""
        from tailrace.pipeline.profiles import profile_named

        places: dict[str, tuple[int, int] | None] = {}
        members: dict[str, dict[str, bool]] = {}
        if remembering is None:
            return places, members
        slots = {number: id for (_, id), number in remembering.secrets.slots.items()}
        for id in sorted({id for file in self.files for line in file.lines for id in line.update.ids}):
            profile = profile_named(remembering.secrets.key, "identity", f"ecid:{id}")
            assert profile is not None
            value = journal.get(profile)
            if value is None:
                places[id] = None
                continue
            place = remembered_place(value)
            places[id] = int.from_bytes(place[:4], "big"), int.from_bytes(place[4:], "big")
            standings = [value[at : at + 10] for at in range(STANDINGS, len(value), 10)]
            numbers = [int.from_bytes(each[:2], "big") for each in standings]
            members[id] = {slots[n & 0x7FFF]: n >= 0x8000 for n in numbers if n & 0x7FFF in slots}
        return places, members


def _is_settled(journal: Journal, file: File, line: Line, part: Callable[[Line], int]) -> bool:
    """Whether the journal says so for the part of the line."""
    checkpoints = journal.checkpoints(file.number)
    said = [
        each is not None and line.number < each.read_line and line.number not in each.unsettled
        for each in checkpoints
    ]
    return said[0] if len({*said}) == 1 else said[part(line)]
