"""The ledger: the counts of one export. They always add up:

received + generated = delivered + filtered + unchanged + stale + superseded
                       + dead_lettered + pending
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePosition:
    """Where one source stands: all before `offset` (bytes of the decompressed stream) and `line`
    (1-based number of the next line) is settled."""

    source: str
    number: int
    offset: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Counts are profile updates, except `ambiguous_resends` and `retries`, which are sends, and
    `requests`. `seconds` is the run's wall time."""

    run: int | None = None
    received: int = 0
    generated: int = 0
    delivered: int = 0
    filtered: int = 0
    unchanged: int = 0
    stale: int = 0
    superseded: int = 0
    dead_lettered: int = 0
    pending: int = 0
    retries: int = 0
    ambiguous_resends: int = 0
    writes: int = 0
    spooled: int = 0
    """Lines of the input that were taken into the spool, and synced."""
    seconds: float = 0.0
    sources: tuple[SourcePosition, ...] = ()
    warnings: tuple[str, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Dead letters by reason."""

    @property
    def balanced(self) -> bool:
        """The invariant L."""
        return self.received + self.generated == (
            self.delivered
            + self.filtered
            + self.unchanged
            + self.stale
            + self.superseded
            + self.dead_lettered
            + self.pending
        )

    @property
    def exit_code(self) -> int:
        """5 where there are dead letters, else 0. A run that failed raises its own error."""
        return 5 if self.dead_lettered else 0

    def as_dict(self) -> dict[str, Any]:
        """The documented JSON shape."""
        return asdict(self)
