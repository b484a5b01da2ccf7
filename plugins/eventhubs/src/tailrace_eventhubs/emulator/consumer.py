"""A link over which events go to a consumer, from where its filter says, as fast as it gives credit."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tailrace_eventhubs.emulator.decode import Described
from tailrace_eventhubs.emulator.effects import EXPIRED
from tailrace_eventhubs.emulator.encode import described, long, mapping, string, symbol, timestamp, ubyte
from tailrace_eventhubs.emulator.expiry import watch
from tailrace_eventhubs.emulator.filters import FILTER, InvalidFilter, Start
from tailrace_eventhubs.emulator.log import Partition, Segment, offset_of
from tailrace_eventhubs.emulator.messages import DELIVERY_ANNOTATIONS, delivered
from tailrace_eventhubs.emulator.namespace import HubState
from tailrace_eventhubs.emulator.outgoing import Outgoing
from tailrace_eventhubs.emulator.performatives import Condition, Fields
from tailrace_eventhubs.emulator.session import Session

_EPOCH = "com.microsoft:epoch"
_METRICS = "com.microsoft:enable-receiver-runtime-metric"
_AT_ONCE = 500  # events, before others get their turn


class Consumer:
    receives = False
    limit = 0

    def __init__(
        self,
        session: Session,
        handle: int,
        hub: HubState,
        partition: Partition,
        group: str,
        address: str,
        attach: Fields,
    ) -> None:
        self.handle = handle
        self.epoch = _epoch(attach[13])
        settled = attach[3] != 0
        self.settle = ubyte(1 if settled else 0)
        self._session = session
        self._hub = hub
        self._partition = partition
        self._group = group
        self._address = address
        self._metrics = _METRICS in _symbols(attach[12])
        try:
            self._next = Start.parse(_selector(attach[5])).first(partition)
        except InvalidFilter as error:
            raise Condition("amqp:invalid-field", str(error)) from error
        self._segment: Segment | None = None
        self._events: list[bytes] = []
        self._woken = False
        self._out = Outgoing(session, handle, settled, self._pump)
        hub.admit(group, partition.number, self)

    def begin(self) -> None:
        self._hub.links.add(self)
        self._partition.watchers.add(self._wake)
        watch(self._session.connection, self, self._address, "Listen", lambda: self.end(EXPIRED))

    def on_transfer(self, fields: Fields, payload: memoryview) -> None:
        raise AssertionError("transfers go to links that receive")

    def on_flow(self, fields: Fields) -> None:
        self._out.on_flow(fields)

    def resume(self) -> None:
        self._pump()

    def end(self, condition: Condition) -> None:
        self._session.detach(self, condition)

    def closed(self) -> None:
        self._hub.links.discard(self)
        self._hub.leave(self._group, self._partition.number, self)
        self._partition.watchers.discard(self._wake)

    # Delivering

    def _wake(self) -> None:
        """There is something new: send it once what is being received is dealt with."""
        if not self._woken:
            self._woken = True
            self._session.connection.later(0, self._again)

    def _again(self) -> None:
        self._woken = False
        self._pump()

    def _pump(self) -> None:
        for message in self._messages():
            self._out.send(message)
        if self._out.ready and self._next < self._partition.end:
            self._wake()

    def _messages(self) -> Iterator[bytes]:
        for _ in range(_AT_ONCE):
            if not self._out.ready or self._session.links.get(self.handle) is not self:
                return
            event = self._event()
            if event is None:
                return
            yield event

    def _event(self) -> bytes | None:
        segment = self._segment
        if segment is None or not segment.first <= self._next < segment.first + segment.count:
            segment = self._segment = self._partition.segment(self._next)
            if segment is None:
                return None
            self._events = segment.events()
            self._next = max(self._next, segment.first)
        sequence = self._next
        self._next += 1
        return delivered(
            self._events[sequence - segment.first],
            sequence=sequence,
            offset=offset_of(sequence),
            enqueued=segment.enqueued,
            key=segment.key,
            more=self._runtime(),
        )

    def _runtime(self) -> list[bytes]:
        if not self._metrics:
            return []
        last = self._partition.end - 1
        values = [
            (symbol("last_enqueued_sequence_number"), long(last)),
            (symbol("last_enqueued_offset"), string(offset_of(last))),
            (symbol("last_enqueued_time_utc"), timestamp(self._partition.enqueued)),
            (symbol("runtime_info_retrieval_time_utc"), timestamp(int(time.time() * 1000))),
        ]
        return [described(DELIVERY_ANNOTATIONS, mapping(values))]


def _epoch(properties: object) -> int | None:
    value = properties.get(_EPOCH) if isinstance(properties, dict) else None
    return value if isinstance(value, int) else None


def _symbols(value: object) -> list[object]:
    """A field of several symbols may be one symbol alone."""
    return value if isinstance(value, list) else [value]


def _selector(source: object) -> str | None:
    """The selector in a link's source."""
    fields = source.value if isinstance(source, Described) else None
    filters = fields[7] if isinstance(fields, list) and len(fields) > 7 else None
    found = filters.get(FILTER) if isinstance(filters, dict) else None
    value = found.value if isinstance(found, Described) else found
    if value is None:
        return None
    if not isinstance(value, str):
        raise Condition("amqp:invalid-field", "The filter is not text.")
    return value
