"""The tally: what became of updates, by the part of the state that their profile belongs to.

An update whose profile is not known, since it is filtered or cannot be read, belongs to part 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from tailrace.ledger import Ledger
from tailrace.store.journal import PARTS


class Tally:
    """`delivered`, `unchanged` and `stale` count by part, `letters` by part and reason."""

    def __init__(self, origin: Literal["received", "generated"] = "received") -> None:
        """`origin` says which count they all come from."""
        self._origin = origin
        self.delivered = [0] * PARTS
        self.unchanged = [0] * PARTS
        self.stale = [0] * PARTS
        self.letters: list[Counter[str]] = [Counter() for _ in range(PARTS)]

    @property
    def known(self) -> int:
        """Updates that were not exported, for what is remembered of their profile."""
        return sum(self.unchanged) + sum(self.stale)

    def reasons(self) -> dict[str, int]:
        """Dead letters by reason."""
        return dict(sum(self.letters, Counter()))

    def shares(self, ledger: Ledger, pending: Sequence[int]) -> list[dict[str, Any]]:
        """The counts of a ledger by part, of which each has so many pending updates. Part 0 has what
        no other part has. They add up to the ledger."""
        shares = [self._share(part, pending[part]) for part in range(1, len(pending))]
        first = ledger.as_dict()
        for share in shares:
            for name, count in share.items():
                if name != "reasons":
                    first[name] -= count
        first["reasons"] = dict(self.letters[0]) if shares else first["reasons"]
        return [first, *shares]

    def _share(self, part: int, pending: int) -> dict[str, Any]:
        counts = {
            "delivered": self.delivered[part],
            "unchanged": self.unchanged[part],
            "stale": self.stale[part],
            "dead_lettered": self.letters[part].total(),
            "pending": pending,
        }
        return {self._origin: sum(counts.values()), **counts, "reasons": dict(self.letters[part])}
