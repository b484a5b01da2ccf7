"""Profile updates that the tests make, and the arithmetic of a ledger."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

SEGMENT = "7841ba61-23c1-4bb3-a495-00d695fe1e93"
OTHER = "59bd2fcd-3c48-4b18-bf56-4f5c5e6967ae"
CANARY = "canary-person"
"""Begins the first name of everybody: personal data that may show where it is asked for only."""


def update(
    number: int, fields: Mapping[str, object] | None = None, *, segment: str = SEGMENT, size: int = 0
) -> bytes:
    """One profile update as a line without its end, padded by an exported attribute to `size` bytes
    more. A field given as None is left out."""
    value: dict[str, object] = {
        "identityMap": {"ecid": [{"id": f"id-{number}"}]},
        "segmentMembership": {
            "ups": {segment: {"lastQualificationTime": "2026-01-01T00:00:00Z", "status": "realized"}}
        },
        "person": {"name": {"firstName": f"{CANARY}-{number}" + "x" * size}},
    }
    value |= fields or {}
    kept = {name: each for name, each in value.items() if each is not None}
    return json.dumps(kept, separators=(",", ":")).encode()


def updates(count: int, start: int = 0, *, size: int = 0) -> bytes:
    return b"".join(update(number, size=size) + b"\n" for number in range(start, start + count))


def keys(count: int, start: int = 0) -> list[str]:
    """The partition keys of `updates`."""
    return sorted(f"id-{number}" for number in range(start, start + count))


def count_of(ledger: Mapping[str, Any]) -> dict[str, int]:
    """The terms of a ledger that are not zero."""
    names = ("received", "generated", "delivered", "filtered", "unchanged", "stale", "superseded")
    return {name: ledger[name] for name in (*names, "dead_lettered", "pending") if ledger[name]}


def balanced(ledger: Mapping[str, Any]) -> bool:
    counts = Counter(count_of(ledger))
    into = counts["received"] + counts["generated"]
    return into == sum(counts.values()) - into
