"""Runs of whole numbers: the compact form of a set of line numbers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Runs:
    """A set of numbers as ascending runs that do not touch: `starts[i]` up to, not including,
    `ends[i]`."""

    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Runs:
        """The runs of numbers that come in any order."""
        starts: list[int] = []
        ends: list[int] = []
        for number in sorted(numbers):
            if ends and number <= ends[-1]:
                ends[-1] = max(ends[-1], number + 1)
            else:
                starts.append(number)
                ends.append(number + 1)
        return cls(tuple(starts), tuple(ends))

    @classmethod
    def union(cls, sets: Iterable[Runs], below: int) -> Runs:
        """Numbers lower than `below` that are in one of the sets or more."""
        starts: list[int] = []
        ends: list[int] = []
        for start, end in sorted(pair for runs in sets for pair in zip(runs.starts, runs.ends, strict=True)):
            if start >= below:
                break
            if ends and start <= ends[-1]:
                ends[-1] = max(ends[-1], min(end, below))
            else:
                starts.append(start)
                ends.append(min(end, below))
        return cls(tuple(starts), tuple(ends))

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self.starts, number) - 1
        return place >= 0 and number < self.ends[place]

    @property
    def total(self) -> int:
        """How many numbers are in the set."""
        return sum(self.ends) - sum(self.starts)

    def __len__(self) -> int:
        """The number of runs."""
        return len(self.starts)
