"""The SDK's consumers against the emulator: what comes back, from where on, and who may read."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.eventhub import EventData
from azure.eventhub._utils import get_last_enqueued_event_properties
from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageHeader, AmqpMessageProperties

from plugins.eventhubs.tests.emulator.sdk import Blocking, Sdk, body_of, consumer, producer, refused, send
from tailrace_eventhubs.emulator import Config, Emulator, Hub


@pytest.fixture(scope="module")
def filled() -> Iterator[Emulator]:
    """Ten events on partition 0, in two batches. Tests only read them."""
    with Emulator(Config(hubs=[Hub("hub", partitions=1, consumer_groups=["readers"])])) as server:
        blocking = Blocking()
        with producer(blocking, server) as client:
            send(blocking, client, [str(n) for n in range(6)], partition_id="0")
            send(blocking, client, [str(n) for n in range(6, 10)], partition_id="0")
        yield server


def bodies(received: list[tuple[str, EventData]]) -> list[str]:
    return [event.body_as_str() for _, event in received]


def read(sdk: Sdk, server: Emulator, count: int, **how: Any) -> list[tuple[str, EventData]]:
    with consumer(sdk, server) as client:
        return sdk.receive(client, count, partition_id="0", **how)


def test_all_there_is_in_order(sdk: Sdk, filled: Emulator) -> None:
    received = read(sdk, filled, 10, starting_position="-1")
    assert bodies(received) == [str(n) for n in range(10)]
    assert [event.sequence_number for _, event in received] == list(range(10))
    assert [event.offset for _, event in received] == [e.offset for e in filled.accepted("hub")]
    times = [event.enqueued_time for _, event in received if event.enqueued_time is not None]
    assert len(times) == 10 and times == sorted(times)
    assert datetime.now(UTC) - times[0] < timedelta(minutes=5)


@pytest.mark.parametrize(("inclusive", "first"), [(False, 5), (True, 4)])
def test_from_a_sequence_number(sdk: Sdk, filled: Emulator, inclusive: bool, first: int) -> None:
    how = {"starting_position": 4, "starting_position_inclusive": inclusive}
    assert bodies(read(sdk, filled, 10 - first, **how)) == [str(n) for n in range(first, 10)]


@pytest.mark.parametrize(("inclusive", "first"), [(False, 8), (True, 7)])
def test_from_an_offset(sdk: Sdk, filled: Emulator, inclusive: bool, first: int) -> None:
    offset = filled.accepted("hub")[7].offset
    how = {"starting_position": offset, "starting_position_inclusive": inclusive}
    assert bodies(read(sdk, filled, 10 - first, **how)) == [str(n) for n in range(first, 10)]


def test_from_a_time(sdk: Sdk, filled: Emulator) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    assert len(read(sdk, filled, 10, starting_position=long_ago)) == 10


def test_from_the_last_event(sdk: Sdk, filled: Emulator) -> None:
    how = {"starting_position": "@latest", "starting_position_inclusive": True}
    assert bodies(read(sdk, filled, 1, **how)) == ["9"]


def test_more_events_than_the_consumer_has_credit_for(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server) as client:
        for start in range(0, 900, 300):
            send(sdk, client, [str(n) for n in range(start, start + 300)], partition_id="0")
    received = read(sdk, server, 900, starting_position="-1", prefetch=50)
    assert bodies(received) == [str(n) for n in range(900)]


def test_large_events_come_in_many_frames(sdk: Sdk, server: Emulator) -> None:
    body = bytes(range(256)) * 3000
    with producer(sdk, server) as client:
        send(sdk, client, [body, b"small"], partition_id="0")
    received = read(sdk, server, 2, starting_position="-1")
    assert [body_of(event) for _, event in received] == [body, b"small"]


def test_all_partitions(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server) as client:
        for partition in "0123":
            send(sdk, client, [f"on {partition}"], partition_id=partition)
    with consumer(sdk, server) as client:
        received = sdk.receive(client, 4, starting_position="-1")
    assert {(partition, event.body_as_str()) for partition, event in received} == {
        (p, f"on {p}") for p in "0123"
    }


def test_each_group_reads_for_itself(sdk: Sdk, filled: Emulator) -> None:
    for group in ("readers", "READERS"):
        with consumer(sdk, filled, group=group) as client:
            assert len(sdk.receive(client, 10, partition_id="0", starting_position="-1")) == 10


def test_a_group_that_is_not_there(sdk: Sdk, filled: Emulator) -> None:
    with consumer(sdk, filled, group="nobody") as client:
        refused(sdk, filled, client, "not-found")


def test_a_selector_that_is_not_known(sdk: Sdk, filled: Emulator) -> None:
    with consumer(sdk, filled) as client:
        refused(sdk, filled, client, "invalid-field", starting_position="soon")


def test_an_event_comes_back_as_it_was_sent(sdk: Sdk, server: Emulator) -> None:
    event = EventData(b"\x00\xff")
    event.properties = {
        "text": "ä",
        "whole": 7,
        "yes": True,
        "half": 0.5,
        "id": uuid.UUID(int=5),
    }
    event.content_type, event.message_id, event.correlation_id = "text/plain", "m-1", "c-1"
    event.raw_amqp_message.annotations = {"x-own": "kept"}
    event.raw_amqp_message.properties = AmqpMessageProperties(  # type: ignore[no-untyped-call]
        message_id="m-1", content_type="text/plain", subject="s"
    )
    with producer(sdk, server) as client:
        sdk.done(client.send_event(event, timeout=10, partition_key="a key"))
    partition = server.accepted("hub")[0].partition
    with consumer(sdk, server) as client:
        back: Any = sdk.receive(client, 1, partition_id=partition, starting_position="-1")[0][1]
    assert body_of(back) == b"\x00\xff"
    assert back.partition_key == b"a key"
    values = {_text(name): value for name, value in back.properties.items()}
    assert values == {
        "text": "ä".encode(), "whole": 7, "yes": True, "half": 0.5, "id": uuid.UUID(int=5)
    }  # fmt: skip
    assert back.raw_amqp_message.annotations[b"x-own"] == b"kept"
    sent = back.raw_amqp_message.properties
    assert (sent.message_id, sent.content_type, sent.subject) == (b"m-1", b"text/plain", b"s")


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


BODIES: list[tuple[dict[str, Any], object]] = [
    ({"data_body": [b"one", b"two"]}, [b"one", b"two"]),
    ({"value_body": {"a": [1, 2]}}, {b"a": [1, 2]}),
    ({"sequence_body": [[1, "x"], [2]]}, [[1, b"x"], [2]]),
    ({"value_body": None}, None),
]


def test_every_kind_of_body(sdk: Sdk, server: Emulator) -> None:
    header = AmqpMessageHeader(durable=True)  # type: ignore[no-untyped-call]
    with producer(sdk, server) as client:
        batch = sdk.done(client.create_batch(partition_id="0"))
        for given, _ in BODIES:
            batch.add(AmqpAnnotatedMessage(header=header, footer={"f": "g"}, **given))
        sdk.done(client.send_batch(batch, timeout=10))
    received: list[Any] = [event for _, event in read(sdk, server, 4, starting_position="-1")]
    found = [
        list(e.body) if isinstance(want, list) else e.body
        for e, (_, want) in zip(received, BODIES, strict=True)
    ]
    assert found == [expected for _, expected in BODIES]
    assert [event.raw_amqp_message.footer for event in received] == [{b"f": b"g"}] * 4


def test_a_consumer_that_is_there_first_gets_what_comes_then(sdk: Sdk, server: Emulator) -> None:
    blocking = Blocking()
    with producer(blocking, server) as client, consumer(sdk, server) as reader:
        send(blocking, client, ["before"], partition_id="0")
        received: list[tuple[str, EventData]] = []
        how = {"partition_id": "0", "starting_position": "@latest"}
        thread = threading.Thread(target=lambda: received.extend(sdk.receive(reader, 1, **how)))
        thread.start()
        number = 0
        while not received and thread.is_alive():
            send(blocking, client, [f"after {number}"], partition_id="0")
            number += 1
        thread.join()
    assert [text.startswith("after") for text in bodies(received)] == [True] * len(received) != []


def test_a_consumer_may_ask_how_far_the_partition_is(sdk: Sdk, filled: Emulator) -> None:
    with consumer(sdk, filled) as client:
        received = sdk.receive(
            client, 1, partition_id="0", starting_position="-1", track_last_enqueued_event_properties=True
        )
    last = get_last_enqueued_event_properties(received[0][1])
    assert last is not None
    assert (last["sequence_number"], last["offset"]) == (9, filled.accepted("hub")[-1].offset)


def test_what_is_older_than_the_cap_is_gone(sdk: Sdk) -> None:
    config = Config(hubs=[Hub("hub", partitions=1)], retained_bytes=100_000)
    with Emulator(config) as server:
        with producer(sdk, server) as client:
            for number in range(40):
                send(sdk, client, [f"{number:03}".ljust(10_000)])
            properties = sdk.done(client.get_partition_properties("0"))
        oldest = properties["beginning_sequence_number"]
        assert 30 <= oldest < 40 and properties["last_enqueued_sequence_number"] == 39
        with consumer(sdk, server) as client:
            received = sdk.receive(client, 40 - oldest, partition_id="0", starting_position="-1")
        assert [int(text) for text in bodies(received)] == list(range(oldest, 40))
