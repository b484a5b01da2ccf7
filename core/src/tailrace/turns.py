"""The order in which the sources of an activation were read, for a back-fill: nothing that it sends may be
older than what was delivered already.

A source with a higher number was opened later. But one with a lower number may be read on after that, so
each source has its turns: from which offset on it was read when which number was the highest. The *rank*
of a place is that number. Of two places in different sources the one of the higher rank was read later;
where the ranks are equal nobody knows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

import msgspec

from tailrace.pipeline.remembering import place_parts
from tailrace.pipeline.settle import Replay
from tailrace.store.journal import Journal

TURNS = "turns-"

Turns = list[tuple[int, int]]
"""Ascending: an offset, and the highest number of a source when reading went on there."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Turns).decode


def begin_turn(journal: Journal, source: int, offset: int, highest: int) -> None:
    """The source of that number is read on from an offset, and sources up to `highest` were opened. It is
    stored before anything of it is sent. Raises StateError."""
    turns = _turns(journal, source)
    if highest <= (turns[-1][1] if turns else source):
        return  # none was opened since it was read last
    kept = [turn for turn in turns if turn[0] < offset]
    journal.keep({f"{TURNS}{source}": _encode([*kept, (offset, highest)])})


def ranks(journal: Journal) -> Callable[[int, int], int]:
    """What gives the rank of a place: source number and offset. Sources are not read meanwhile."""
    known: dict[int, Turns] = {}

    def rank(source: int, offset: int) -> int:
        turns = known.get(source)
        if turns is None:
            turns = known[source] = _turns(journal, source)
        before = bisect_right(turns, offset, key=lambda turn: turn[0])
        return turns[before - 1][1] if before else source

    return rank


def replay_of(number: int, rank: Callable[[int, int], int]) -> Replay:
    """How updates at places of that source compare with what is remembered, by their places. Where it is
    not known which is newer, what was delivered counts as newer."""

    def is_newer(remembered: bytes, offset: int) -> bool | None:
        source, delivered = place_parts(remembered)
        if source == number:
            return False if delivered == offset else (delivered > offset or None)
        return rank(source, delivered) >= rank(number, offset) or None

    return Replay(number, is_newer)


def _turns(journal: Journal, source: int) -> Turns:
    stored = journal.setting(f"{TURNS}{source}")
    return [] if stored is None else _decode(stored)
