"""What all connections share: the hubs, what was tried, the faults, the clock.

Everything here belongs to the server's one thread, but for what says otherwise.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from tailrace_eventhubs.emulator.addresses import Address
from tailrace_eventhubs.emulator.config import Config, Hub
from tailrace_eventhubs.emulator.effects import DELETED, DISABLED
from tailrace_eventhubs.emulator.faults import Faults
from tailrace_eventhubs.emulator.log import HubLog, Partition
from tailrace_eventhubs.emulator.performatives import Condition
from tailrace_eventhubs.hashing import partition_of

_RECEIVERS = 5  # per consumer group and partition, as in the service


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery that a sender made, whole: what became of it.

    `outcome` is `accepted`, the name of a fault, or why it was refused (`message-size-exceeded`, `malformed`,
    `entity-disabled`, …). `stored` tells whether the events are on the partition, whatever was answered.
    What comes after its link was detached or its connection closed is dropped unread, and is no attempt.
    """

    hub: str
    partition: str | None
    key: str | None
    events: int
    size: int
    outcome: str
    stored: bool
    connection: int
    """The number of the connection, counted from 1."""


class Receiver(Protocol):
    """A consumer's link, as others see it."""

    epoch: int | None

    def end(self, condition: Condition) -> None: ...


class Attached(Protocol):
    """A link to a hub."""

    def end(self, condition: Condition) -> None: ...


@dataclass(slots=True)
class HubState:
    """One hub, while the server runs."""

    hub: Hub
    log: HubLog
    created: int
    disabled: bool = False
    links: set[Attached] = field(default_factory=set)
    receivers: dict[tuple[str, int], set[Receiver]] = field(default_factory=dict)
    turn: int = 0

    def partition(self, name: str | None) -> Partition:
        """The partition with this id. Raises Condition."""
        numbers = {str(log.number): log for log in self.log.partitions}
        if name is None or name not in numbers:
            raise Condition(
                "amqp:not-found",
                f"The specified partition is invalid for an EventHub partition sender or receiver: {name!r}; "
                f"it should be between 0 and {len(numbers) - 1}.",
            )
        return numbers[name]

    def admit(self, group: str, partition: int, receiver: Receiver) -> None:
        """Let a receiver in, and those out that must give way. Raises Condition.

        A receiver with an epoch is alone: it takes the place of all with a lower epoch, the same or none.
        """
        others = self.receivers.setdefault((group, partition), set())
        highest = max((other.epoch for other in others if other.epoch is not None), default=None)
        if highest is not None and (receiver.epoch is None or receiver.epoch < highest):
            raise Condition(
                "amqp:link:stolen",
                f"A receiver with epoch '{highest}' is connected: use a higher epoch, or close it first.",
            )
        if receiver.epoch is None and len(others) >= _RECEIVERS:
            raise Condition(
                "amqp:resource-limit-exceeded",
                f"No more than {_RECEIVERS} receivers are allowed on a partition in a consumer group.",
            )
        if receiver.epoch is not None:
            for other in list(others):
                other.end(
                    Condition(
                        "amqp:link:stolen",
                        f"New receiver with higher epoch of '{receiver.epoch}' is created hence current "
                        f"receiver with epoch '{other.epoch}' is getting disconnected.",
                    )
                )
        others.add(receiver)

    def leave(self, group: str, partition: int, receiver: Receiver) -> None:
        self.receivers.get((group, partition), set()).discard(receiver)


class Namespace:
    """See the module."""

    def __init__(self, config: Config, *, attempts_kept: int = 200_000) -> None:
        self.config = config
        self.faults = Faults()
        self.attempts: deque[Attempt] = deque(maxlen=attempts_kept)
        self.outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """By hub: how often each outcome was met, for ever."""
        self.connections = 0
        self.on_change: Callable[[], None] | None = None
        self.deleted: dict[str, HubState] = {}
        """The last state of hubs that were deleted."""
        self._hubs: dict[str, HubState] = {}
        for hub in config.hubs:
            self.create(hub)

    def now(self) -> float:
        """The server's clock, in seconds since 1970."""
        return time.time() + self.faults.clock_skew

    def create(self, hub: Hub) -> None:
        """Add a hub, or make one anew that was deleted."""
        log = HubLog(hub.partitions, self.config.retained_bytes)
        self._hubs[hub.name.lower()] = HubState(hub, log, int(self.now() * 1000))
        self.deleted.pop(hub.name.lower(), None)

    def find(self, name: str) -> HubState | None:
        return self._hubs.get(name.lower())

    def known(self, name: str) -> Hub | None:
        """The hub of this name, if there is one now."""
        state = self.find(name)
        return None if state is None else state.hub

    def hub(self, address: Address | str) -> HubState:
        """The hub of an address. Raises Condition if there is none, or if it is disabled."""
        name = (address if isinstance(address, str) else address.hub).lower()
        state = self._hubs.get(name)
        if state is None:
            raise Condition("amqp:not-found", f"The messaging entity '{name}' could not be found.")
        if state.disabled:
            raise DISABLED
        return state

    def disable(self, name: str) -> None:
        """Disable a hub: its links end, and none can be attached."""
        state = self._hubs[name.lower()]
        state.disabled = True
        self._end_links(state, DISABLED)

    def enable(self, name: str) -> None:
        self._hubs[name.lower()].disabled = False

    def delete(self, name: str) -> None:
        """Delete a hub: its links end, and there is none of that name."""
        state = self._hubs.pop(name.lower())
        self.deleted[name.lower()] = state
        self._end_links(state, DELETED)

    def _end_links(self, state: HubState, condition: Condition) -> None:
        for link in list(state.links):
            link.end(condition)

    def place(self, state: HubState, partition: Partition | None, key: str | None) -> Partition:
        """Where an event goes: to the partition named, to that of its key, or to the next in turn."""
        if partition is not None:
            return partition
        logs = state.log.partitions
        if key is not None:
            return logs[partition_of(key, len(logs))]
        name = state.hub.name.lower()
        for _ in logs:
            log = logs[state.turn % len(logs)]
            state.turn += 1
            if not self.faults.busy or not self.faults.unavailable(name, str(log.number)):
                break
        return log

    def record(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        self.outcomes[attempt.hub][attempt.outcome] += 1
        if self.on_change is not None:
            self.on_change()
