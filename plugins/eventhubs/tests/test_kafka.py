"""The export step over Kafka, against the broker that librdkafka brings for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from plugins.eventhubs.tests.kit import SENDER, context
from plugins.eventhubs.tests.network import free_port
from plugins.eventhubs.tests.writing import batch, kinds, number_of
from tailrace import ActivationInfo, Batch, BatchResult, Exporter, Misconfigured, NotConnected
from tailrace_eventhubs import destination
from tailrace_eventhubs.hashing import partition_of
from tailrace_eventhubs.kafka import exporter as kafka
from tailrace_eventhubs.kafka import look as kafkalook

HUB = "hot-leads"


class Broker:
    """As long as it is referred to."""

    def __init__(self) -> None:
        options = {"test.mock.num.brokers": 1, "bootstrap.servers": "unused:1", "log_level": 0}
        self._owner: Any = Producer(options)
        self.address = ",".join(str(each) for each in self._addresses())
        self._owner.list_topics(HUB, timeout=5)  # makes the topic

    def _addresses(self) -> list[str]:
        found = self._owner.list_topics(timeout=5).brokers.values()
        return [f"{each.host}:{each.port}" for each in found]

    def stop(self) -> None:
        self._owner = None

    def stored(self) -> list[Any]:
        """All messages, partition after partition, in their order."""
        consumer: Any = Consumer(
            {"bootstrap.servers": self.address, "group.id": "g", "auto.offset.reset": "earliest"}
        )
        try:
            partitions = consumer.list_topics(HUB, timeout=5).topics[HUB].partitions
            places = [TopicPartition(HUB, number, 0) for number in partitions]
            count = sum(consumer.get_watermark_offsets(place, timeout=5)[1] for place in places)
            consumer.assign(places)
            found = [consumer.poll(5) for _ in range(count)]
            assert all(message is not None and message.error() is None for message in found)
            return sorted(found, key=lambda message: (message.partition(), message.offset()))
        finally:
            consumer.close()


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    made = Broker()
    use(monkeypatch, made.address)
    yield made
    made.stop()


def use(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """The broker for tests knows no SASL."""

    def options(client: Any, on_error: Any) -> dict[str, Any]:
        return {"bootstrap.servers": address, "error_cb": on_error, "log_level": 0}

    monkeypatch.setattr(kafka, "kafka_options", options)
    monkeypatch.setattr(kafkalook, "kafka_options", options)


@contextmanager
def exporting(
    partitioning: str = "key", *, write_timeout: float = 20.0, format: str = "xdm-json", **connection: Any
) -> Iterator[Exporter]:
    spec = destination.account()
    account = {"namespace": "crm", "sas_key_name": SENDER.name, "sas_key": f"env:{SENDER.name}"}
    plan = destination.activate(
        spec.account(**account, transport="kafka", endpoint="amqp://127.0.0.1:1"),
        spec.connection(event_hub_name=HUB, partitioning=partitioning, **connection),
        ActivationInfo(name="hot", format=format),
    )
    assert plan.order_within_write == "none"
    exporter = destination.export(plan, context(write_timeout=write_timeout))
    try:
        yield exporter
    finally:
        exporter.close()


@pytest.mark.parametrize("mode", ["key", "client-hash", "round-robin"])
def test_every_record_is_stored_once(broker: Broker, mode: str) -> None:
    with exporting(mode) as exporter:
        assert exporter.write(batch(300)) == BatchResult(300)
        assert exporter.write(batch(300, first=300)) == BatchResult(300)
    found = broker.stored()
    assert sorted(number_of(message.value()) for message in found) == list(range(600))
    keys = {message.key() for message in found}
    assert len(keys) == 600 if mode == "key" else keys == {None}
    if mode == "client-hash":
        partitions = len({message.partition() for message in found})
        for message in found:
            key = f"key-{number_of(message.value())}"
            assert message.partition() == partition_of(key, partitions)


def test_records_of_one_key_keep_their_order(broker: Broker) -> None:
    with exporting() as exporter:
        for first in range(0, 600, 200):
            assert not exporter.write(batch(200, keys=5, first=first)).failures
    orders: dict[bytes, list[int]] = {}
    for message in broker.stored():
        orders.setdefault(message.key(), []).append(number_of(message.value()))
    assert len(orders) == 5
    assert all(order == sorted(order) for order in orders.values())


def test_properties_become_headers(broker: Broker) -> None:
    data = [b'{"specversion":"1.0","id":"abc","datacontenttype":"a/b","data":{"n":1}}']
    with exporting(format="cloudevents", cloudevents_mode="binary", event_id_property="event-id") as exporter:
        assert not exporter.write(Batch(["k"], data)).failures
    (message,) = broker.stored()
    assert message.value() == b'{"n":1}'
    assert dict(message.headers()) == {
        "event-id": b"abc",
        "cloudEvents:specversion": b"1.0",
        "cloudEvents:id": b"abc",
        "content-type": b"a/b",
    }


def test_an_event_over_the_limit_and_a_key_that_is_no_text_are_rejected(broker: Broker) -> None:
    with exporting() as exporter:
        result = exporter.write(Batch(["a", "b", "\ud800"], [b'{"n":0}', b"x" * 1_000_001, b'{"n":2}']))
    assert [(i, f.kind, f.code) for i, f in sorted(result.failures.items())] == [
        (1, "rejected", "EventTooLarge"),
        (2, "rejected", "InvalidKey"),
    ]
    assert [number_of(message.value()) for message in broker.stored()] == [0]


def test_threads_write_side_by_side(broker: Broker) -> None:
    with exporting() as exporter, ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda n: exporter.write(batch(50, first=50 * n)), range(16))
        assert all(result == BatchResult(50) for result in results)
    assert len(broker.stored()) == 800


def test_a_broker_that_goes_away_is_told_and_nothing_waits_for_it(broker: Broker) -> None:
    with exporting(write_timeout=4) as exporter:
        assert not exporter.write(batch(5)).failures
        broker.stop()
        began = time.monotonic()
        try:
            said = kinds(exporter.write(batch(5, first=5)))
        except NotConnected:
            said = ["retry"]
        assert time.monotonic() - began < 4
        assert set(said) <= {"retry", "ambiguous"}


@pytest.mark.usefixtures("broker")
def test_nobody_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, f"127.0.0.1:{free_port()}")
    with exporting(write_timeout=3) as exporter:
        began = time.monotonic()
        with pytest.raises(NotConnected):
            exporter.write(batch(3))
        assert time.monotonic() - began < 4


def test_a_hub_that_does_not_exist_stops_the_export(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    from tailrace_eventhubs.answers import Said
    from tailrace_eventhubs.kafka.errors import KAFKA_RULES

    rule = next(rule for rule in KAFKA_RULES if "UNKNOWN_TOPIC_OR_PART" in rule.codes)
    monkeypatch.setattr(kafka, "partitions", lambda client, ends: Said("UNKNOWN_TOPIC_OR_PART", rule))
    with exporting() as exporter, pytest.raises(Misconfigured):
        exporter.write(batch(3))


def test_nothing_opens_again_after_close(broker: Broker) -> None:
    with exporting() as exporter:
        exporter.write(batch(3))
    with pytest.raises(NotConnected):
        exporter.write(batch(3))
    assert not [thread for thread in threading.enumerate() if thread.name == "eventhubs-kafka"]
    assert len(broker.stored()) == 3
