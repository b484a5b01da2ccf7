"""The error table of the Kafka endpoint: what an error of librdkafka means, with the actions of `errors`.

Codes are the names of `confluent_kafka.KafkaError`, those with an underscore are librdkafka's own.
"""

from __future__ import annotations

from typing import Any

from tailrace_eventhubs.answers import Said
from tailrace_eventhubs.errors import Rule

KAFKA_RULES: tuple[Rule, ...] = (
    Rule(
        ("THROTTLING_QUOTA_EXCEEDED", "_QUEUE_FULL"),
        "throttled",
        "the namespace takes no more at the moment",
        "more throughput units, auto-inflate, or fewer senders help",
    ),
    Rule(
        (
            "NOT_LEADER_FOR_PARTITION",
            "LEADER_NOT_AVAILABLE",
            "BROKER_NOT_AVAILABLE",
            "COORDINATOR_LOAD_IN_PROGRESS",
            "NOT_ENOUGH_REPLICAS",
            "KAFKA_STORAGE_ERROR",
            "_PURGE_QUEUE",
        ),
        "retry",
        "the event was not accepted",
    ),
    Rule(
        (
            "_MSG_TIMED_OUT",
            "_TIMED_OUT",
            "_PURGE_INFLIGHT",
            "REQUEST_TIMED_OUT",
            "NETWORK_EXCEPTION",
            "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        ),
        "ambiguous",
        "no answer came in time",
    ),
    Rule(
        ("MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"),
        "bisect",
        "the batch or an event is larger than the event hub takes",
    ),
    Rule(
        ("INVALID_MSG", "INVALID_RECORD", "INVALID_TIMESTAMP", "POLICY_VIOLATION", "_INVALID_ARG"),
        "bisect",
        "an event is not valid",
    ),
    Rule(
        ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "TOPIC_EXCEPTION"),
        "misconfigured",
        "there is no such event hub",
        "check event_hub_name and the namespace; an event hub is never created",
    ),
    Rule(
        ("UNSUPPORTED_VERSION", "_UNSUPPORTED_FEATURE", "UNSUPPORTED_SASL_MECHANISM", "_NOT_IMPLEMENTED"),
        "misconfigured",
        "the server does not speak Kafka as it is needed",
        "the Kafka endpoint needs the tier Standard or above; check the endpoint",
    ),
    Rule(
        ("_SSL",),
        "misconfigured",
        "TLS does not come about",
        "check the endpoint and its port, and ca_bundle where another authority signs its certificate",
    ),
    Rule(
        ("SASL_AUTHENTICATION_FAILED", "_AUTHENTICATION"),
        "authentication",
        "the credentials are refused",
        "check the key name and the key, the token or the identity, and the namespace",
    ),
    Rule(
        ("TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"),
        "authentication",
        "Send is missing: the credentials may not send to the event hub",
        "grant Send on {hub}; `tailrace connection policy` prints what",
    ),
    Rule(
        ("_RESOLVE",),
        "unreachable",
        "the host name does not resolve",
        "check the namespace and the network (DNS)",
    ),
    Rule(
        ("_TRANSPORT", "_ALL_BROKERS_DOWN"),
        "unreachable",
        "nobody answers there",
        "check the network and the firewall: Kafka needs port 9093",
    ),
)

UNLISTED_KAFKA = Rule((), "ambiguous", "an error that is not in the table")

_BY_CODE = {code: rule for rule in KAFKA_RULES for code in rule.codes}


def kafka_said(error: Any) -> Said:
    """Look a `confluent_kafka.KafkaError` up. Its text, which may quote, is not repeated."""
    name = str(error.name())
    return Said(name, _BY_CODE[name]) if name in _BY_CODE else Said("UnlistedError", UNLISTED_KAFKA, name)
