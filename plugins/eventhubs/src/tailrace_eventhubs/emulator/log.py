"""What a hub keeps: for each partition a log of what was stored, up to a number of bytes.

A batch is one segment of a log, raw. When a partition holds more than its cap, its oldest segments go, so
that memory stays flat however much is sent.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tailrace_eventhubs.emulator.decode import Malformed
from tailrace_eventhubs.emulator.messages import (
    BATCH,
    application,
    body,
    count,
    key_of,
    properties,
    readable,
    split,
)

_OVERHEAD = 256  # bytes that a segment costs beside its content, about
_STRIDE = 64  # an offset is a place in bytes, not a sequence number: nobody may take one for the other


@dataclass(frozen=True, slots=True)
class Accepted:
    """One event on a partition. What it holds is read out of its bytes when asked for."""

    partition: str
    sequence: int
    offset: str
    enqueued: int
    """Milliseconds since 1970, by the server's clock."""
    key: str | None
    raw: bytes = field(repr=False)

    @property
    def body(self) -> bytes:
        return body(self.raw)

    @property
    def properties(self) -> dict[str, object]:
        """The application properties."""
        return application(self.raw)

    @property
    def system(self) -> dict[str, object]:
        """The properties of the standard that are set: `content-type`, `message-id`, …"""
        return properties(self.raw)


@dataclass(slots=True)
class Segment:
    """What one delivery brought."""

    ordinal: int
    partition: int
    first: int
    count: int
    enqueued: int
    key: str | None
    raw: bytes
    batch: bool

    def events(self) -> list[bytes]:
        return [readable(event) for event in (split(self.raw) if self.batch else [self.raw])]

    def accepted(self) -> Iterator[Accepted]:
        for sequence, raw in enumerate(self.events(), self.first):
            key = self.key if self.key is not None or not self.batch else key_of(raw)
            yield Accepted(str(self.partition), sequence, offset_of(sequence), self.enqueued, key, raw)


def events_in(message_format: int, raw: bytes) -> int:
    """How many events a message holds. Raises Malformed."""
    found = count(raw) if message_format == BATCH else len(raw)
    if not found:
        raise Malformed("a message is empty")
    return found if message_format == BATCH else 1


def offset_of(sequence: int) -> str:
    return str(sequence * _STRIDE)


class Partition:
    """The log of one partition: sequence numbers from `begin` up to `end`, which is not there yet."""

    def __init__(self, number: int, cap: int) -> None:
        self.number = number
        self.end = 0
        self.enqueued = 0
        self.held = 0
        """Bytes that are kept, about."""
        self.watchers: set[Callable[[], None]] = set()
        self._cap = cap
        self._segments: list[Segment] = []
        self._gone = 0  # segments at the front that are dropped; the list is cut now and then

    @property
    def begin(self) -> int:
        return self._segments[self._gone].first if self._gone < len(self._segments) else self.end

    def append(self, segment: Segment) -> None:
        self._segments.append(segment)
        self.end = segment.first + segment.count
        self.enqueued = segment.enqueued
        self.held += len(segment.raw) + _OVERHEAD
        while self.held > self._cap and self._gone < len(self._segments) - 1:
            self._forget()
        for wake in self.watchers:
            wake()

    def segment(self, sequence: int) -> Segment | None:
        """The segment that holds an event, or the oldest one if the event is gone; None past the end."""
        if sequence >= self.end or self._gone >= len(self._segments):
            return None
        at = bisect_right(self._segments, sequence, self._gone, key=lambda segment: segment.first)
        return self._segments[max(at - 1, self._gone)]

    def segments(self) -> list[Segment]:
        return self._segments[self._gone :]

    def at_offset(self, offset: int) -> int:
        return min(max(-(-offset // _STRIDE), self.begin), self.end)

    def at_time(self, milliseconds: int) -> int:
        at = bisect_left(self._segments, milliseconds, self._gone, key=lambda segment: segment.enqueued)
        return self._segments[at].first if at < len(self._segments) else self.end

    def _forget(self) -> None:
        self.held -= len(self._segments[self._gone].raw) + _OVERHEAD
        self._segments[self._gone] = _DROPPED
        self._gone += 1
        if self._gone > 1024 and self._gone * 2 > len(self._segments):
            del self._segments[: self._gone]
            self._gone = 0


_DROPPED = Segment(-1, -1, -1, 0, 0, None, b"", False)


class HubLog:
    """The partitions of one hub; a number on each segment tells in which order they took them."""

    def __init__(self, partitions: int, cap: int) -> None:
        self.partitions = [Partition(number, cap) for number in range(partitions)]
        self.stored = 0
        """Events, since the beginning."""
        self._ordinal = 0

    def append(self, partition: int, raw: bytes, events: int, key: str | None, batch: bool, now: int) -> None:
        log = self.partitions[partition]
        self._ordinal += 1
        self.stored += events
        log.append(Segment(self._ordinal, partition, log.end, events, now, key, raw, batch))

    def segments(self) -> list[Segment]:
        """What is kept, in the order in which it came."""
        kept = [segment for log in self.partitions for segment in log.segments()]
        return sorted(kept, key=lambda segment: segment.ordinal)
