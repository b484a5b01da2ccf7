"""Records to send again, and when. Those that were refused for what is congested (part of the place, or all)
wait for that, and for nothing else.

A destination names what is congested by `Failure.domain`, which is never looked into.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tailrace.destination import Failure, Limits
from tailrace.pipeline.memory import Change
from tailrace.pipeline.pack import held, record_size
from tailrace.pipeline.retry import Budget, Pace
from tailrace.pipeline.settle import Track

RIDE_AFTER = 0.2
RIDE_LATEST = 1.0
COMPANY = 15
"""Refused records wait for others, so that they go together and do not cost a request each time: until they
fill one, or RIDE_AFTER seconds have passed and COMPANY writes have begun or there is nothing else to write,
or RIDE_LATEST seconds have passed."""

MOST = 256
"""Domains that are told apart; the records of further ones wait together with those of none."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A record that was refused and is to be sent again; `domain` is what it was refused for."""

    key: str
    data: bytes
    line: bytes
    track: Track
    offset: int
    number: int
    change: Change | None
    domain: str | None = None

    @property
    def held(self) -> int:
        return held(self.data, self.line)


@dataclass(slots=True)
class Queue:
    """What waits for one domain. While it refuses, one write at a time holds records of it."""

    pace: Pace
    records: deque[Waiting] = field(default_factory=deque)
    since: float = 0.0
    writes: int = 0
    """When the first of them came, and how many writes had begun by then."""
    under_way: int = 0

    @property
    def probing(self) -> bool:
        return self.under_way > 0 and self.pace.refusing


class Riders:
    """The queues of all domains, and of what was refused for none."""

    def __init__(self, limits: Limits, draw: Callable[[], float] = random.random) -> None:
        self._limits = limits
        self._draw = draw
        self._queues: dict[str | None, Queue] = {}
        self._budget = Budget()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def put(self, records: Sequence[Waiting], now: float, writes: int) -> None:
        """These were refused, when so many writes had begun."""
        for record in records:
            queue = self._queue_of(record)
            if not queue.records:
                queue.since, queue.writes = now, writes
            queue.records.append(record)
        self._waiting += len(records)

    def put_back(self, records: Sequence[Waiting]) -> None:
        """These were taken, and nobody looked at them."""
        for record in reversed(records):
            queue = self._queue_of(record)
            queue.records.appendleft(record)
            queue.under_way -= 1
        self._waiting += len(records)
        self._budget.spend(-len(records), 0.0)

    def at(self, now: float, writes: int, *, soon: bool, idle: bool) -> float | None:
        """When records go out again, if so many writes have begun: with `soon`, as soon as they may. `idle`:
        there is nothing else to write, for a while or ever. None: there are none that could."""
        ready = [queue for queue in self._queues.values() if queue.records and not queue.probing]
        if not ready:
            return None
        due = sum(len(queue.records) for queue in ready if queue.pace.until <= now)
        soon = soon or due >= self._limits.records
        first = min(max(0.0 if soon else _company(queue, writes, idle), queue.pace.until) for queue in ready)
        return max(first, self._budget.until)

    def take(self, now: float) -> list[Waiting]:
        """As many as fit into a write, of all domains that may be written to now."""
        riders: list[Waiting] = []
        size = 0
        for queue in sorted(self._queues.values(), key=lambda queue: queue.since):
            if queue.pace.until > now or queue.probing:
                continue
            while queue.records and len(riders) < self._limits.records:
                record = queue.records[0]
                size += record_size(record.key, record.data, self._limits.record_overhead)
                if riders and size > self._limits.bytes:
                    break
                riders.append(queue.records.popleft())
                queue.under_way += 1
        self._waiting -= len(riders)
        self._budget.spend(len(riders), now)
        return riders

    def earn(self, accepted: int) -> None:
        """So many records were accepted, which pays for some that are sent again."""
        self._budget.earn(accepted)

    def told(self, again: Mapping[int, Failure], now: float) -> None:
        """Records of a parcel are to be sent again: heed how long the destination wants some to wait. They
        come to their queues after this."""
        for failure in again.values():
            if failure.domain is not None and failure.retry_after:
                self._queue(failure.domain).pace.asked(now, failure.retry_after)

    def answered(self, riders: Sequence[Waiting], again: Mapping[int, Failure], now: float) -> None:
        """A write of riders came back; these are to be sent `again`."""
        refused = Counter(riders[index].domain for index in again)
        waits = {riders[index].domain: failure.retry_after or 0.0 for index, failure in again.items()}
        for domain, sent in Counter(record.domain for record in riders).items():
            queue = self._queues[domain]
            queue.under_way -= sent
            queue.pace.after(now, refused[domain], sent, waits.get(domain, 0.0))
            if not (queue.records or queue.under_way or refused[domain]):
                del self._queues[domain]

    def _queue_of(self, record: Waiting) -> Queue:
        """Where a record waits. A domain too many counts as none."""
        if record.domain not in self._queues and len(self._queues) > MOST:
            record.domain = None
        return self._queue(record.domain)

    def _queue(self, domain: str | None) -> Queue:
        if domain not in self._queues:
            if len(self._queues) > MOST:
                domain = None
            self._queues.setdefault(domain, Queue(Pace(self._draw)))
        return self._queues[domain]


def _company(queue: Queue, writes: int, idle: bool) -> float:
    """Until when what waits there waits for others."""
    return queue.since + (RIDE_AFTER if idle or writes - queue.writes >= COMPANY else RIDE_LATEST)
