"""The pipeline in this process: an export into a destination that a test scripts, write by write."""

from __future__ import annotations

import itertools
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from core.tests.updates import SEGMENT
from tailrace.deadletters import DeadLetter, DeadLetterFile, DeadLetters
from tailrace.destination import (
    Batch,
    BatchResult,
    Clock,
    Exporter,
    Failure,
    FailureKind,
    KeyPlan,
    Limits,
    Plan,
)
from tailrace.errors import NotConnected, TailraceError, Transient
from tailrace.ledger import Ledger
from tailrace.objects import Activation, Segment
from tailrace.pipeline.commit import Group
from tailrace.pipeline.compile import Selected, compile_export
from tailrace.pipeline.export import Running
from tailrace.pipeline.following import Following
from tailrace.pipeline.job import Job, Progress, Remembering
from tailrace.pipeline.pool import Pool, ThreadPool
from tailrace.pipeline.profiles import Secrets
from tailrace.pipeline.remembering import Rules
from tailrace.pipeline.sources import open_sources
from tailrace.runs import ledger_of
from tailrace.store.journal import PARTS, Checkpoint, Share, part_of

BY_IDENTITY = KeyPlan()
KEY = b"k" * 32
"""Of the digests."""
LIMITS = Limits(records=10, bytes=100_000, record_bytes=50_000, key_bytes=256)


@dataclass(frozen=True)
class Fault:
    """What one write meets. `part` of its records (0 to 1) fail with `kind`; with `whole` the write
    raises instead. `taken`: the destination kept them all the same (ambiguous only)."""

    kind: FailureKind = "retry"
    part: float = 1.0
    whole: bool = False
    taken: bool = False


@dataclass
class Fickle:
    """A destination that follows a script, then takes everything but the poison, which it rejects.

    It keeps the account that the engine has to match: what it took, how often, and what it said.
    """

    script: Sequence[Fault | None] = ()
    always: Fault | None = None
    poison: frozenset[str] = frozenset()
    before: Callable[[Batch], None] = lambda batch: None
    taken: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    uninvited: list[str] = field(default_factory=list)
    """Keys that were sent although their last answer was final."""
    times: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)
    closed: int = 0
    _final: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, batch: Batch) -> BatchResult:
        self.before(batch)
        with self._lock:
            turn = len(self.times)
            self.times.append((time.monotonic(), tuple(batch.keys)))
            self.uninvited += self._final.intersection(batch.keys)
            fault = self.script[turn] if turn < len(self.script) else self.always
            return self._answer(batch, fault, random.Random(turn))

    def close(self) -> None:
        self.closed += 1

    def _answer(self, batch: Batch, fault: Fault | None, draw: random.Random) -> BatchResult:
        failing = {i for i in range(len(batch)) if fault is not None and draw.random() < fault.part}
        failures: dict[int, Failure] = {}
        for index, key in enumerate(batch.keys):
            if fault is not None and (fault.whole or index in failing):
                if fault.taken:
                    self.taken[key] += 1
                self.said[fault.kind] += 1
                failures[index] = Failure(fault.kind, "Scripted")
            elif key in self.poison:
                self.rejected[key] += 1
                self._final.add(key)
                failures[index] = Failure("rejected", "Poison")
            else:
                self.taken[key] += 1
                self._final.add(key)
        if fault is not None and fault.whole:
            if fault.kind == "retry":
                raise NotConnected("scripted")
            raise Transient("scripted", ambiguous=fault.kind == "ambiguous")
        return BatchResult(len(batch), failures)


@dataclass(frozen=True)
class Outcome:
    ledger: Ledger
    error: TailraceError | None
    letters: list[DeadLetter]


def activation() -> Activation:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return Activation(
        id="activation-1",
        name="hot",
        version=1,
        connection_id="connection-1",
        connection="leads",
        destination="fickle",
        segments=(Segment(id=SEGMENT),),
        attributes=("person.name.firstName",),
        created_at=moment,
        updated_at=moment,
    )


