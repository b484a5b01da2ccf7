"""Which records go together: one key a batch, or one partition a batch, or as they come."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

from tailrace_eventhubs.hashmany import partitions_of


class Group(NamedTuple):
    """Records of one write that go the same way, in order. `sender` is the number of the connection; `key` is
    empty and `partition` None where the event has none."""

    sender: int
    partition: str | None
    key: str
    indices: Sequence[int]


Grouping = Callable[[Sequence[str]], list[Group]]
"""From the keys of a write to its groups."""


def by_key(senders: int) -> Grouping:
    """Keys are pinned to connections, so that events of one never overtake each other."""

    def group(keys: Sequence[str]) -> list[Group]:
        found: dict[str, list[int]] = {}
        for index, key in enumerate(keys):
            known = found.get(key)
            if known is None:
                found[key] = [index]
            else:
                known.append(index)
        return [Group(_pin(key) % senders, None, key, indices) for key, indices in found.items()]

    return group


def by_hash(senders: int, partitions: Sequence[str]) -> Grouping:
    """The partition that the service would choose for the key; the event then has no partition key."""
    size = len(partitions)

    def group(keys: Sequence[str]) -> list[Group]:
        found: dict[int, list[int]] = {}
        for index, number in enumerate(partitions_of(keys, size)):
            known = found.get(number)
            if known is None:
                found[number] = [index]
            else:
                known.append(index)
        return [Group(number % senders, partitions[number], "", found[number]) for number in sorted(found)]

    return group


def in_turn(senders: int) -> Grouping:
    """The service chooses a partition for each batch."""
    turn = count()

    def group(keys: Sequence[str]) -> list[Group]:
        return [Group(next(turn) % senders, None, "", range(len(keys)))]

    return group


def _pin(key: str) -> int:
    return zlib.crc32(key.encode("utf-8", "surrogatepass"))
