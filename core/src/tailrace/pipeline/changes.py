"""Telling changes: which of the selected updates differ from what was last delivered of their profile.

An update is compared when nothing of its profile is on its way; until then it waits in the profile's
lane. So it is compared with what really arrived, whatever became of the records before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tailrace.pipeline.compile import Compiled, InvalidUpdate
from tailrace.pipeline.delivery import Settled
from tailrace.pipeline.identities import Found
from tailrace.pipeline.lanes import Entry, Lanes, Name
from tailrace.pipeline.lines import Made
from tailrace.pipeline.memory import Change, Memory
from tailrace.pipeline.pack import Packed
from tailrace.pipeline.profiles import SIZE
from tailrace.pipeline.remembering import Rules, changes, doubtful, remembered_place, value_of
from tailrace.pipeline.settle import Replay, Track
from tailrace.pipeline.sketch import Sketch, Sketcher
from tailrace.pipeline.tally import Tally
from tailrace.pipeline.version import Version
from tailrace.store.journal import part_of

Keep = Callable[[str, Any, "Found | None", bytes], bytes]
"""From a partition key, a selected update, its identities and its line to what is kept of the profile for its
exits."""


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
        keep: Keep | None = None,
    ) -> None:
        """With `by_key` records of one partition key go out one after the other, too. `keep` gives what is
        kept of a profile for its exits."""
        self._glance = sketcher.glance
        self._profile = sketcher.profile
        self._quick = sketcher.quick
        self._sketch = sketcher.sketch
        self._look = compiled.look
        self._complete = compiled.complete
        self._encode = compiled.encode
        self.memory = memory
        self._rules = rules
        self._lanes = lanes
        self._tally = tally
        self._by_key = by_key
        self._keep = keep

    def detect(self, update: Any, line: bytes, track: Track, offset: int, number: int) -> Packed | None:
        """The record of an update that was looked at and differs; nothing of its profile is on its way.
        None: it does not differ and is counted, or it waits to be compared. Raises InvalidUpdate."""
        quick = self._quick(update)
        profile = self._glance(update, line)
        busy, remembered = False, None
        if profile is not None:
            busy = self._lanes.is_busy(profile)
            if not busy:
                remembered = self.memory.get(profile, quick)
                if remembered is not None and remembered.startswith(quick):
                    if not track.replayed:
                        self._count(profile, None)
                        return None
                    remembered = self.memory.get(profile)  # what else it says counts, and is to be checked
        key, update, found = self._complete(update, line)
        if profile is None:
            profile = self._profile(found)
            if profile is None:
                return key, self._encode(update), line, track, offset, number, None
            busy = self._lanes.is_busy(profile)
            remembered = None if busy else self.memory.get(profile)
        if busy:
            record = (key, self._encode(update), line, track, offset, number, None)
            self._wait(
                profile, self._sketch(update, found, quick), record, self._kept(key, update, found, line)
            )
            return None
        again = self._again(profile, remembered, line, track, offset, number) if track.replayed else None
        if again:
            self._count(profile, again)
            return None
        sketch = self._sketch(update, found, quick)
        groups = changes(sketch, remembered, self._rules)
        if not groups:
            self._count(profile, again)
            return None
        record = (key, self._encode(update), line, track, offset, number, None)
        kept = None if self._keep is None else self._keep(key, update, found, line)
        return self._changed(profile, sketch, remembered, groups, record, kept)

    def made(self, made: Made, line: bytes, track: Track, offset: int, number: int) -> Packed | None:
        """The same for an update of which all was made that can be, in a source that is read for the first
        time."""
        profile, sketch = made.profile, made.sketch
        quick = sketch.digests[:SIZE]
        record = (made.key, made.data, line, track, offset, number, None)
        if self._lanes.is_busy(profile):
            self._wait(profile, sketch, record, None)
            return None
        remembered = self.memory.get(profile, quick)
        if remembered is not None and remembered.startswith(quick):
            self._count(profile, None)
            return None
        groups = changes(sketch, remembered, self._rules)
        if not groups:
            self._count(profile, None)
            return None
        return self._changed(profile, sketch, remembered, groups, record, None)

    def _changed(
        self,
        profile: bytes,
        sketch: Sketch,
        remembered: bytes | None,
        groups: Sequence[str],
        record: Packed,
        kept: bytes | None,
    ) -> Packed | None:
        """The record of an update that differs in these groups. None: it waits, or is stale and counted."""
        key, data, line, track, offset, number, _ = record
        others = [other for other in sketch.others if other != profile] if "identities" in groups else []
        if others and any(map(self._lanes.is_busy, others)):
            self._wait(profile, sketch, record, kept)
            return None
        if others and self._overtakes(others, track, offset):
            self._count(profile, True)
            return None
        value = value_of(sketch, track.place(offset), remembered)
        return key, data, line, track, offset, number, Change(profile, value, others, others, False, kept)

    def knows(self, mark: bytes) -> bool:
        """Whether the update of which there is that mark is what was delivered last; then it is counted."""
        profile, quick = mark[:SIZE], mark[SIZE:]
        if self._lanes.is_busy(profile):
            return False
        remembered = self.memory.get(profile, quick)
        if remembered is None or not remembered.startswith(quick):
            return False
        self._count(profile, None)
        return True

    def compare(self, entry: Entry) -> Packed | None:
        """The same for an update that has waited, and is now the first of its lanes."""
        profile, sketch = entry.profile, entry.sketch
        assert profile is not None
        assert sketch is not None
        key, _, line, track, offset, number, _ = entry.record
        held = [other for other in sketch.others if other != profile]
        remembered = self.memory.get(profile)
        again = self._again(profile, remembered, line, track, offset, number) if track.replayed else None
        groups = [] if again else changes(sketch, remembered, self._rules)
        others = held if "identities" in groups else []
        if others and self._overtakes(others, track, offset):
            groups, again = [], True
        if not groups:
            self._count(profile, again)
            self._lanes.settled((key, profile, *held))
            return None
        value = value_of(sketch, track.place(offset), remembered)
        return (*entry.record[:6], Change(profile, value, others, held, kept=entry.kept))

    def let_go(self, record: Packed) -> None:
        """A record that was the first in its lanes is not sent."""
        change = record[6]
        self._lanes.settled((record[0],) if change is None else (record[0], change.profile, *change.held))

    def settled(self, settled: Sequence[Settled], delivered: bool) -> None:
        """Records have met their fate. What is remembered changes before what waits is released."""
        names: list[Name] = [key for key, _ in settled] if self._by_key else []
        counts, arrived = self._tally.delivered, self.memory.delivered
        for _, change in settled:
            if change is None:
                continue
            names.append(change.profile)
            if change.held:
                names += change.held
            if delivered:
                counts[part_of(change.profile)] += 1
                arrived(change)
            elif change.in_doubt:  # it may be there all the same
                self.memory.forget(change.profile)
        self._lanes.settled(names)

    def doubt(self, change: Change) -> None:
        """Nobody knows, at the end of a run, whether the record of that change has arrived."""
        before = self.memory.get(change.profile)
        if before is not None:
            self.memory.delivered(Change(change.profile, doubtful(before, change.value), [], []))

    def part(self, line: bytes) -> int:
        """The part of the state that a line belongs to."""
        try:
            update = self._look(line)
            if update is None:
                return 0
            profile = self._glance(update, line)
            found = self._complete(update, line).found  # a dead letter belongs to part 0
            if profile is None:
                profile = self._profile(found)
        except InvalidUpdate:
            return 0
        return 0 if profile is None else part_of(profile)

    def _wait(self, profile: bytes, sketch: Sketch, record: Packed, kept: bytes | None) -> None:
        """Until nothing of the profile is on its way, and of none that it may have been before: what
        becomes of those is to be known first, and they are to wait for this one."""
        names: dict[Name, None] = {record[0]: None} if self._by_key else {}
        names |= dict.fromkeys((profile, *sketch.others))
        self._lanes.join(Entry(record, 0, profile, sketch, kept), names)

    def _kept(self, key: str, update: Any, found: Found | None, line: bytes) -> bytes | None:
        return None if self._keep is None else self._keep(key, update, found, line)

    def _again(
        self,
        profile: bytes,
        remembered: bytes | None,
        line: bytes,
        track: Track,
        offset: int,
        number: int,
        version: Version | None = None,
    ) -> bool | None:
        """Of an update that met its fate before and is read once more: whether it is older than what is
        remembered, or else the very one. None: it is neither. Of another source it is older, as it was
        read before what was delivered last."""
        if track.replay is not None:
            return None if remembered is None else self._is_newer(track.replay, remembered, offset, version)
        length = len(line.removesuffix(b"\n"))
        if remembered is None or not track.is_again(part_of(profile), number, length):
            return None
        place, last = track.place(offset), remembered_place(remembered)
        if place == last:
            return False
        return True if place < last or place[:4] != last[:4] else None

    def _is_newer(
        self, replay: Replay, remembered: bytes, offset: int, version: Version | None
    ) -> bool | None:
        """Whether what is remembered is newer than an update that is back-filled; see `Replay`."""
        return replay.is_newer(remembered, offset)

    def _overtakes(
        self, others: Sequence[bytes], track: Track, offset: int, version: Version | None = None
    ) -> bool:
        """Whether an update that is back-filled is older than what was delivered under another of its
        identities, which would be forgotten."""
        replay = track.replay
        if replay is None:
            return False
        known = [value for other in others if (value := self.memory.get(other)) is not None]
        return any(self._is_newer(replay, value, offset, version) for value in known)

    def _count(self, profile: bytes, again: bool | None) -> None:
        """An update is not exported."""
        counts = self._tally.unchanged if again is None else self._tally.stale
        counts[part_of(profile)] += 1
