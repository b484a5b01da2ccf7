"""The SDK's producers against the emulator: where events land, what the server tells and refuses."""

from __future__ import annotations

from typing import Any

import pytest
from azure.eventhub import EventData
from azure.eventhub.exceptions import AuthenticationError, ConnectError, EventHubError

from plugins.eventhubs.tests.emulator.sdk import Blocking, Sdk, producer, send
from tailrace_eventhubs.emulator import Config, Emulator, Hub
from tailrace_eventhubs.hashing import partition_of


def test_a_batch_lands_on_one_partition_in_order(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server) as client:
        send(sdk, client, [f"event {n}" for n in range(100)])
    accepted = server.accepted("hub")
    assert [event.body for event in accepted] == [b"event %d" % n for n in range(100)]
    assert [event.sequence for event in accepted] == list(range(100))
    assert len({event.partition for event in accepted}) == 1
    assert {event.key for event in accepted} == {None}


def test_batches_without_a_place_go_round(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server) as client:
        for number in range(8):
            send(sdk, client, [str(number)])
    partitions = [event.partition for event in server.accepted("hub")]
    assert sorted(partitions) == ["0", "0", "1", "1", "2", "2", "3", "3"]


def test_a_batch_for_a_partition(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server) as client:
        for partition in ("3", "1"):
            send(sdk, client, [partition], partition_id=partition)
    assert [(event.partition, event.body) for event in server.accepted("hub")] == [("3", b"3"), ("1", b"1")]


@pytest.mark.parametrize("key", ["C-1001", "7", "alphabet", "Käse 🧀", "k" * 128])
def test_a_key_chooses_the_partition_as_the_service_does(sdk: Sdk, server: Emulator, key: str) -> None:
    with producer(sdk, server) as client:
        send(sdk, client, ["a", "b"], partition_key=key)
    accepted = server.accepted("hub")
    assert [(event.key, event.partition) for event in accepted] == [(key, str(partition_of(key, 4)))] * 2


def test_one_event(sdk: Sdk, server: Emulator) -> None:
    event = EventData(b"body")
    event.properties = {"one": 1, "two": "zwei", b"three": b"\x03"}
    event.content_type, event.message_id, event.correlation_id = "application/json", "m-1", "c-1"
    with producer(sdk, server) as client:
        sdk.done(client.send_event(event, timeout=10, partition_id="2"))
    (stored,) = server.accepted("hub")
    assert (stored.partition, stored.body) == ("2", b"body")
    assert stored.properties == {"one": 1, "two": "zwei", "three": b"\x03"}


def test_events_with_properties_in_a_batch(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server) as client:
        batch = sdk.done(client.create_batch(partition_key="k"))
        for number in range(3):
            event = EventData(f"event {number}")
            event.properties = {"number": number}
            batch.add(event)
        sdk.done(client.send_batch(batch, timeout=10))
    assert [event.properties for event in server.accepted("hub")] == [{"number": n} for n in range(3)]


def test_a_list_of_events(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server) as client:
        sdk.done(client.send_batch([EventData("a"), EventData("b")], timeout=10, partition_id="0"))
    assert [event.body for event in server.accepted("hub")] == [b"a", b"b"]


def test_the_properties_of_the_hub(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server) as client:
        properties = sdk.done(client.get_eventhub_properties())
        ids = sdk.done(client.get_partition_ids())
    assert properties["eventhub_name"] == "hub"
    assert properties["partition_ids"] == ids == ["0", "1", "2", "3"]
    assert properties["created_at"].year >= 2024


def test_the_properties_of_a_partition(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server) as client:
        empty = sdk.done(client.get_partition_properties("1"))
        send(sdk, client, ["a", "b", "c"], partition_id="1")
        filled = sdk.done(client.get_partition_properties("1"))
    assert empty["is_empty"] and empty["last_enqueued_sequence_number"] == -1
    assert not filled["is_empty"]
    assert (filled["eventhub_name"], filled["id"]) == ("hub", "1")
    assert (filled["beginning_sequence_number"], filled["last_enqueued_sequence_number"]) == (0, 2)
    assert filled["last_enqueued_offset"] and filled["last_enqueued_time_utc"].year >= 2024