def export(
    exporter: Exporter,
    sources: object,
    *,
    limits: Limits = LIMITS,
    in_flight: int = 4,
    give_up_after: float = 60.0,
    stop: threading.Event | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    max_line: int = 2**20,
    budget: int = 2**24,
    on_line: Callable[[bytes], None] = lambda line: None,
    commit: Callable[[Ledger, Mapping[int, Checkpoint]], None] | None = None,
    checkpoint: Checkpoint | None = None,
    store: Store | None = None,
    ordering: Literal["key", "none"] = "none",
    given: Activation | None = None,
    linger: float = 0.0,
    partition: KeyPlan = BY_IDENTITY,
    max_pause: float | None = 0.0,
    clock: Clock = time,
    pool: Pool | None = None,
) -> Outcome:
    """Run an export to its end, whatever the end is. `on_line` runs before a line is looked at; `commit`
    gets what is committed; with `store` only changes are exported."""
    given = given or activation()
    compiled = compile_export(given, partition, limits.key_bytes)

    def look(line: bytes) -> Any:
        on_line(line)
        return compiled.look(line)

    def select(line: bytes) -> Selected | None:
        on_line(line)
        return compiled.select(line)

    def commit_group(group: Group) -> None:
        if store is not None:
            store.commit(group)
        if commit is not None:
            commit(ledger_of(total(group.shares)), group.shares[0].checkpoints)

    numbers = itertools.count(1)
    plan = Plan(destination="fickle", format="xdm-json", limits=limits, in_flight=in_flight)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(
            run=1,
            activation_id=given.id,
            compiled=replace(compiled, look=look, select=select),
            plan=plan,
            pool=pool or ThreadPool(exporter, "fickle", in_flight),
            clock=clock,
            max_pause=max_pause,
            sources=sources if isinstance(sources, Following) else open_sources(sources, max_line),
            number_of=lambda source: next(numbers),
            letters=DeadLetterFile(Path(folder), 1, given.name),
            in_flight=in_flight,
            give_up_after=give_up_after,
            write_timeout=20.0,
            stop=stop or threading.Event(),
            on_progress=on_progress,
            budget=budget,
            commit=None if commit is None and store is None else commit_group,
            checkpoints_of=lambda number: (
                store.checkpoints if store is not None else () if checkpoint is None else (checkpoint,)
            ),
            remembering=None if store is None else store.remembering(),
            begin=None if compiled.envelope is None else compiled.envelope(KEY),
            ordering=ordering,
            linger=linger,
        )
        ledger, error = ending(lambda: Running(job).execute())
        return Outcome(ledger, error, DeadLetters(Path(folder)).list())


def total(shares: Sequence[Share]) -> dict[str, Any]:
    """The counts of all parts."""
    counts = dict(shares[0].counts)
    for share in shares[1:]:
        for name, count in share.counts.items():
            counts[name] = (
                Counter(counts[name]) + Counter(count) if name == "reasons" else counts[name] + count
            )
    return counts


@dataclass
class Store:
    """A store of profiles that keeps what is committed, and shows what was at the last `refresh`."""

    rules: Rules = field(default_factory=Rules)
    rule: str = "identity"
    """Tells profiles apart."""
    slots: dict[tuple[str, str], int] = field(default_factory=lambda: {("ups", SEGMENT): 0})
    values: dict[bytes, bytes] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)
    seen: dict[bytes, bytes] = field(default_factory=dict)
    checkpoints: Sequence[Checkpoint | None] = ()
    """By part, of the only source; empty for one that is not known again."""

    def remembering(self) -> Remembering:
        self.refresh()
        secrets = Secrets(KEY, self.slots, self.rule, timed=self.rules.requalification)
        return Remembering(secrets, self.rules, self.get, self.refresh)

    def get(self, profile: bytes, digest: bytes | None) -> bytes | None:
        return self.seen.get(profile)

    def refresh(self) -> None:
        self.seen = dict(self.values)

    def commit(self, group: Group) -> None:
        self.groups.append(group)
        for profile in group.forgotten:
            self.values.pop(profile, None)
        for part, share in enumerate(group.shares):
            self.take(part, share)

    def take(self, part: int, share: Share) -> None:
        """What one part is given."""
        if share.checkpoints:
            checkpoints = [*(self.checkpoints or [None] * PARTS)]
            checkpoints[part] = share.checkpoints[1]
            self.checkpoints = checkpoints
        for profile, value in share.changes.items():
            assert part_of(profile) == part
            if value is None:
                self.values.pop(profile, None)
            else:
                self.values[profile] = value


def ending(export: Callable[[], Ledger]) -> tuple[Ledger, TailraceError | None]:
    """The ledger of an export, and the error it ended with."""
    try:
        return export(), None
    except TailraceError as error:
        if error.ledger is None:
            raise
        return error.ledger, error
