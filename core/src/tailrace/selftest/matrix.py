"""The fault matrix: which rows there are, and the verdict on each."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tailrace.errors import ConfigurationError, Interrupted, PluginError, TailraceError, UsageError
from tailrace.faults import FaultRow, SupportsFaults
from tailrace.registry import Registry
from tailrace.selftest import engine, judging, running
from tailrace.selftest.features import lacks

Word = Literal["pass", "FAIL", "not built"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A row and whose it is. `loggers` are those that may speak while it runs."""

    row: FaultRow
    destination: str
    plugin: SupportsFaults
    loggers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a row. `problems` are the reasons of a FAIL; `seen` is for people."""

    row: FaultRow
    destination: str
    word: Word
    seen: str
    problems: tuple[str, ...]
    injected: int
    seconds: float


def select(
    registry: Registry,
    *,
    destination: str | None = None,
    rows: Sequence[str] = (),
    broken: str | None = None,
) -> list[Entry]:
    """The rows to run: those of the destination (every installed one that has some, unless it is
    named), then those of the engine and the input; only these `rows` and the one to be `broken`, where
    any is named.

    Raises UnknownDestination, PluginError, ConfigurationError where the destination has no rows, and
    UsageError for a row that does not exist, or that is to be broken and not built.
    """
    entries = [*_of_destinations(registry, destination), *_of_engine()]
    rows = [*rows, *([] if broken is None else [broken])]
    known = {entry.row.name for entry in entries}
    for name in rows:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            raise UsageError(
                f"there is no row {name!r}",
                hint=f"did you mean {near[0]!r}?" if near else "without --row the command lists them all",
            )
    chosen = [entry for entry in entries if not rows or entry.row.name in rows]
    if any(entry.row.name == broken and lacks(entry.row.needs) for entry in chosen):
        raise UsageError(f"row {broken!r} is not built yet, so there is nothing to turn off")
    return chosen


def run(entries: Sequence[Entry], *, broken: str | None = None) -> Iterator[Verdict]:
    """Run the rows one after the other. The handling that the row `broken` proves is turned off."""
    for entry in entries:
        yield _verdict(entry, entry.row.name == broken)


def _of_destinations(registry: Registry, wanted: str | None) -> Iterator[Entry]:
    for record in registry.list():
        if record.group != "tailrace.destinations" or wanted not in (None, record.name):
            continue
        try:
            plugin = registry.hooks(record.name).plugin
        except PluginError:
            if wanted is not None:
                raise
            continue
        if isinstance(plugin, SupportsFaults):
            # The loggers of a plugin are named after its package.
            packages = (record.value.partition(":")[0], type(plugin).__module__)
            loggers = ("tailrace", *{package.partition(".")[0] for package in packages} - {"tailrace"})
            yield from (Entry(row, record.name, plugin, loggers) for row in plugin.faults())
        elif wanted is not None:
            raise ConfigurationError(f"destination {wanted!r} brings no faults to be run against")
    if wanted is not None:
        registry.hooks(wanted)  # raises where there is no such destination


def _of_engine() -> Iterator[Entry]:
    plugin = engine.Engine()
    return (Entry(row, engine.NAME, plugin, ("tailrace",)) for row in plugin.faults())


def _verdict(entry: Entry, broken: bool) -> Verdict:
    row = entry.row
    missing = lacks(row.needs)
    if missing is not None:
        return Verdict(row, entry.destination, "not built", f"needs {missing}", (), 0, 0.0)
    began = time.monotonic()
    try:
        seen = running.run(row, entry.destination, entry.plugin, entry.loggers, broken=broken)
    except TailraceError as error:
        problem = f"could not be run: {error.message}"
        return Verdict(row, entry.destination, "FAIL", problem, (problem,), 0, time.monotonic() - began)
    if isinstance(seen.error, Interrupted) and row.exit_code != seen.exit_code:
        raise KeyboardInterrupt  # an export makes an error of it
    found = tuple(judging.problems(row, seen))
    word: Word = "FAIL" if found else "pass"
    return Verdict(
        row, entry.destination, word, judging.summary(row, seen), found, seen.injected, seen.seconds
    )
