"""Abilities that rows need. A row whose ability is not in `BUILT` is `not built`: adding the word turns
it on."""

from __future__ import annotations

BUILT: frozenset[str] = frozenset({"breaker", "checkpoints", "order", "pacing", "pauses", "state"})

FEATURES = {
    "breaker": "a circuit breaker with half-open probes",
    "checkpoints": "checkpoints, so that an export continues where it ended",
    "order": "order of the records of one key",
    "pacing": "pacing of each congested part by itself",
    "pauses": "pauses that wait until it is granted, and go on",
    "replay": "replay",
    "state": "the state of profiles, which can be damaged",
    "suppression": "suppression of profiles",
}


def lacks(need: str | None) -> str | None:
    """What a row waits for, in words; None where nothing is missing."""
    return None if need is None or need in BUILT else FEATURES.get(need, need)
