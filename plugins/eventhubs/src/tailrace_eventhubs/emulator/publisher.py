"""A link over which events come: each delivery is stored or not, and answered, as the faults will have it."""

from __future__ import annotations

from dataclasses import replace

from tailrace_eventhubs.emulator.decode import Malformed
from tailrace_eventhubs.emulator.effects import EFFECTS, EXPIRED, Effect
from tailrace_eventhubs.emulator.expiry import watch
from tailrace_eventhubs.emulator.faults import Delivery, Fault
from tailrace_eventhubs.emulator.incoming import Assembly, Incoming
from tailrace_eventhubs.emulator.log import Partition, events_in
from tailrace_eventhubs.emulator.messages import BATCH, key_of
from tailrace_eventhubs.emulator.namespace import Attempt, HubState
from tailrace_eventhubs.emulator.performatives import ACCEPTED, Condition, Fields, rejected
from tailrace_eventhubs.emulator.session import Session

_LONGEST_KEY = 128
_LONG_KEY = Condition(
    "com.microsoft:argument-error", f"A partition key has {_LONGEST_KEY} characters at most."
)


class Publisher:
    receives = True
    settle = b""

    def __init__(
        self,
        session: Session,
        handle: int,
        hub: HubState,
        partition: Partition | None,
        address: str,
        first: int,
    ) -> None:
        self.handle = handle
        self.limit = session.connection.namespace.config.size_limit
        self._session = session
        self._namespace = session.connection.namespace
        self._hub = hub
        self._name = hub.hub.name.lower()
        self._partition = partition
        self._address = address
        self._assembly = Assembly(session, handle, self.limit, first, self._deliver)

    def begin(self) -> None:
        self._hub.links.add(self)
        watch(self._session.connection, self, self._address, "Send", lambda: self.end(EXPIRED))
        self._assembly.grant()

    def on_transfer(self, fields: Fields, payload: memoryview) -> None:
        try:
            self._assembly.on_transfer(fields, payload)
        except Condition as condition:
            self._record(None, None, 0, self._assembly.size, condition.symbol.rpartition(":")[2], False)
            raise

    def on_flow(self, fields: Fields) -> None:
        pass

    def resume(self) -> None:
        pass

    def end(self, condition: Condition) -> None:
        self._session.detach(self, condition)

    def closed(self) -> None:
        self._hub.links.discard(self)

    # One delivery

    def _deliver(self, delivery: Incoming) -> None:
        try:
            events = events_in(delivery.message_format, delivery.payload)
            key = key_of(delivery.payload)
        except Malformed as problem:
            self._refuse(delivery, "malformed", Condition("amqp:decode-error", f"{problem}."))
            return
        if key is not None and len(key) > _LONGEST_KEY:
            self._refuse(delivery, "key-too-long", _LONG_KEY)
            return
        log = self._namespace.place(self._hub, self._partition, key)
        fault = self._fault(log, key, events, delivery.payload)
        if fault is None:
            self._store(log, key, events, delivery)
            self._record(log, key, events, len(delivery.payload), "accepted", True)
            self._answer(delivery, ACCEPTED)
        else:
            self._meet(fault, log, key, events, delivery)

    def _fault(self, log: Partition, key: str | None, events: int, payload: bytes) -> Fault | None:
        faults = self._namespace.faults
        if not faults.busy:
            return None
        return faults.next(Delivery(self._name, str(log.number), key, events, payload))

    def _meet(self, fault: Fault, log: Partition, key: str | None, events: int, delivery: Incoming) -> None:
        effect = _effect(fault)
        if effect.stored:
            self._store(log, key, events, delivery)
        outcome = fault.kind if effect.breaks or not effect.stored or not effect.answered else "accepted"
        self._record(log, key, events, len(delivery.payload), outcome, effect.stored)
        if fault.kind == "hub-disabled":
            self._namespace.disable(self._name)
        elif fault.kind == "hub-deleted":
            self._namespace.delete(self._name)
        elif effect.ms:
            self._session.connection.later(effect.ms / 1000, lambda: self._finish(effect, delivery))
        else:
            self._finish(effect, delivery)

    def _finish(self, effect: Effect, delivery: Incoming) -> None:
        connection = self._session.connection
        if effect.answered:
            self._answer(delivery, effect.outcome or ACCEPTED)
        elif effect.breaks == "link" and effect.condition is not None:
            self.end(effect.condition)
        elif effect.breaks == "connection":
            connection.close(effect.condition)
        elif effect.breaks == "transport":
            connection.abort()

    def _store(self, log: Partition, key: str | None, events: int, delivery: Incoming) -> None:
        batch = delivery.message_format == BATCH
        now = int(self._namespace.now() * 1000)
        self._hub.log.append(log.number, delivery.payload, events, key, batch, now)

    def _answer(self, delivery: Incoming, state: bytes) -> None:
        if not delivery.settled and self._session.links.get(self.handle) is self:
            self._session.settle(delivery.number, state)

    def _refuse(self, delivery: Incoming, outcome: str, condition: Condition) -> None:
        self._record(self._partition, None, 0, len(delivery.payload), outcome, False)
        self._answer(delivery, rejected(condition))

    def _record(
        self, log: Partition | None, key: str | None, events: int, size: int, outcome: str, stored: bool
    ) -> None:
        partition = None if log is None else str(log.number)
        number = self._session.connection.number
        self._namespace.record(Attempt(self._name, partition, key, events, size, outcome, stored, number))


def _effect(fault: Fault) -> Effect:
    effect = EFFECTS[fault.kind]
    if fault.ms is not None and fault.kind != "throttle":
        effect = replace(effect, ms=fault.ms)
    if fault.condition is not None and fault.kind == "rejected":
        effect = replace(effect, outcome=rejected(Condition(fault.condition)))
    return effect