def test_a_partition_that_is_not_there(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server) as client, pytest.raises(ConnectError, match="Invalid partition 99"):
        send(sdk, client, ["x"], partition_id="99")
    assert server.attempts("hub") == []


def test_a_hub_that_is_not_there(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server, "nowhere") as client, pytest.raises(AuthenticationError, match="404"):
        send(sdk, client, ["x"])


@pytest.mark.parametrize(
    ("tier", "limit"), [("basic", 262_144), ("standard", 1_048_576), ("premium", 1_048_576)]
)
def test_a_batch_up_to_the_limit_of_the_tier(sdk: Sdk, tier: str, limit: int) -> None:
    config = Config(hubs=[Hub("hub", partitions=1)], tier=tier)  # type: ignore[arg-type]
    with Emulator(config) as server, producer(sdk, server) as client:
        batch = sdk.done(client.create_batch())
        assert batch.max_size_in_bytes == limit
        bodies = [bytes([number]) * (limit // 8) for number in range(7)]
        for body in bodies:
            batch.add(EventData(body))
        # What is left is filled to the last byte: eight bytes frame an event in a batch.
        rest = b"r" * (limit - batch.size_in_bytes - 64)
        batch.add(EventData(rest))
        with pytest.raises(ValueError, match="size limit"):
            batch.add(EventData(b"x" * 100))
        sdk.done(client.send_batch(batch, timeout=15))
        assert [event.body for event in server.accepted("hub")] == [*bodies, rest]


def test_an_event_over_the_limit(sdk: Sdk) -> None:
    with Emulator(Config(hubs=[Hub("hub", 1)], tier="basic")) as server, producer(sdk, server) as client:
        # The SDK loses the reason or keeps it, as the end of the link comes late or early.
        with pytest.raises(EventHubError):
            sdk.done(client.send_event(EventData(b"x" * 262_144), timeout=10))
        assert {attempt.outcome for attempt in server.attempts("hub")} == {"message-size-exceeded"}
        assert server.accepted("hub") == []
        send(sdk, client, ["small"])
        assert [event.body for event in server.accepted("hub")] == [b"small"]


def test_a_producer_may_come_back(sdk: Sdk, server: Emulator) -> None:
    for number in range(3):
        with producer(sdk, server) as client:
            send(sdk, client, [str(number)], partition_id="0")
    assert [event.body for event in server.accepted("hub")] == [b"0", b"1", b"2"]


def test_the_buffered_producer(sdk: Sdk, server: Emulator) -> None:
    stored: list[object] = []

    def succeeded(events: list[object], partition: str) -> None:
        stored.extend(events)

    def failed(events: list[object], partition: str, error: Exception) -> None:
        raise error

    async def succeeded_later(events: list[object], partition: str) -> None:
        succeeded(events, partition)

    async def failed_later(events: list[object], partition: str, error: Exception) -> None:
        failed(events, partition, error)

    blocking = isinstance(sdk, Blocking)
    how: dict[str, Any] = {
        "buffered_mode": True,
        "on_success": succeeded if blocking else succeeded_later,
        "on_error": failed if blocking else failed_later,
    }
    with producer(sdk, server, **how) as client:
        for number in range(20):
            sdk.done(client.send_event(EventData(str(number)), partition_id=str(number % 2)))
        sdk.done(client.flush(timeout=10))
    accepted = server.accepted("hub")
    assert len(stored) == 20
    for partition in ("0", "1"):
        bodies = [int(event.body) for event in accepted if event.partition == partition]
        assert bodies == list(range(int(partition), 20, 2))
