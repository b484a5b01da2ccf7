"""Telling changes: which of the selected updates differ from what was last delivered of their profile.

An update is compared when nothing of its profile is on its way; until then it waits in the profile's
lane. So it is compared with what really arrived, whatever became of the records before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.pipeline.compile import Compiled, InvalidUpdate, Selected
from tailrace.pipeline.delivery import Settled
from tailrace.pipeline.lanes import Entry, Lanes
from tailrace.pipeline.memory import Change, Memory
from tailrace.pipeline.pack import Packed
from tailrace.pipeline.remembering import Rules, changes, place_of, remembered_place, value_of
from tailrace.pipeline.settle import Track
from tailrace.pipeline.sketch import SIZE, Sketch, Sketcher
from tailrace.pipeline.tally import Tally
from tailrace.store.journal import part_of


class Changes:
    """Stands between selecting and packing. The reading thread alone uses it."""

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
    ) -> None:
        """With `by_key` records of one partition key go out one after the other, too."""
        self._profile = sketcher.profile
        self._quick = sketcher.quick
        self._sketch = sketcher.sketch
        self._select = compiled.select
        self._encode = compiled.encode
        self.memory = memory
        self._rules = rules
        self._lanes = lanes
        self._tally = tally
        self._by_key = by_key

    def detect(
        self, selected: Selected, line: bytes, track: Track, offset: int, number: int
    ) -> Packed | None:
        """The record of an update that differs; nothing of its profile is on its way. None: it does
        not differ and is counted, or it waits to be compared."""
        key, update, identity_map, found = selected
        profile = self._profile(update, found, line, key)
        if profile is None:
            return key, self._encode(update), line, track, offset, number, None
        quick, attributes = self._quick(update, identity_map)
        if self._lanes.is_busy(profile):
            record = (key, self._encode(update), line, track, offset, number, None)
            entry = Entry(record, 0, profile, self._sketch(update, found, quick, attributes))
            self._lanes.join(entry, (key, profile) if self._by_key else (profile,))
            return None
        remembered = self.memory.get(profile)
        if remembered is not None:
            if number < track.stale_before and self._is_stale(profile, remembered, track, offset, number):
                return None
            if remembered[:SIZE] == quick:
                self._tally.unchanged[profile[0] >> 4] += 1
                return None
        sketch = self._sketch(update, found, quick, attributes)
        change = self._compare(profile, sketch, remembered, track.number, offset)
        if change is None:
            return None
        return key, self._encode(update), line, track, offset, number, change

    def compare(self, entry: Entry) -> Packed | None:
        """The same for an update that has waited, and is now the first of its lanes."""
        key, data, line, track, offset, number, _ = entry.record
        assert entry.profile is not None
        assert entry.sketch is not None
        remembered = self.memory.get(entry.profile)
        change = None
        if not self._is_stale(entry.profile, remembered, track, offset, number):
            change = self._compare(entry.profile, entry.sketch, remembered, track.number, offset)
        if change is None:
            self._lanes.settled((key, entry.profile))
            return None
        return key, data, line, track, offset, number, change

    def let_go(self, record: Packed) -> None:
        """A record that was the first in its lanes is not sent."""
        change = record[6]
        self._lanes.settled((record[0],) if change is None else (record[0], change.profile))

    def settled(self, settled: Sequence[Settled], delivered: bool) -> None:
        """Records have met their fate. What is remembered changes before what waits is released."""
        for key, change in settled:
            if change is None:
                self._lanes.settled((key,))
                continue
            if delivered:
                self._tally.delivered[part_of(change.profile)] += 1
                self.memory.delivered(change)
            elif change.in_doubt:  # it may be there all the same
                self.memory.forget(change.profile)
            self._lanes.settled((key, change.profile))

    def part(self, line: bytes) -> int:
        """The part of the state that a line belongs to."""
        try:
            selected = self._select(line)
        except InvalidUpdate:
            return 0
        if selected is None:
            return 0
        profile = self._profile(selected.update, selected.found, line, selected.key)
        return 0 if profile is None else part_of(profile)

    def _is_stale(
        self, profile: bytes, remembered: bytes | None, track: Track, offset: int, number: int
    ) -> bool:
        """Whether an update that is read once more is not newer than what is remembered; counts it."""
        if number >= track.stale_before or remembered is None:
            return False
        if place_of(track.number, offset) > remembered_place(remembered):
            return False
        self._tally.stale[part_of(profile)] += 1
        return True

    def _compare(
        self, profile: bytes, sketch: Sketch, remembered: bytes | None, source: int, offset: int
    ) -> Change | None:
        groups = changes(sketch, remembered, self._rules)
        if not groups:
            self._tally.unchanged[part_of(profile)] += 1
            return None
        value = value_of(sketch, place_of(source, offset), remembered)
        return Change(profile, value, sketch.others if "identities" in groups else [])
