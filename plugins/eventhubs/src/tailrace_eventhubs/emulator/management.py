"""`$management`: the properties of a hub and of a partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace_eventhubs.emulator.answering import Answer, Request
from tailrace_eventhubs.emulator.encode import boolean, integer, long, mapping, string, strings, timestamp
from tailrace_eventhubs.emulator.log import Partition, offset_of
from tailrace_eventhubs.emulator.namespace import HubState
from tailrace_eventhubs.emulator.performatives import Condition

if TYPE_CHECKING:
    from tailrace_eventhubs.emulator.connection import Connection

_CLAIMS = ("Manage", "Send", "Listen")


def answer(connection: Connection, request: Request) -> Answer:
    namespace = connection.namespace
    if request.text("operation").upper() != "READ":
        return Answer(400, "The operation is not READ.")
    name = request.text("name")
    refusal = connection.grants.refusal(name, _CLAIMS, namespace.now())
    if refusal is not None:
        return Answer(401, refusal)
    try:
        hub = namespace.find(name)
        if hub is None:
            return Answer(404, f"The messaging entity '{name}' could not be found.")
        kind = request.text("type")
        if kind == "com.microsoft:eventhub":
            return Answer(200, "OK", _hub(hub))
        if kind == "com.microsoft:partition":
            partition = request.properties.get("partition")
            return Answer(200, "OK", _partition(hub, hub.partition(_id(partition))))
    except Condition as condition:
        return Answer(404, condition.description)
    return Answer(400, "The type is unknown.")


def _id(partition: object) -> str | None:
    return None if partition is None else str(partition)


def _hub(state: HubState) -> bytes:
    ids = [str(log.number) for log in state.log.partitions]
    return mapping(
        [
            (string("name"), string(state.hub.name)),
            (string("type"), string("com.microsoft:eventhub")),
            (string("created_at"), timestamp(state.created)),
            (string("partition_count"), integer(len(ids))),
            (string("partition_ids"), strings(ids)),
        ]
    )


def _partition(state: HubState, log: Partition) -> bytes:
    empty = log.end == 0
    return mapping(
        [
            (string("name"), string(state.hub.name)),
            (string("type"), string("com.microsoft:partition")),
            (string("partition"), string(str(log.number))),
            (string("begin_sequence_number"), long(log.begin)),
            (string("last_enqueued_sequence_number"), long(log.end - 1)),
            (string("last_enqueued_offset"), string("-1" if empty else offset_of(log.end - 1))),
            (string("last_enqueued_time_utc"), timestamp(log.enqueued)),
            (string("is_partition_empty"), boolean(log.begin == log.end)),
        ]
    )
