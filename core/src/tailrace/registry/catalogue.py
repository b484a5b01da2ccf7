"""What is installed, from distribution metadata alone: no plugin is imported here."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from tailrace.errors import PluginError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

DESTINATIONS: Final = "tailrace.destinations"
WRAPPERS: Final = "tailrace.plugins"
ALLOW: Final = "TAILRACE_PLUGINS"
DENY: Final = "TAILRACE_DISABLE_PLUGINS"

State = Literal["available", "loaded", "failed", "disabled", "duplicate"]

log = logging.getLogger("tailrace.registry")


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRecord:
    """One entry point. `distribution` and `version` are None for a plugin that was registered by
    hand. `error` says why the state is `failed`, `disabled` or `duplicate`."""

    name: str
    group: str
    distribution: str | None
    version: str | None
    value: str
    state: State = "available"
    error: str | None = None

    @property
    def origin(self) -> str:
        """The distribution and its version, for people."""
        return f"{self.distribution or 'no distribution'} {self.version or ''}".rstrip()

    def __str__(self) -> str:
        return f"plugin {self.name!r} ({self.origin})"


@dataclass(slots=True)
class Candidate:
    """A record and how to get the object behind it. `plugin` is set once it loaded, `failure` once
    it could not: neither is tried again."""

    record: PluginRecord
    obtain: Callable[[], object]
    plugin: object | None = None
    failure: PluginError | None = None


def candidates(environ: Mapping[str, str]) -> list[Candidate]:
    """Every installed plugin, sorted by group, name and distribution."""
    found = [_candidate(entry) for entry in _entry_points()]
    found.sort(key=lambda c: (c.record.group, c.record.name, c.record.distribution or ""))
    for candidate in found:
        candidate.record = _switched(candidate.record, environ)
    _mark_duplicates(found)
    return found


def _entry_points() -> list[EntryPoint]:
    from importlib.metadata import entry_points

    try:
        everything = entry_points()
        return [*everything.select(group=DESTINATIONS), *everything.select(group=WRAPPERS)]
    except Exception:
        # One distribution with damaged metadata fails the call above for all of them.
        return list(_entry_points_one_by_one())


def _entry_points_one_by_one() -> Iterator[EntryPoint]:
    from importlib.metadata import distributions

    seen: set[str] = set()
    for distribution in distributions():
        try:
            name = _normalised(distribution.metadata["Name"])
            entries = list(distribution.entry_points)
        except Exception as cause:
            where = getattr(distribution, "_path", distribution)
            log.warning("the metadata of %s is damaged (%s): ignored", where, type(cause).__name__)
            continue
        if name not in seen:
            seen.add(name)
            yield from (entry for entry in entries if entry.group in (DESTINATIONS, WRAPPERS))


def _candidate(entry: EntryPoint) -> Candidate:
    name: str | None = None
    version: str | None = None
    try:
        if entry.dist is not None:
            name, version = entry.dist.name, entry.dist.version
    except Exception as cause:
        log.debug("the metadata behind plugin %r is damaged (%s)", entry.name, type(cause).__name__)
    record = PluginRecord(
        name=entry.name, group=entry.group, distribution=name, version=version, value=entry.value
    )
    return Candidate(record, entry.load)


def _switched(record: PluginRecord, environ: Mapping[str, str]) -> PluginRecord:
    """Apply the allow-list and the deny-list. Both name plugins or distributions."""
    names = {_normalised(record.name), _normalised(record.distribution or record.name)}
    error = None
    if names & _names(environ.get(DENY, "")):
        error = f"is disabled by {DENY}"
    elif ALLOW in environ and not names & _names(environ[ALLOW]):
        error = f"is not among those that {ALLOW} allows"
    return record if error is None else replace(record, state="disabled", error=f"{record} {error}")


def _names(text: str) -> set[str]:
    return {_normalised(part.strip()) for part in text.split(",") if part.strip()}


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _mark_duplicates(found: list[Candidate]) -> None:
    usable = [c for c in found if c.record.state == "available"]
    times = Counter((c.record.group, c.record.name) for c in usable)
    for candidate in usable:
        record = candidate.record
        if times[record.group, record.name] == 1:
            continue
        origins = [c.record.origin for c in usable if same_place(c.record, record)]
        error = f"plugin {record.name!r} is provided more than once: by {' and by '.join(origins)}"
        candidate.record = replace(record, state="duplicate", error=error)


def same_place(one: PluginRecord, other: PluginRecord) -> bool:
    """Whether two records claim the same name."""
    return (one.group, one.name) == (other.group, other.name)
