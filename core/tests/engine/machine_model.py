"""What the pipeline has to do, said as simply as it can be: for the state machine of `test_machine.py`.

One profile after the other, in input order, no threads, no parts, no bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from core.tests.updates import OTHER, SEGMENT

ATTRIBUTES = ("person.name.firstName", "tier")
Triggers = tuple[Literal["segments", "identities", "attributes"], ...]
TRIGGERS: Triggers = ("segments", "identities", "attributes")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Update:
    """One profile update: its ids, what it says of the person, and its two memberships. One that is
    `bad` is a line that nobody can read."""

    ids: tuple[str, ...] = ("1",)
    name: str = "A"
    tier: str | None = None
    hot: str | None = "realized"
    other: str | None = None
    bad: bool = False

    @property
    def profile(self) -> str:
        return min(self.ids)

    @property
    def others(self) -> set[str]:
        return {*self.ids} - {self.profile}

    def memberships(self) -> dict[str, bool]:
        named = {SEGMENT: self.hot, OTHER: self.other}
        return {id: status != "exited" for id, status in named.items() if status is not None}

    def attributes(self, mapped: Iterable[str]) -> dict[str, str | None]:
        values = dict(zip(ATTRIBUTES, (self.name, self.tier), strict=True))
        return {path: values[path] for path in mapped}

    def line(self, serial: int) -> bytes:
        """As it stands in a file. The time of its memberships, which never counts, tells it from all
        others."""
        if self.bad:
            return b"{nonsense %d" % serial
        time = (BEGIN + timedelta(seconds=serial)).isoformat()
        named = {SEGMENT: self.hot, OTHER: self.other}
        said = {id: {"lastQualificationTime": time, "status": each} for id, each in named.items() if each}
        value = {
            "identityMap": {"ecid": [{"id": id} for id in self.ids]},
            "segmentMembership": {"ups": said},
            "person": {"name": {"firstName": self.name}},
            **({} if self.tier is None else {"tier": self.tier}),
        }
        return json.dumps(value).encode()


def serial_of(record: bytes) -> int:
    """Which update a record was made of."""
    [time, *_] = (
        each["lastQualificationTime"] for each in json.loads(record)["segmentMembership"]["ups"].values()
    )
    return round((datetime.fromisoformat(time) - BEGIN).total_seconds())


@dataclass(frozen=True)
class Terms:
    """The activation as it stands. A segment that was removed and added again is another one, which its
    number tells."""

    segments: Mapping[str, int] = field(default_factory=lambda: {SEGMENT: 0})
    attributes: tuple[str, ...] = ATTRIBUTES[:1]
    triggers: Triggers = TRIGGERS

    def selects(self, update: Update) -> bool:
        return any(id in self.segments for id in update.memberships())


@dataclass(frozen=True)
class Kept:
    """What was last delivered of a profile. `serial` is that of its update."""

    serial: int
    ids: frozenset[str]
    attributes: Mapping[str, str | None]
    members: Mapping[tuple[str, int], bool]


Memory = dict[str, Kept]


def differing(update: Update, kept: Kept | None, terms: Terms) -> set[str]:
    """The groups in which an update differs from what was last delivered."""
    if kept is None:
        return {*TRIGGERS}
    said = update.memberships()
    found = {
        "segments"
        for id, number in terms.segments.items()
        if id in said and kept.members.get((id, number)) != said[id]
    }
    if frozenset(update.ids) != kept.ids:
        found.add("identities")
    if update.attributes(terms.attributes) != kept.attributes:
        found.add("attributes")
    return found


def deliver(memory: Memory, serial: int, update: Update, terms: Terms) -> Kept:
    """What is remembered of a profile from now on; profiles that it took up are forgotten."""
    before = memory.get(update.profile)
    if "identities" in differing(update, before, terms):
        for other in update.others:
            memory.pop(other, None)
    said = update.memberships()
    members = {} if before is None else dict(before.members)
    members |= {(id, number): said[id] for id, number in terms.segments.items() if id in said}
    kept = Kept(serial, frozenset(update.ids), update.attributes(terms.attributes), members)
    memory[update.profile] = kept
    return kept


def doubt(memory: Memory, update: Update, terms: Terms) -> None:
    """Nobody knows whether that update arrived: of its profile is known what it does not change."""
    before = memory.get(update.profile)
    if before is None:
        return
    said = {
        (id, terms.segments[id]): member
        for id, member in update.memberships().items()
        if id in terms.segments
    }
    same = update.attributes(terms.attributes) == before.attributes
    memory[update.profile] = replace(
        before,
        ids=before.ids if frozenset(update.ids) == before.ids else frozenset(),
        attributes=before.attributes if same else {"unknown": None},
        members={each: member for each, member in before.members.items() if said.get(each, member) == member},
    )
