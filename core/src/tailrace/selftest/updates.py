"""The updates of a row, and what they would become. Whatever is personal in them begins with a canary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.client import Tailrace
    from tailrace.faults import FaultRow

SEGMENT = "7841ba61-23c1-4bb3-a495-00d695fe1e93"
OTHER = "59bd2fcd-3c48-4b18-bf56-4f5c5e6967ae"
ATTRIBUTE = "person.name.firstName"
CANARY = "canary-person"
FILTERED = 2
"""Updates of another segment that follow the row's own: they may never be sent."""


def key_of(number: int) -> str:
    return f"{CANARY}-{number:05d}"


def update(number: int, *, key: object = None, segment: str = SEGMENT, padding: int = 0) -> bytes:
    """One profile update, a line without its end."""
    value = {
        "identityMap": {"ecid": [{"id": key_of(number) if key is None else key}]},
        "segmentMembership": {
            "ups": {segment: {"lastQualificationTime": "2026-01-01T00:00:00Z", "status": "realized"}}
        },
        "person": {"name": {"firstName": f"{CANARY} {number:05d} " + "x" * padding}},
    }
    return json.dumps(value, separators=(",", ":")).encode()


def made_for(row: FaultRow, client: Tailrace, activation: str) -> list[bytes]:
    """The updates of a row, and the filtered ones after them."""
    padding: dict[int, int] = {}
    for number, size in row.sizes.items():
        [plain] = client.preview(activation, [update(number)])
        padding[number] = size - len(plain.data) - len(plain.key.encode())
    own = [update(n, key=row.keys.get(n), padding=padding.get(n, 0)) for n in range(row.updates)]
    return own + [update(row.updates + n, segment=OTHER) for n in range(FILTERED)]


def expected_of(
    client: Tailrace, activation: str, lines: Sequence[bytes], limit: int
) -> Mapping[int, tuple[str, bytes]]:
    """What the updates become, by line number: key and exact bytes. One that is filtered or invalid
    is not there."""
    previews = client.preview(activation, list(lines), max_line_bytes=limit)
    return {each.line: (each.key, each.data) for each in previews}
