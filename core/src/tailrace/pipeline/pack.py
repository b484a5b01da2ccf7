"""Packing: records become parcels, each within the limits of one write."""

from __future__ import annotations

from dataclasses import dataclass, field

from tailrace.pipeline.settle import Group


@dataclass(slots=True)
class Parcel:
    """The records of one write, in parallel lists: key, data, and where each came from (the update
    as it was read, its offset and line number). All of them belong to `group`."""

    group: Group
    keys: list[str] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    size: int = 0
    """Bytes as the destination counts them."""
    held: int = 0
    """Bytes of memory held, the updates included."""

    def __len__(self) -> int:
        return len(self.data)

    def add(self, key: str, data: bytes, line: bytes, offset: int, number: int, size: int) -> None:
        self.keys.append(key)
        self.data.append(data)
        self.lines.append(line)
        self.offsets.append(offset)
        self.numbers.append(number)
        self.size += size
        self.held += len(data) + len(line)


def held(data: bytes, line: bytes) -> int:
    """The bytes of memory that a record costs while it waits for its fate."""
    return len(data) + len(line)


def record_size(key: str, data: bytes, overhead: int) -> int:
    """The size of a record as the destination counts it; see `Limits`."""
    return len(data) + (len(key) if key.isascii() else len(key.encode())) + overhead
