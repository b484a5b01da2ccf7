"""The account step and the activate step: what Event Hubs is, and how to write to it. No I/O."""

from __future__ import annotations

from dataclasses import replace

from tailrace import ActivationInfo, DestinationSpec, KeyPlan, Misconfigured, Plan
from tailrace_eventhubs.settings import AccountSettings, ConnectionSettings
from tailrace_eventhubs.sizes import IN_FLIGHT, MAX_KEY_BYTES, limits_of, order_of
from tailrace_eventhubs.target import Target

ENVELOPE = "application/cloudevents"
"""How the content type of an event begins that is a CloudEvent as a whole, by which consumers know it."""

LIMITS = {
    "event size": "the limit of the event hub's link, with key and properties: 1 MB, in the tier Basic "
    "256 KB; read from the link; over Kafka 1,000,000 bytes",
    "batch size": "the same limit; a batch holds events of one key (key) or of one partition (client-hash)",
    "partition key": f"1 to {MAX_KEY_BYTES} bytes in UTF-8 with partitioning=key",
    "rate": "a throughput unit takes 1 MB/s or 1000 events/s; refused batches are sent again",
    "writes in flight": f"{IN_FLIGHT}",
    "order": "kept within a partition; --ordering key keeps it for each partition key",
    "delivery": "at least once: a batch whose answer was lost is sent again",
}


def describe_destination() -> DestinationSpec:
    return DestinationSpec(
        title="Azure Event Hubs",
        description="Sends each profile update of the mapped segments as one event to an existing event hub "
        "of Azure Event Hubs.",
        account=AccountSettings,
        connection=ConnectionSettings,
        formats=("xdm-json", "cloudevents"),
        limits=LIMITS,
        documentation="eventhubs.md, in the folder docs of Tailrace's source",
    )


def make_plan(account: AccountSettings, connection: ConnectionSettings, activation: ActivationInfo) -> Plan:
    """Raises Misconfigured where connection and format do not fit."""
    _check_format(connection, activation.format)
    content_type = _content_type(connection, activation.format)
    return Plan(
        destination="eventhubs",
        format=activation.format,
        limits=limits_of(connection.partitioning),
        key=_key(connection),
        in_flight=IN_FLIGHT,
        order_within_write=order_of(connection.partitioning, account.transport),
        settings=replace(Target.of(account, connection), content_type=content_type).as_settings(),
    )


def _key(connection: ConnectionSettings) -> KeyPlan:
    """Round-robin has no key, which the core knows as a random one: it refuses to order by it."""
    if connection.partitioning == "round-robin":
        return KeyPlan(rule="random")
    return KeyPlan(
        rule=connection.partition_key,
        hash=connection.partition_key_hash,
        missing=connection.partition_key_missing,
    )


def _content_type(connection: ConnectionSettings, name: str) -> str | None:
    """What the events are to say, or None where it is the event's own or nothing. With the format cloudevents
    it tells the two modes apart, so it may not contradict them."""
    given, binary = connection.content_type, connection.cloudevents_mode == "binary"
    if name != "cloudevents":
        return given
    if given is None:
        return None if binary else f"{ENVELOPE}+json"
    if given.lower().startswith(ENVELOPE) != binary:
        return given
    raise Misconfigured(
        f"the content type {given} does not fit cloudevents_mode={connection.cloudevents_mode}: consumers "
        f"take an event for {'an' if binary else 'no'} envelope by it",
        hint="unset content_type, which is right by default, or change cloudevents_mode",
    )


def _check_format(connection: ConnectionSettings, name: str) -> None:
    if name == "cloudevents":
        return
    for field, used in (
        ("event_id_property", connection.event_id_property is not None),
        ("cloudevents_mode", connection.cloudevents_mode == "binary"),
    ):
        if used:
            raise Misconfigured(
                f"{field} of the connection needs the format cloudevents: {name} carries no event id",
                hint="give the activation --format cloudevents, or unset the field of the connection",
            )
