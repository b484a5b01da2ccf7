"""What the server says of a delivery, as the SDK decodes it."""

from __future__ import annotations

from typing import Any

from tailrace_eventhubs.sending.submissions import Outcome


def condition_of(error: Any) -> str | None:
    """The condition of an AMQP error."""
    code = error[0] if error else None
    return code.decode("ascii", "replace") if isinstance(code, bytes) else code


def outcome_of(state: Any) -> Outcome | None:
    """What a delivery state says."""
    if not isinstance(state, dict):
        return Outcome("unanswered")
    if "accepted" in state:
        return None
    if "rejected" in state:
        return Outcome("rejected", condition_of((state["rejected"] or [None])[0]))
    if "modified" in state:
        return Outcome("modified")
    return Outcome("released") if "released" in state else Outcome("unanswered")
