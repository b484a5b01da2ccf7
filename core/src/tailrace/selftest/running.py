"""Running one row: a temporary home, account, connection and activation as a user makes them, an
export through the public API, and what was to be seen of it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tailrace.client import Tailrace
from tailrace.errors import TailraceError
from tailrace.faults import FaultPlace, FaultRow, SupportsFaults
from tailrace.registry import Registry
from tailrace.selftest.around import Around
from tailrace.selftest.listening import listening
from tailrace.selftest.updates import ATTRIBUTE, SEGMENT, expected_of, made_for

if TYPE_CHECKING:
    from tailrace.deadletters import DeadLetter
    from tailrace.destination import AuthReport
    from tailrace.ledger import Ledger

ACTIVATION = "hot"
LONGEST_LINE = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePlace(FaultPlace):
    """A place of the core's own rows, which may touch more than a destination can: the lines as they
    are read, the home before the export, and the event that stops it. `prepare` gives what is to be
    exported, and may export some of it before; `before()` tells how much was accepted of that."""

    lines: Callable[[list[bytes]], list[bytes]] = lambda lines: lines
    prepare: Callable[[Tailrace, list[bytes]], object] = lambda client, lines: lines
    before: Callable[[], int] = lambda: 0
    stop: threading.Event = field(default_factory=threading.Event)
    longest_line: int = LONGEST_LINE

    @classmethod
    def of(cls, place: FaultPlace) -> EnginePlace:
        """The place itself, or that of a destination, which touches nothing of this."""
        if isinstance(place, cls):
            return place
        return cls(**{each.name: getattr(place, each.name) for each in fields(FaultPlace)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What there was to see. `lines` counts what the export had to read, and `delivered_before` what
    runs before it had settled as delivered; `uncommitted` was accepted from these and not settled, so
    that it may be there twice. `expected` is what each line would become, without its key where the place
    keeps none; `said` is all that was logged, reported or recorded, in which no canary may be."""

    ledger: Ledger | None
    error: TailraceError | None
    report: AuthReport | None
    lines: int
    expected: Mapping[int, tuple[str | None, bytes]] = field(repr=False)
    accepted: Sequence[tuple[str | None, bytes]] = field(repr=False)
    letters: Sequence[DeadLetter]
    injected: int
    requests: int | None
    more: str | None
    said: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    seconds: float
    delivered_before: int = 0
    uncommitted: int = 0

    @property
    def exit_code(self) -> int:
        if self.error is not None:
            return self.error.exit_code
        return self.ledger.exit_code if self.ledger is not None else 0


def run(row: FaultRow, name: str, plugin: SupportsFaults, loggers: Sequence[str], *, broken: bool) -> Seen:
    """Run a row of the destination `name`. Raises what is no part of the error tree: a defect."""
    began = time.monotonic()
    registry = Registry()
    registry.register(name, plugin)
    registry.register("selftest", Around(row, broken), wrapper=True)
    with (
        TemporaryDirectory(prefix="tailrace-selftest-") as folder,
        environment({"TAILRACE_WRITE_TIMEOUT": f"{row.write_timeout:g}"}),
        listening(loggers) as heard,
        plugin.fault_place(row.name, broken=broken and row.breaking == "own") as place,
        # An empty URL: whatever the environment says, the database is in the home of this row.
        Tailrace(Path(folder), database_url="", registry=registry, clock=place.clock or time) as client,
    ):
        _set_up(client, name, row, place)
        if row.step == "auth":
            return _look(client, place, began, lambda: heard.text)
        return _export(client, row, place, began, lambda: heard.text)


def _set_up(client: Tailrace, destination: str, row: FaultRow, place: FaultPlace) -> None:
    client.accounts.add("prod", destination=destination, settings=place.account)
    client.connections.add("leads", account="prod", settings=place.connection)
    client.activations.add(
        ACTIVATION,
        connection="leads",
        segments=[SEGMENT],
        attributes=[ATTRIBUTE],
        ordering=row.ordering,
        every_update=row.ordering == "none",
    )


def _look(client: Tailrace, place: FaultPlace, began: float, heard: Callable[[], str]) -> Seen:
    report, error = None, None
    try:
        report = client.connections.test("leads")
    except TailraceError as caught:
        error = caught
    return _seen(place, began, report=report, error=error, said=f"{heard()}\n{report}\n{_words(error)}")


def _export(
    client: Tailrace, row: FaultRow, place: FaultPlace, began: float, heard: Callable[[], str]
) -> Seen:
    engine = EnginePlace.of(place)
    given = engine.lines(made_for(row, client, ACTIVATION))
    expected = expected_of(client, ACTIVATION, given, engine.longest_line)
    source = engine.prepare(client, given)
    before = engine.before()
    ledger, error = None, None
    try:
        ledger = client.export(
            ACTIVATION,
            source,
            stop=engine.stop,
            in_flight=row.in_flight,
            give_up_after=row.give_up_after,
            max_pause=row.max_pause,
            max_line_bytes=engine.longest_line,
        )
    except TailraceError as caught:
        ledger, error = caught.ledger, caught
    letters = client.dead_letters.list()
    runs = client.runs.list()
    recorded = [(run.ledger.as_dict(), run.error) for run in runs]
    earlier = [run.ledger for run in runs if ledger is None or _was_read_on(run.ledger, ledger)]
    delivered = sum(each.delivered for each in earlier)
    shown = [(letter.reason, letter.message, letter.code) for letter in letters]
    said = "\n".join([heard(), json.dumps([recorded, shown]), str(ledger), _words(error)])
    return _seen(
        place, began, ledger=ledger, error=error, said=said, letters=letters, expected=expected,
        lines=len(given) - sum(each.received - each.pending for each in earlier),
        bad=len(row.keys) + len(row.sizes), delivered_before=delivered,
        uncommitted=max(0, before - delivered),
    )  # fmt: skip


def _was_read_on(earlier: Ledger, last: Ledger) -> bool:
    """Whether the last run went on in a source of an earlier one. A row may have other runs, of sources
    of their own, which say nothing of what the last one had to read."""
    numbers = {source.number for source in last.sources}
    return earlier.run != last.run and any(source.number in numbers for source in earlier.sources)


def _seen(
    place: FaultPlace,
    began: float,
    *,
    said: str,
    ledger: Ledger | None = None,
    error: TailraceError | None = None,
    report: AuthReport | None = None,
    lines: int = 0,
    expected: Mapping[int, tuple[str, bytes]] | None = None,
    letters: Sequence[DeadLetter] = (),
    bad: int = 0,
    delivered_before: int = 0,
    uncommitted: int = 0,
) -> Seen:
    accepted = [(key, bytes(data)) for key, data in place.read()]
    return Seen(
        ledger=ledger,
        error=error,
        report=report,
        lines=lines,
        expected=_comparable(expected or {}, accepted),
        accepted=accepted,
        letters=letters,
        injected=bad if place.injected is None else place.injected(),
        requests=None if place.requests is None else place.requests(),
        more=place.check(),
        said=said,
        secrets=place.secrets,
        seconds=time.monotonic() - began,
        delivered_before=delivered_before,
        uncommitted=uncommitted,
    )


def _comparable(
    expected: Mapping[int, tuple[str, bytes]], accepted: Sequence[tuple[str | None, bytes]]
) -> Mapping[int, tuple[str | None, bytes]]:
    """Without the keys where none is kept."""
    if all(key is not None for key, _ in accepted):
        return dict(expected)
    return {line: (None, data) for line, (_, data) in expected.items()}


def _words(error: TailraceError | None) -> str:
    return "" if error is None else f"{error!r} {error.message} {error.hint}"


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
