"""Endings: with which of its errors an export ends."""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.errors import Interrupted, TailraceError

PRECEDENCE = (130, 7, 4, 3, 6, 8)
"""Exit codes, the one first that an export ends with when there are several errors."""


def first_of(errors: Sequence[TailraceError]) -> TailraceError:
    """The error that is told."""
    order = {code: place for place, code in enumerate(PRECEDENCE)}
    return min(errors, key=lambda error: order.get(error.exit_code, len(order)))


def stopped() -> Interrupted:
    """That of an export that was told to stop."""
    return Interrupted(
        "the export was stopped",
        hint="what was read and not delivered is pending; the rest was not read",
    )
