"""Tracks: the sources of a run, what of them is kept a checkpoint of, and where each of them stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from tailrace.ledger import SourcePosition
from tailrace.pipeline.settle import Place, Replay, Track, Unsettled
from tailrace.store.journal import Checkpoint

MOST = 100
"""Where there is no end of sources, those that are settled are forgotten beyond so many."""

Waiting = Mapping[Track, Sequence[Sequence[Place]]]
"""What was read and has not met its fate, by source and part of the state."""


class Tracks:
    """`checkpoints_of`, `read_again` and `replay_of` tell of a source's number what `Track` is given."""

    def __init__(
        self,
        checkpoints_of: Callable[[int], Sequence[Checkpoint | None]],
        read_again: Callable[[int], Sequence[Checkpoint | None]],
        replay_of: Callable[[int], Replay | None] = lambda number: None,
        *,
        again: bool,
        parts: int,
    ) -> None:
        """With `again` a source may come more than once, and there is no end of them."""
        self._checkpoints_of = checkpoints_of
        self._read_again = read_again
        self._replay_of = replay_of
        self._again = again
        self._parts = parts
        self._by_number: dict[int, Track] = {}
        """The last one is the one that is read."""
        self._kept: list[Track] = []
        """Sources with a checkpoint that may still move."""

    def open(self, number: int, name: str, *, kept: bool) -> Track | None:
        """The track of a source; None where it was named before, and is not read again."""
        if number in self._by_number and not self._again:
            return None
        track = self._by_number.pop(number, None)
        if track is None:
            since, again = self._checkpoints_of(number), self._read_again(number)
            track = Track(name, number, since, again, self._replay_of(number))
        self._by_number[number] = track
        if kept and track not in self._kept:
            self._kept.append(track)
        return track

    def unsettled(self, held: Iterable[Iterable[Unsettled]]) -> Waiting:
        """All that is held, by source and part of the state."""
        found: dict[Track, list[list[Place]]] = {
            track: [[] for _ in range(self._parts)] for track in self._by_number.values()
        }
        for each in held:
            for track, part, number, offset in each:
                found[track][part].append((number, offset))
        return found

    def checkpoints(self, part: int, unsettled: Waiting) -> dict[int, Checkpoint]:
        """Where to go on with a part of the sources that are kept."""
        return {track.number: track.checkpoint(part, unsettled[track][part]) for track in self._kept}

    def committing(self, unsettled: Waiting) -> None:
        """All commits before have come to their end, and the next one holds these checkpoints."""
        if self._again:
            settled = [track for track in self._by_number.values() if track not in self._kept]
            for track in settled[: max(0, len(self._by_number) - MOST)]:
                del self._by_number[track.number]
        # A source that was read to its end and is settled does not change any more.
        self._kept = [track for track in self._kept if track is self.current or any(unsettled[track])]

    def positions(self, unsettled: Waiting) -> tuple[SourcePosition, ...]:
        return tuple(track.position(unsettled[track]) for track in self._by_number.values())

    def committed(self, positions: Iterable[SourcePosition]) -> tuple[SourcePosition, ...]:
        """Where the sources stood at a commit that had these positions."""
        known = {position.number: position for position in positions}
        return tuple(known.get(track.number, track.start) for track in self._by_number.values())

    @property
    def counts(self) -> tuple[int, int]:
        """How many there are, and how many are kept."""
        return len(self._by_number), len(self._kept)

    @property
    def current(self) -> Track | None:
        return next(reversed(self._by_number.values()), None)

    @property
    def were_known(self) -> bool:
        """Whether an earlier run has read of any of them."""
        return any(track.known_line for track in self._by_number.values())
