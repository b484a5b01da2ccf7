"""The pipeline as the state machine of `test_machine.py` drives it: a real journal in a folder, a stream
whose answers are chosen, and a death that leaves just what a dead process leaves."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Literal, cast

import pytest

from tailrace.cutoff import letters_left
from tailrace.deadletters import DeadLetterFile, DeadLetters, Letter
from tailrace.destination import Batch, BatchResult, Failure, KeyPlan, Limits, Plan
from tailrace.errors import AuthenticationFailed, StateError, TailraceError, Transient
from tailrace.ledger import Ledger
from tailrace.objects import Activation, Segment
from tailrace.opening import DIGEST_KEY, begin
from tailrace.pipeline import commit as committing
from tailrace.pipeline.compile import Compiled, InvalidUpdate, compile_export
from tailrace.pipeline.export import Running
from tailrace.pipeline.job import Job, Remembering
from tailrace.pipeline.pool import Answer as Written
from tailrace.pipeline.pool import write
from tailrace.pipeline.remembering import STANDINGS, remembered_place
from tailrace.pipeline.sources import open_sources
from tailrace.planning import Prepared
from tailrace.runs import ledger_of
from tailrace.store import commits
from tailrace.store.journal import Journal, Share, part_of
from tailrace.store.part import Part
from tests import rig
from tests.machine_model import Terms, Update, serial_of

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


class AnyOrder(commits.Commits):
    """Commits to the parts in an order that is drawn, as several threads would."""

    def __init__(self, parts: Sequence[Part], draw: Random) -> None:
        super().__init__(parts)
        self._draw = draw

    def commit(self, run: int, shares: Sequence[Share], forget: Collection[bytes] = ()) -> None:
        self.forget(forget)
        for number in self._draw.sample(range(len(self._parts)), len(self._parts)):
            commits._commit(self._parts[number], self._known[number], run, shares[number])


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
        with _by_hand(life, draw), closing(Journal(self.folder / "journal", "hot")) as journal:
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
                fresh = [line for line in file.lines if not _is_settled(journal, file, line, part)]
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
        nothing = cast("Callable[..., object]", None)
        return Prepared(self._activation(), plan, nothing, nothing, "place")  # type: ignore[arg-type]

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


class Clock:
    """Time goes by whenever somebody looks, so nobody waits for it, and each run is like the next."""

    def __init__(self) -> None:
        self._now = 0.0

    def time(self) -> float:
        return 1.8e9

    def monotonic(self) -> float:
        self._now += 0.01
        return self._now


class Pool:
    """Writes at once, and hands back what was answered later, in any order."""

    ready = True

    def __init__(self, stream: Stream, draw: Random) -> None:
        self._stream = stream
        self._draw = draw
        self._answers: list[Written] = []

    def send(self, number: int, batch: Batch) -> None:
        self._answers.append(write(self._stream, "scripted", number, batch))

    def receive(self, timeout: float) -> Written | None:
        if not self._answers or (timeout == 0 and self._draw.random() < 0.5):
            return None
        return self._answers.pop(self._draw.randrange(len(self._answers)))

    def close(self, patience: float) -> None: ...

    def abandon(self) -> None: ...


class Slow(committing.Committer):
    """Commits in no thread: what was started is done at one of the next looks, or when somebody waits."""

    draw = Random(0)

    def due(self, now: float, delivered: int) -> bool:
        if self._work is not None and self.draw.random() < 0.5:
            self._do()
        return super().due(now, delivered)

    def wait(self, patience: float) -> None:
        self._do()

    def stop(self) -> None:
        self._do()
        super().stop()

    def _do(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            try:
                self._make_true(work)
            except TailraceError as error:
                self._failure = error

    def _run(self) -> None: ...


@contextmanager
def _by_hand(life: Life, draw: Random) -> Iterator[None]:
    """Commits as often as can be, no thread, and each commit of a part may be the last thing."""
    commit = Part.commit

    def mortal(part: Part, changes: Mapping[bytes, bytes | None]) -> None:
        life.commits()
        commit(part, changes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "EVERY", 0.0)
        patch.setattr(Slow, "draw", draw)
        patch.setattr("tailrace.pipeline.export.Committer", Slow)
        patch.setattr(Part, "commit", mortal)
        yield
