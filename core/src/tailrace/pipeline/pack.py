"""Packing: records become parcels, each within the limits of one write."""

from __future__ import annotations

from dataclasses import dataclass, field

from tailrace.destination import Batch
from tailrace.pipeline.settle import Group

Packed = tuple[str, bytes, bytes, int, int]
"""A record on its way: key, data, the update as it was read, its offset and line number."""


@dataclass(slots=True)
class Parcel:
    """The records of one write. All of them belong to `group`."""

    group: Group
    records: list[Packed] = field(default_factory=list)
    size: int = 0
    """Bytes as the destination counts them."""
    held: int = 0
    """Bytes of memory held, the updates included."""

    def __len__(self) -> int:
        return len(self.records)

    def batch(self) -> Batch:
        """What is written of it."""
        keys, data, *_ = zip(*self.records, strict=True)
        return Batch(keys, data)


def held(data: bytes, line: bytes) -> int:
    """The bytes of memory that a record costs while it waits for its fate."""
    return len(data) + len(line)


def record_size(key: str, data: bytes, overhead: int) -> int:
    """The size of a record as the destination counts it; see `Limits`."""
    return len(data) + (len(key) if key.isascii() else len(key.encode())) + overhead
