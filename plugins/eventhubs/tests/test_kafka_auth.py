"""The authentication step over the Kafka endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugins.eventhubs.tests.kafkaserver import Kafka
from plugins.eventhubs.tests.kit import SENDER, context, plan, settings
from plugins.eventhubs.tests.network import certificate, free_port, listening
from plugins.eventhubs.tests.test_auth import failed, named, statuses
from tailrace import AuthReport
from tailrace_eventhubs import destination
from tailrace_eventhubs.client import HubClient
from tailrace_eventhubs.emulator.tokens import sas
from tailrace_eventhubs.kafka.config import kafka_options
from tailrace_eventhubs.kafka.errors import KAFKA_RULES, kafka_said
from tailrace_eventhubs.target import Target

HOST = "crm.servicebus.windows.net"
GOOD = f"Endpoint=sb://{HOST}/;SharedAccessKeyName={SENDER.name};SharedAccessKey={SENDER.value}"
TOPICS = {"hot-leads": 4, "denied": 0}


@pytest.fixture
def kafka() -> Iterator[Kafka]:
    server = Kafka({GOOD}, TOPICS)
    with listening(server.serve()) as server.port:
        yield server


def look(port: int, *, hub: str = "hot-leads", scheme: str = "amqp", **account: Any) -> AuthReport:
    spec = destination.account()
    given = settings(None, endpoint=f"{scheme}://127.0.0.1:{port}", transport="kafka", **account)
    return destination.auth(
        spec.account(**given), spec.connection(event_hub_name=hub), context(write_timeout=2.0)
    )


def test_all_is_well_but_for_what_cannot_be_told(kafka: Kafka) -> None:
    report = look(kafka.port)
    assert report.ok
    assert statuses(report) == {
        "namespace": "ok",
        "credentials": "ok",
        "event hub": "ok",
        "write permission": "unproven",
    }
    assert named(report, "event hub").detail == "hot-leads has 4 partitions"
    assert "(kafka without TLS)" in named(report, "namespace").detail


def test_wrong_key(kafka: Kafka) -> None:
    report = look(kafka.port, sas_key="env:WRONG")
    assert failed(report)[:2] == ("credentials", 4)
    assert "canary" not in repr(report)


def test_unknown_hub(kafka: Kafka) -> None:
    assert failed(look(kafka.port, hub="cold-leads"))[:2] == ("event hub", 3)


def test_a_hub_that_may_not_be_sent_to(kafka: Kafka) -> None:
    assert failed(look(kafka.port, hub="denied"))[:2] == ("write permission", 4)


def test_nobody_listens() -> None:
    name, code, detail = failed(look(free_port()))
    assert (name, code) == ("namespace", 6)
    assert "nobody listens" in detail


def test_an_authority_that_is_not_trusted(kafka: Kafka, tmp_path: Path) -> None:
    tls, _ = certificate(tmp_path)

    def secure(connection: Any) -> None:
        with tls.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(1)

    with listening(secure) as port:
        name, code, detail = failed(look(port, scheme="amqps"))
    assert (name, code) == ("namespace", 3)
    assert "not trusted" in detail


def options(**account: Any) -> dict[str, Any]:
    made = plan(None, transport="kafka", **account)
    secrets = {"env:T": sas(f"sb://{HOST}/hot-leads", SENDER.name, SENDER.value)}
    client = HubClient(Target.from_settings(made.settings), context(secrets))
    return kafka_options(client, lambda error: None)


def test_how_librdkafka_is_told_to_get_there() -> None:
    by_key = options()
    assert by_key["bootstrap.servers"] == f"{HOST}:9093"
    assert (by_key["security.protocol"], by_key["sasl.mechanisms"]) == ("SASL_SSL", "PLAIN")
    assert by_key["sasl.password"] == GOOD
    assert by_key["ssl.ca.location"]
    by_token = options(sas_key=None, sas_key_name=None, sas_token="env:T")
    assert by_token["sasl.password"].startswith(f"Endpoint=sb://{HOST}/;SharedAccessSignature=SharedAccess")
    identity = options(sas_key=None, sas_key_name=None, credential="default")
    assert identity["sasl.mechanisms"] == "OAUTHBEARER"
    assert "sasl.password" not in identity


def test_every_row_is_an_error_of_librdkafka_and_in_one_row() -> None:
    from confluent_kafka import KafkaError

    codes = [code for rule in KAFKA_RULES for code in rule.codes]
    assert len(codes) == len(set(codes))
    for rule in KAFKA_RULES:
        for code in rule.codes:
            said = kafka_said(KafkaError(getattr(KafkaError, code), "canary"))
            assert (said.code, said.rule) == (code, rule)
            assert "canary" not in said.describe("x")
    assert kafka_said(KafkaError(KafkaError.GROUP_ID_NOT_FOUND)).rule.action == "ambiguous"
