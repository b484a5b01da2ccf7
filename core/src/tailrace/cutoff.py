"""Dead letters of runs whose process died: they are written, and their lines may not be settled.

Such a line is read again, by the next run or a later one. Its letter is there already, so it is counted
and not written again, however many runs are cut off before it is settled.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tailrace.deadletters import DeadLetters
from tailrace.store.journal import Journal

LEFT = "letters-left"
"""The runs whose letters are still to be looked at."""

_decode = msgspec.json.Decoder(list[int]).decode


def letters_left(
    journal: Journal, letters: DeadLetters, cut_off: Iterable[int]
) -> frozenset[tuple[int, int]]:
    """Source number and offset of letters whose line is not settled: of the runs `cut_off`, which were
    not told of before, and of earlier ones. When it returns the journal knows these runs. Raises
    StateError."""
    stored = journal.setting(LEFT)
    before = [] if stored is None else _decode(stored)
    settled: dict[int, int] = {}
    left: dict[int, set[tuple[int, int]]] = {}
    for run in sorted({*before, *cut_off}):
        for number, offset in letters.positions(run):
            if not number:
                continue  # of an exit, which no source held: its member is told of, or is one still
            if number not in settled:
                checkpoint = journal.checkpoint(number)
                settled[number] = 0 if checkpoint is None else checkpoint.offset
            if offset >= settled[number]:
                left.setdefault(run, set()).add((number, offset))
    if [*left] != before:
        journal.keep({LEFT: msgspec.json.encode([*left])})
    return frozenset().union(*left.values())
