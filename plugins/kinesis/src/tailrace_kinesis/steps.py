"""The account step and the activate step: what Kinesis is, and how to write to it. No I/O."""

from __future__ import annotations

from tailrace import ActivationInfo, DestinationSpec, KeyPlan, Limits, Plan
from tailrace_kinesis.settings import AccountSettings, ConnectionSettings
from tailrace_kinesis.sizes import MAX_BYTES, MAX_KEY_BYTES, MAX_RECORDS
from tailrace_kinesis.target import Target

IN_FLIGHT = 8
"""Requests at once. `latency x rate / 500` are needed; eight hide 20 ms."""

LIMITS = {
    "records per request": "500 (PutRecords)",
    "request size": "10 MiB, data and keys; learnt downwards where a server takes less",
    "record size": "the stream's own limit, data and key: 1 MiB unless raised, at most 10 MiB; read from "
    "the stream where the credentials may describe it, else learnt from the first refusal of a record over "
    "1 MiB",
    "partition key": "1 to 256 bytes in UTF-8",
    "rate per shard": "1 MB/s and 1000 records/s; refused records are sent again",
    "requests in flight": f"{IN_FLIGHT}",
    "order": "PutRecords promises none; --ordering key keeps it for each partition key",
    "delivery": "at least once: a record whose answer was lost is sent again",
}


def describe_destination() -> DestinationSpec:
    return DestinationSpec(
        title="Amazon Kinesis",
        description="Sends each profile update of the mapped segments as one record to an existing "
        "Amazon Kinesis data stream.",
        account=AccountSettings,
        connection=ConnectionSettings,
        formats=("xdm-json", "cloudevents"),
        limits=LIMITS,
        documentation="kinesis.md, in the folder docs of Tailrace's source",
    )


def make_plan(account: AccountSettings, connection: ConnectionSettings, activation: ActivationInfo) -> Plan:
    return Plan(
        destination="kinesis",
        format=activation.format,
        limits=Limits(records=MAX_RECORDS, bytes=MAX_BYTES, record_bytes=MAX_BYTES, key_bytes=MAX_KEY_BYTES),
        key=KeyPlan(
            rule=connection.partition_key,
            hash=connection.partition_key_hash,
            missing=connection.partition_key_missing,
        ),
        in_flight=IN_FLIGHT,
        settings=Target.of(account, connection).as_settings(),
    )
