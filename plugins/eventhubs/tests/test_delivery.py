"""Writes that go well: what is stored, where, in which order, in how many batches."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.eventhubs.tests.network import listening, silent
from plugins.eventhubs.tests.writing import HUB, batch, by_key, emulator, exporting, numbers
from tailrace import Batch, BatchResult, NotConnected
from tailrace_eventhubs.emulator import Config, Emulator, Hub
from tailrace_eventhubs.hashing import partition_of

MODES = ["key", "client-hash", "round-robin"]
BASIC = 262_144


@pytest.fixture
def server() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


@pytest.mark.parametrize("mode", MODES)
def test_a_write_of_many_keys_ends_in_time_where_nobody_answers(mode: str) -> None:
    """Nor is a connection that did not open tried again for each of them."""
    with listening(silent) as port:
        nobody = {
            "namespace": "crm",
            "sas_key_name": "any",
            "sas_key": "env:K",
            "endpoint": f"amqp://127.0.0.1:{port}",
        }
        with (
            emulator() as unused,
            exporting(unused, account=nobody, partitioning=mode, write_timeout=2.0) as exporter,
        ):
            began = time.monotonic()
            with pytest.raises(NotConnected, match="did not answer"):
                exporter.write(batch(300))
            assert time.monotonic() - began < 2.1


@pytest.mark.parametrize("mode", MODES)
def test_every_record_is_stored_once(server: Emulator, mode: str) -> None:
    with exporting(server, partitioning=mode) as exporter:
        assert exporter.write(batch(700, length=300)) == BatchResult(700)
        assert exporter.write(batch(700, length=300, first=700)) == BatchResult(700)
    assert sorted(numbers(server)) == list(range(1400))


def test_with_partitioning_key_a_batch_has_one_key_and_says_it(server: Emulator) -> None:
    with exporting(server) as exporter:
        exporter.write(batch(50, keys=5))
    assert sorted((attempt.key, attempt.events) for attempt in server.attempts(HUB)) == [
        (f"key-{n}", 10) for n in range(5)
    ]
    for event in server.accepted(HUB):
        assert event.partition == str(partition_of(event.key or "", 4))


def test_with_client_hash_the_partition_is_the_services_and_events_have_no_key(server: Emulator) -> None:
    written = batch(300)
    with exporting(server, partitioning="client-hash") as exporter:
        exporter.write(written)
    assert len(server.attempts(HUB)) == 4
    places = {event.body: event.partition for event in server.accepted(HUB)}
    assert all(event.key is None for event in server.accepted(HUB))
    for key, data in zip(written.keys, written.data, strict=True):
        assert places[data] == str(partition_of(key, 4))


def test_with_round_robin_a_write_is_one_batch_without_a_key(server: Emulator) -> None:
    with exporting(server, partitioning="round-robin") as exporter:
        for first in range(0, 400, 100):
            exporter.write(batch(100, first=first))
    attempts = server.attempts(HUB)
    assert [(attempt.key, attempt.events) for attempt in attempts] == [(None, 100)] * 4
    assert len({event.partition for event in server.accepted(HUB)}) == 4


@pytest.mark.parametrize("mode", ["key", "client-hash"])
def test_records_of_one_key_keep_their_order(server: Emulator, mode: str) -> None:
    with exporting(server, partitioning=mode) as exporter:
        for first in range(0, 1200, 300):
            assert not exporter.write(batch(300, keys=7, first=first)).failures
    if mode == "key":
        found = by_key(server)
        assert set(found) == {f"key-{n}" for n in range(7)}
        assert all(order == sorted(order) for order in found.values())
    else:
        for partition in range(4):
            order = numbers_of(server, str(partition))
            assert order == sorted(order)


def numbers_of(server: Emulator, partition: str) -> list[int]:
    events = [event for event in server.accepted(HUB) if event.partition == partition]
    return [int(event.body[5:].partition(b",")[0]) for event in sorted(events, key=lambda e: e.sequence)]


def test_batches_are_cut_by_the_limit_of_the_link() -> None:
    with emulator(tier="basic") as server, exporting(server, partitioning="round-robin") as exporter:
        assert not exporter.write(batch(60, length=10_000)).failures
        attempts = server.attempts(HUB)
        assert [attempt.events for attempt in attempts] == [26, 26, 8]
        assert all(attempt.size <= BASIC for attempt in attempts)
        assert sorted(numbers(server)) == list(range(60))


def test_a_second_batch_of_a_key_waits_for_the_first() -> None:
    with emulator(tier="basic") as server, exporting(server) as exporter:
        server.faults.add("server-busy", nth=2)
        result = exporter.write(batch(60, keys=1, length=10_000))
        assert numbers(server) == list(range(26))
        assert [attempt.events for attempt in server.attempts(HUB)] == [26, 26]
        assert {index: failure.kind for index, failure in result.failures.items()} == {
            **dict.fromkeys(range(26, 52), "throttled"),
            **dict.fromkeys(range(52, 60), "retry"),
        }


@pytest.mark.parametrize("mode", MODES)
def test_an_event_over_the_limit_is_rejected_and_never_sent(mode: str) -> None:
    with emulator(tier="basic") as server, exporting(server, partitioning=mode) as exporter:
        written = batch(3)
        data = [*written.data[:1], b"x" * (BASIC + 1), *written.data[2:]]
        result = exporter.write(Batch(written.keys, data))
        assert list(result.failures) == [1]
        failure = result.failures[1]
        assert (failure.kind, failure.code) == ("rejected", "EventTooLarge")
        assert "262,144" in failure.message
        assert sorted(numbers(server)) == [0, 2]
        assert sum(attempt.events for attempt in server.attempts(HUB)) == 2


def test_an_event_may_be_as_large_as_the_link_allows(server: Emulator) -> None:
    with exporting(server, partitioning="round-robin") as exporter:
        overhead = 2 * len(b"\x00\x53\x75\xb0....")
        at_limit, above = b"x" * (1_048_576 - overhead), b"x" * (1_048_576 - overhead + 1)
        result = exporter.write(Batch(["a", "b"], [at_limit, above]))
        assert list(result.failures) == [1]
        assert [event.body for event in server.accepted(HUB)] == [at_limit]


def test_a_key_that_is_no_text_is_rejected_alone(server: Emulator) -> None:
    with exporting(server) as exporter:
        result = exporter.write(Batch(["a", "\ud800", "b"], [b'{"n":0}', b'{"n":1}', b'{"n":2}']))
        assert [(index, f.kind, f.code) for index, f in result.failures.items()] == [
            (1, "rejected", "InvalidKey")
        ]
        assert sorted(numbers(server)) == [0, 2]


def test_more_keys_than_there_is_credit_for_are_pipelined(server: Emulator) -> None:
    with exporting(server) as exporter:
        assert not exporter.write(batch(2000)).failures
        assert len(server.attempts(HUB)) == 2000
        assert server.connections == 2


def test_round_trips_overlap(server: Emulator) -> None:
    """A hundred one-key batches with 50 ms each: one after the other they would take 5 s."""
    server.faults.add("delay-ack", ms=50)
    with exporting(server, write_timeout=3) as exporter:
        assert not exporter.write(batch(100)).failures
    assert server.faults.fired["delay-ack"] == 100


@pytest.mark.parametrize("mode", MODES)
def test_threads_write_side_by_side(server: Emulator, mode: str) -> None:
    with exporting(server, partitioning=mode) as exporter, ThreadPoolExecutor(8) as pool:
        together = threading.Barrier(8)

        def write(number: int) -> BatchResult:
            if number < 8:
                together.wait(10)
            return exporter.write(batch(100, first=number * 100))

        assert all(result == BatchResult(100) for result in pool.map(write, range(24)))
    assert sorted(numbers(server)) == list(range(2400))
    assert server.connections <= 3  # two to send, and one that asked for the partitions


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", "dd" * 40]), st.integers(0, 400_000)), max_size=8),
    st.sampled_from(MODES),
)
def test_whatever_the_sizes_all_is_stored_or_rejected(records: list[tuple[str, int]], mode: str) -> None:
    """Large enough for batches of the tier Basic to be cut in every way."""
    with emulator(2, tier="basic") as server, exporting(server, partitioning=mode) as exporter:
        data = [b'{"n":%d,' % n + b"x" * length for n, (_, length) in enumerate(records)]
        result = exporter.write(Batch([key for key, _ in records], data))
        kept = [n for n in range(len(records)) if n not in result.failures]
        assert sorted(numbers(server)) == kept
        assert all(failure.code == "EventTooLarge" for failure in result.failures.values())
        assert all(records[n][1] > 261_000 for n in result.failures)
        if mode != "round-robin":
            for order in by_key(server).values():
                assert mode == "client-hash" or order == sorted(order)


def test_an_empty_write_is_nothing(server: Emulator) -> None:
    with exporting(server) as exporter:
        assert exporter.write(Batch([], [])) == BatchResult(0)
    assert server.connections == 0


@pytest.mark.parametrize("mode", MODES)
def test_nothing_opens_again_after_close(server: Emulator, mode: str) -> None:
    with exporting(server, partitioning=mode) as exporter:
        exporter.write(batch(4))
    before = server.connections
    with pytest.raises(NotConnected):
        exporter.write(batch(4, first=4))
    assert server.connections == before
    assert (
        len(server.attempts(HUB)) == len({attempt.key for attempt in server.attempts(HUB)}) or mode != "key"
    )
    exporter.close()


def test_close_says_goodbye(server: Emulator) -> None:
    with exporting(server) as exporter:
        exporter.write(batch(10))
        assert server.connected == 2
    for _ in range(200):
        if not server.connected:
            break
        server.wait_for(HUB, 11, timeout=0.02)
    assert server.connected == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "eventhubs-sender"]


def test_the_content_type_goes_along(server: Emulator) -> None:
    with exporting(server, content_type="application/json") as exporter:
        exporter.write(batch(3))
    assert [event.system.get("content-type") for event in server.accepted(HUB)] == ["application/json"] * 3


@pytest.mark.parametrize(
    ("mode", "expected"), [("structured", "application/cloudevents+json"), ("binary", "application/json")]
)
def test_the_content_type_tells_the_modes_of_cloudevents_apart(
    server: Emulator, mode: str, expected: str
) -> None:
    data = [b'{"specversion":"1.0","id":"abc","datacontenttype":"application/json","data":{"n":1}}']
    with exporting(server, cloudevents_mode=mode, format="cloudevents") as exporter:
        assert not exporter.write(Batch(["a"], data)).failures
    assert [event.system.get("content-type") for event in server.accepted(HUB)] == [expected]


def test_the_event_id_goes_along(server: Emulator) -> None:
    ids = [f"{n:032x}" for n in range(3)]
    data = [b'{"specversion":"1.0","id":"%s","data":{"n":1}}' % id.encode() for id in ids]
    with exporting(server, event_id_property="event-id", format="cloudevents") as exporter:
        assert not exporter.write(Batch(["a", "b", "c"], data)).failures
    assert sorted(str(event.properties["event-id"]) for event in server.accepted(HUB)) == ids


def test_many_partitions_share_two_connections() -> None:
    with Emulator(Config(hubs=[Hub(HUB, partitions=32)])) as server:
        with exporting(server, partitioning="client-hash") as exporter:
            assert not exporter.write(batch(2000, length=100)).failures
            assert server.connections == 3
        assert len({event.partition for event in server.accepted(HUB)}) == 32
