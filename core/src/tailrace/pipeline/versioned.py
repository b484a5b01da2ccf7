"""Telling changes where updates have versions, stale ones are refused, or records have an envelope.

It is `changes.py` with a few questions more, which cost time for each update: so it is a class of its
own, chosen once for a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from tailrace.pipeline.changes import Changes, Keep
from tailrace.pipeline.compile import Compiled, Selected
from tailrace.pipeline.envelope import BACKFILL, Begin, finish
from tailrace.pipeline.lanes import Entry, Lanes
from tailrace.pipeline.memory import Change, Memory
from tailrace.pipeline.pack import Packed
from tailrace.pipeline.profiles import SIZE
from tailrace.pipeline.remembering import TRIGGERS, Rules, changes, value_of
from tailrace.pipeline.settle import Replay, Track
from tailrace.pipeline.sketch import Sketch, Sketcher
from tailrace.pipeline.stale import Staleness
from tailrace.pipeline.tally import Tally
from tailrace.pipeline.version import Version


class Versioned(Changes):
    """Stands between selecting and packing, as `Changes` does."""

    def __init__(
        self,
        compiled: Compiled,
        sketcher: Sketcher,
        memory: Memory,
        rules: Rules,
        lanes: Lanes,
        tally: Tally,
        *,
        by_key: bool,
        keep: Keep | None = None,
        slot: int | None = None,
        begin: Begin | None = None,
    ) -> None:
        """`slot` is the number under which versions are remembered; `begin` begins records that have an
        envelope."""
        super().__init__(compiled, sketcher, memory, rules, lanes, tally, by_key=by_key, keep=keep)
        self._version = compiled.version or (lambda update, line: None)
        self._stale = Staleness(rules.refuse_stale, slot)
        self._begin = begin
        self._any_change = rules._replace(triggers=TRIGGERS)

    def detect(self, update: Any, line: bytes, track: Track, offset: int, number: int) -> Packed | None:
        quick = self._quick(update)
        glanced = self._glance(update, line)
        selected = self._complete(update, line)
        key, update, found = selected
        profile = self._profile(found) if glanced is None else glanced
        version = self._version(update, line)
        if profile is None:
            data = self._finished(self._begun(selected, line, track, offset, version), TRIGGERS, track)
            return key, data, line, track, offset, number, None
        busy = self._lanes.is_busy(profile)
        remembered = None if busy else self.memory.get(profile)
        if remembered is not None and remembered[:SIZE] == quick:
            again = None
            if track.replayed:
                again = self._again(profile, remembered, line, track, offset, number, version)
            self._leave(profile, version, b"", remembered, again)
            return None
        sketch = replace(self._sketch(update, found, quick), version=version)
        groups: list[str] = []
        if not busy:
            groups = self._compared(profile, sketch, remembered, line, track, offset, number)
            if not groups:
                return None
        data = self._begun(selected, line, track, offset, version)
        others = [other for other in sketch.others if other != profile] if "identities" in groups else []
        kept = self._kept(key, update, found, line)
        if busy or any(map(self._lanes.is_busy, others)):
            self._wait(profile, sketch, (key, data, line, track, offset, number, None), kept)
            return None
        if others and self._overtakes(others, track, offset, version):
            self._count(profile, True)
            return None
        value = self._value(sketch, track, offset, remembered)
        data = self._finished(data, groups, track)
        return key, data, line, track, offset, number, Change(profile, value, others, others, kept=kept)

    def compare(self, entry: Entry) -> Packed | None:
        profile, sketch = entry.profile, entry.sketch
        assert profile is not None
        assert sketch is not None
        key, begun, line, track, offset, number, _ = entry.record
        held = [other for other in sketch.others if other != profile]
        remembered = self.memory.get(profile)
        groups = self._compared(profile, sketch, remembered, line, track, offset, number)
        others = held if "identities" in groups else []
        if others and self._overtakes(others, track, offset, sketch.version):
            self._count(profile, True)
            groups = []
        if not groups:
            self._lanes.settled((key, profile, *held))
            return None
        value = self._value(sketch, track, offset, remembered)
        change = Change(profile, value, others, held, kept=entry.kept)
        return key, self._finished(begun, groups, track), line, track, offset, number, change

    def _begun(
        self, selected: Selected, line: bytes, track: Track, offset: int, version: Version | None
    ) -> bytes:
        """The record but for its cause, which is known only when the update was compared."""
        if self._begin is None:
            return self._encode(selected.update)
        return self._begin(selected.update, selected.found, line, track.place_number, offset, version)

    def _finished(self, begun: bytes, groups: Sequence[str], track: Track) -> bytes:
        if self._begin is None:
            return begun
        return finish(begun, groups if track.replay is None else BACKFILL)

    def _is_newer(
        self, replay: Replay, remembered: bytes, offset: int, version: Version | None
    ) -> bool | None:
        """By the versions, where both are known and differ; else by the places."""
        age = self._stale.age(version, remembered)
        return super()._is_newer(replay, remembered, offset, version) if age is None else age or None

    def _compared(
        self,
        profile: bytes,
        sketch: Sketch,
        remembered: bytes | None,
        line: bytes,
        track: Track,
        offset: int,
        number: int,
    ) -> list[str]:
        """The groups in which an update differs; empty where it is not exported, and counted."""
        again = None
        if track.replayed:
            again = self._again(profile, remembered, line, track, offset, number, sketch.version)
        if remembered is None:
            return changes(sketch, None, self._rules)
        if again or self._stale.refuses(sketch.version, sketch.standings, remembered):
            self._count(profile, True)
            return []
        groups = changes(sketch, remembered, self._rules)
        if not groups:
            # Where nothing at all differs the next one that is equal need not be looked into.
            same = not changes(sketch, remembered, self._any_change)
            known = sketch.quick + remembered[SIZE:] if same else remembered
            self._leave(profile, sketch.version, sketch.standings, known, again)
        return groups

    def _leave(
        self,
        profile: bytes,
        version: Version | None,
        standings: bytes,
        remembered: bytes,
        again: bool | None,
    ) -> None:
        """Count an update that changes nothing, and remember how new it was."""
        if again or self._stale.refuses(version, standings, remembered):
            self._count(profile, True)
            return
        self._count(profile, again)
        newer = self._stale.advanced(version, standings, remembered)
        if newer is not None:
            self.memory.delivered(Change(profile, newer, [], []))

    def _value(self, sketch: Sketch, track: Track, offset: int, remembered: bytes | None) -> bytes:
        value = value_of(sketch, track.place(offset), remembered)
        return self._stale.completed(sketch, value, remembered)
