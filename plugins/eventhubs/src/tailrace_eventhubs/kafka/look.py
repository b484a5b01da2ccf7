"""The authentication step over the Kafka endpoint: the way there, the credentials, the event hub.

That the credentials may send cannot be told without sending: there are no links that only a sender gets.
"""

from __future__ import annotations

import time
from typing import Any

from tailrace import Check
from tailrace_eventhubs.answers import Said
from tailrace_eventhubs.auth import CREDENTIALS, HUB, NAMESPACE, SEND, failed, hub_check
from tailrace_eventhubs.client import HubClient
from tailrace_eventhubs.kafka.config import import_kafka, kafka_options
from tailrace_eventhubs.kafka.errors import kafka_said

ASK_SECONDS = 1.0
POLL_SECONDS = 0.05

_ABOUT = {
    "SASL_AUTHENTICATION_FAILED": CREDENTIALS,
    "_AUTHENTICATION": CREDENTIALS,
    "TOPIC_AUTHORIZATION_FAILED": SEND,
    "CLUSTER_AUTHORIZATION_FAILED": SEND,
    "UNKNOWN_TOPIC_OR_PART": HUB,
    "TOPIC_EXCEPTION": HUB,
}


def look(client: HubClient, seconds: float) -> tuple[list[Check], dict[str, str]]:
    """Checks and limits. Raises Misconfigured where the extra is not installed."""
    import_kafka()
    ends = time.monotonic() + seconds
    found = client.why_not(seconds / 2) or partitions(client, ends)
    reached = Check(name=NAMESPACE, status="ok", detail=client.where)
    accepted = Check(name=CREDENTIALS, status="ok", detail=f"accepted: {client.shown}")
    if isinstance(found, int):
        detail = "the Kafka endpoint cannot be asked without sending an event"
        unproven = Check(name=SEND, status="unproven", detail=detail, hint="the first export shows it")
        return [reached, accepted, hub_check(client.hub, found), unproven], {"partitions": str(found)}
    about = _ABOUT.get(found.code, NAMESPACE)
    before = {NAMESPACE: [], CREDENTIALS: [reached]}.get(about, [reached, accepted])
    return [*before, failed(about, client, found)], {}


def partitions(client: HubClient, ends: float) -> int | Said:
    """How many the event hub has, or what was answered instead. Errors of connections are told by no call:
    what will not pass by itself counts before what may."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    seen: list[Any] = []
    kafka: Any = AdminClient(kafka_options(client, seen.append))
    while True:
        left = ends - time.monotonic()
        try:
            topic: Any = kafka.list_topics(client.hub, timeout=min(ASK_SECONDS, max(POLL_SECONDS, left)))
        except KafkaException as error:
            kafka.poll(POLL_SECONDS)
            found = _decisive(seen)
            if found is not None or time.monotonic() >= ends:
                return found or kafka_said(error.args[0])
            continue
        said = topic.topics[client.hub]
        return kafka_said(said.error) if said.error is not None else len(said.partitions)


def _decisive(seen: list[Any]) -> Said | None:
    wanted = ("authentication", "misconfigured")
    return next((said for said in map(kafka_said, seen) if said.rule.action in wanted), None)
