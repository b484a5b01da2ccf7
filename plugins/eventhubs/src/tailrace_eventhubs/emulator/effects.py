"""What each fault does to a delivery: whether the event is stored, what is answered, what breaks."""

from __future__ import annotations

from dataclasses import dataclass

from tailrace_eventhubs.emulator.performatives import MODIFIED, RELEASED, Condition, rejected

BUSY = Condition(
    "com.microsoft:server-busy",
    "The namespace is being throttled. Error code: 50002. Please wait 4 seconds and try again.",
)
DELETED = Condition("amqp:not-found", "The messaging entity could not be found. It was deleted.")
DISABLED = Condition(
    "com.microsoft:entity-disabled", "The messaging entity is currently disabled. Enable it and try again."
)
IDLE = Condition("amqp:connection:forced", "The connection was inactive for longer than is allowed.")
EXPIRED = Condition(
    "amqp:link:detach-forced", "The link is force detached. ExpiredToken: its token has expired; renew it."
)


@dataclass(frozen=True, slots=True)
class Effect:
    """`outcome` is the state answered, None for the usual acceptance (if `answered`)."""

    stored: bool = False
    answered: bool = True
    outcome: bytes | None = None
    breaks: str | None = None
    """What ends afterwards: `link`, `connection` (in order) or `transport` (cut)."""
    condition: Condition | None = None
    """Of the link or the connection that ends."""
    ms: float = 0.0
    """How long the answer, or the end, comes late, unless the script says otherwise."""


def _reject(symbol: str, description: str) -> Effect:
    return Effect(outcome=rejected(Condition(symbol, description)))


_DETACHED = Condition("amqp:link:detach-forced", "The link is force detached by the broker.")
_CLOSED = Condition("amqp:connection:forced", "The connection is closed by the broker.")

EFFECTS: dict[str, Effect] = {
    "server-busy": Effect(outcome=rejected(BUSY)),
    "throttle": Effect(outcome=rejected(BUSY)),
    "internal-error": _reject(
        "amqp:internal-error", "The service was unable to process the request; please retry."
    ),
    "timeout": _reject("com.microsoft:timeout", "The operation did not complete within the allotted time."),
    "quota-exceeded": _reject(
        "amqp:resource-limit-exceeded", "The maximum entity size has been reached or exceeded."
    ),
    "partition-unavailable": _reject("amqp:internal-error", "The partition is not available; please retry."),
    "rejected": _reject("amqp:not-allowed", "The message is not allowed."),
    "released": Effect(outcome=RELEASED),
    "modified": Effect(outcome=MODIFIED),
    "detach": Effect(answered=False, breaks="link", condition=_DETACHED),
    "detach-after": Effect(stored=True, answered=False, breaks="link", condition=_DETACHED),
    "close": Effect(answered=False, breaks="connection", condition=_CLOSED),
    "close-after": Effect(stored=True, answered=False, breaks="connection", condition=_CLOSED),
    "drop": Effect(answered=False, breaks="transport"),
    "drop-after": Effect(stored=True, answered=False, breaks="transport"),
    "lost-ack": Effect(stored=True, answered=False, breaks="transport", ms=200.0),
    "delay-ack": Effect(stored=True, ms=20.0),
    "no-answer": Effect(answered=False),
    "no-answer-after": Effect(stored=True, answered=False),
    "token-expired": Effect(answered=False, breaks="link", condition=EXPIRED),
    "hub-disabled": Effect(answered=False),
    "hub-deleted": Effect(answered=False),
}
"""By the name of the fault. `hub-disabled` and `hub-deleted` also change the hub for good, which detaches
its links."""
