"""Stale updates: those that are older than what is known of their profile, which are not exported.

By the version an update is stale where it is smaller than the newest one that was delivered, or that
changed nothing. By the times of qualification it is where one of a mapped segment is older than what is
known, and none is newer. What cannot be compared is not older.
"""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.objects import RefuseStale
from tailrace.pipeline.remembering import STANDINGS, standings_of
from tailrace.pipeline.sketch import Sketch
from tailrace.pipeline.standings import NO_TIME, packed, unpacked
from tailrace.pipeline.version import Version


@dataclass(frozen=True, slots=True)
class Staleness:
    """`by` is what tells stale updates; `slot` is the number under which versions are remembered, None
    where there are none."""

    by: RefuseStale = "none"
    slot: int | None = None

    def refuses(self, version: Version | None, standings: bytes, remembered: bytes | None) -> bool:
        """Whether an update is older than what is remembered of its profile."""
        if remembered is None or self.by == "none":
            return False
        if self.by == "version":
            known = self._version_in(remembered)
            return version is not None and known is not None and _is_newer(known, version)
        ages = _ages(standings, remembered)
        return "older" in ages and "newer" not in ages

    def age(self, version: Version | None, remembered: bytes) -> bool | None:
        """Whether an update is older than what is remembered, by their versions. None: that cannot be told,
        or they are of one version."""
        known = self._version_in(remembered)
        if version is None or known is None or version == known or version.is_time != known.is_time:
            return None
        return known.value > version.value

    def advanced(self, version: Version | None, standings: bytes, remembered: bytes) -> bytes | None:
        """What is to be remembered after an update that is not exported, as it changes nothing, and that
        is newer: the next one may lie between. None where nothing of it is newer."""
        known = standings_of(remembered)
        if self.by == "version" and version is not None and self.slot is not None:
            before = self._version_in(remembered)
            if before is None or _is_newer(version, before):
                known[self.slot] = version
                return remembered[:STANDINGS] + packed(known)
        if self.by == "qualification" and "newer" in _ages(standings, remembered):
            for slot, (_, time) in unpacked(standings).items():
                if slot in known:
                    member, before_time = known[slot]
                    known[slot] = member, max(time, before_time)  # NO_TIME is before all others
            return remembered[:STANDINGS] + packed(known)
        return None

    def completed(self, sketch: Sketch, value: bytes, remembered: bytes | None) -> bytes:
        """`value`, which is to be remembered of a delivered update, with its version. Where it has none,
        or no time that stale ones are told by, that of before stays."""
        known = standings_of(value)
        if self.slot is not None and sketch.version is not None:
            known[self.slot] = sketch.version
        if self.by == "qualification" and remembered is not None:
            before = standings_of(remembered)
            for slot, (member, time) in unpacked(sketch.standings).items():
                if time == NO_TIME and slot in before:
                    known[slot] = member, before[slot][1]
        return value[:STANDINGS] + packed(known)

    def _version_in(self, remembered: bytes) -> Version | None:
        known = None if self.slot is None else standings_of(remembered).get(self.slot)
        return None if known is None else Version(*known)


def _is_newer(one: Version, other: Version) -> bool:
    return one.is_time == other.is_time and one.value > other.value


def _ages(standings: bytes, remembered: bytes) -> set[str]:
    """What the times of an update are, compared with those that are remembered."""
    known = standings_of(remembered)
    ages = set()
    for slot, (_, time) in unpacked(standings).items():
        before = known.get(slot, (False, NO_TIME))[1]
        if NO_TIME not in (time, before) and time != before:
            ages.add("newer" if time > before else "older")
    return ages
