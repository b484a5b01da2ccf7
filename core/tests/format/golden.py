"""Golden cases, written by hand: one update, the options of an activation, and the exact outcome.

A case of a `.golden` file is a block of lines, each a word, a space, and its text unchanged:

    == title
    activation {JSON: `segments` as for --segment, `mapping` [created, updated], `key`, `hash`,
                `missing`, and the options of an activation under their own names}
    update <the line>
    record <the bytes>, or `filtered`, or `dead-letter <reason>`
    key <the partition key; without this line it is random>
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tailrace import Activation, Segment

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
FOLDER = Path(__file__).with_name("goldens")


@dataclass(frozen=True)
class Golden:
    title: str
    options: dict[str, Any]
    update: bytes
    record: bytes | None
    key: str | None
    reason: str | None

    @property
    def activation(self) -> Activation:
        options = {k: v for k, v in self.options.items() if k not in {"key", "hash", "missing"}}
        return make_activation(**options)


def make_activation(
    segments: list[str],
    attributes: list[str] | None = None,
    identities: list[str] | None = None,
    mapping: tuple[int, int] = (0, 0),
    **options: Any,
) -> Activation:
    """An activation of those options and made-up ids."""
    created, updated = mapping
    return Activation(
        id="01890000-0000-7000-8000-000000000001",
        name="hot",
        version=1,
        connection_id="01890000-0000-7000-8000-000000000002",
        connection="leads",
        destination="none",
        segments=tuple(
            replace(Segment.parse(text), created_at=created, updated_at=updated) for text in segments
        ),
        attributes=tuple(attributes or ()),
        identities=None if identities is None else tuple(identities),
        created_at=WHEN,
        updated_at=WHEN,
        **options,
    )


def load() -> list[Golden]:
    """All cases of all files, in order."""
    cases = [case for path in sorted(FOLDER.glob("*.golden")) for case in _cases(path)]
    assert len({case.title for case in cases}) == len(cases), "two golden cases have one title"
    return cases


def _cases(path: Path) -> Iterator[Golden]:
    for block in path.read_bytes().strip(b"\n").split(b"\n\n"):
        fields = dict(line.partition(b" ")[::2] for line in block.split(b"\n"))
        assert len(fields.keys() & {b"record", b"filtered", b"dead-letter"}) == 1, block
        yield Golden(
            title=f"{path.stem}: {fields[b'=='].decode()}",
            options=json.loads(fields[b"activation"]),
            update=fields[b"update"],
            record=fields.get(b"record"),
            key=fields[b"key"].decode() if b"key" in fields else None,
            reason=fields[b"dead-letter"].decode() if b"dead-letter" in fields else None,
        )
