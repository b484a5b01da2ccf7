"""Packing: records become parcels, each within the limits of one write."""

from __future__ import annotations

from dataclasses import dataclass, field

from tailrace.destination import Batch, Limits
from tailrace.pipeline.memory import Change
from tailrace.pipeline.settle import Track

Packed = tuple[str, bytes, bytes, Track, int, int, Change | None]
"""A record on its way: key, data, the update as it was read, its source, offset and line number, and
what becomes true of its profile when it is delivered."""


@dataclass(slots=True, eq=False)
class Parcel:
    """The records of one write."""

    records: list[Packed] = field(default_factory=list)
    size: int = 0
    """Bytes as the destination counts them."""
    held: int = 0
    """Bytes of memory held, the updates included."""

    def __len__(self) -> int:
        return len(self.records)

    def has_room(self, size: int, limits: Limits, held: int) -> bool:
        """Whether a record of that size may join; the first one always may. `held` bounds the memory."""
        return not self.records or (
            len(self.records) < limits.records and self.size + size <= limits.bytes and self.held <= held
        )

    def add(self, record: Packed, size: int) -> None:
        self.records.append(record)
        self.size += size
        self.held += len(record[1]) + len(record[2])

    def batch(self) -> Batch:
        """What is written of it."""
        return Batch([record[0] for record in self.records], [record[1] for record in self.records])


def held(data: bytes, line: bytes) -> int:
    """The bytes of memory that a record costs while it waits for its fate."""
    return len(data) + len(line)


def record_size(key: str, data: bytes, overhead: int) -> int:
    """The size of a record as the destination counts it; see `Limits`."""
    return len(data) + (len(key) if key.isascii() else len(key.encode())) + overhead
