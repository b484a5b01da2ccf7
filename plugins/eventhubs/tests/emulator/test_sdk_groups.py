"""Consumers that share the partitions of a hub through a checkpoint store, as programs of users do."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import azure.eventhub.aio
import pytest
from azure.eventhub import CheckpointStore, EventHubConsumerClient
from azure.eventhub.exceptions import ConnectionLostError

from plugins.eventhubs.tests.emulator.sdk import QUICK, SECONDS, Blocking, Sdk, ended, producer, send
from tailrace_eventhubs.emulator import Emulator

BALANCING: dict[str, Any] = {
    "load_balancing_interval": 0.3,
    "partition_ownership_expiration_interval": 3.0,
    "load_balancing_strategy": "greedy",
}
Entry = dict[str, Any]


class Store(CheckpointStore):
    """Ownership and checkpoints in memory, safe for threads; a claim with an old etag is refused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[str, Entry] = {}
        self.checkpoints: dict[str, Entry] = {}

    def list_ownership(
        self, fully_qualified_namespace: str, eventhub_name: str, consumer_group: str, **_: Any
    ) -> list[Entry]:
        with self._lock:
            return [dict(owner) for owner in self._owners.values()]

    def claim_ownership(self, ownership_list: Any, **_: Any) -> list[Entry]:
        claimed = []
        with self._lock:
            for wanted in ownership_list:
                held = self._owners.get(wanted["partition_id"])
                if held is not None and held["etag"] != wanted.get("etag"):
                    continue
                entry = {**wanted, "etag": object(), "last_modified_time": time.time()}
                self._owners[wanted["partition_id"]] = entry
                claimed.append(dict(entry))
        return claimed

    def update_checkpoint(self, checkpoint: Entry, **_: Any) -> None:
        with self._lock:
            self.checkpoints[checkpoint["partition_id"]] = dict(checkpoint)

    def list_checkpoints(
        self, fully_qualified_namespace: str, eventhub_name: str, consumer_group: str, **_: Any
    ) -> list[Entry]:
        with self._lock:
            return [dict(checkpoint) for checkpoint in self.checkpoints.values()]

    def owners(self) -> dict[str, str]:
        with self._lock:
            return {number: owner["owner_id"] for number, owner in self._owners.items()}


class AsyncStore(azure.eventhub.aio.CheckpointStore):
    """The same for asynchronous clients."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list_ownership(self, *place: str, **more: Any) -> list[Entry]:
        return self._store.list_ownership(*place, **more)

    async def claim_ownership(self, ownership_list: Any, **more: Any) -> list[Entry]:
        return self._store.claim_ownership(ownership_list, **more)

    async def update_checkpoint(self, checkpoint: Entry, **more: Any) -> None:
        self._store.update_checkpoint(checkpoint, **more)

    async def list_checkpoints(self, *place: str, **more: Any) -> list[Entry]:
        return self._store.list_checkpoints(*place, **more)


class Reader:
    """A consumer in a thread of its own, of either kind, that makes a checkpoint of every event.

    With a store the SDK gives it the level 0, so that the last one to come takes a partition.
    """

    def __init__(self, sdk: Sdk, server: Emulator, store: Store | None, **how: Any) -> None:
        self.events: list[tuple[str, str]] = []
        self.errors: list[Exception] = []
        self.partitions: set[str] = set()
        self._server, self._store, self._how = server, store, {"starting_position": "-1", **how}
        self._stop = threading.Event()
        run = self._block if isinstance(sdk, Blocking) else self._await
        self._thread = threading.Thread(target=run)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _given(self, store: object) -> dict[str, Any]:
        return {
            "conn_str": self._server.connection_string(), "consumer_group": "readers", "eventhub_name": "hub",
            "checkpoint_store": store, **QUICK, **BALANCING,
        }  # fmt: skip

    def _block(self) -> None:
        client = EventHubConsumerClient.from_connection_string(**self._given(self._store))

        def on_event(context: Any, event: Any) -> None:
            self.events.append((context.partition_id, event.body_as_str()))
            if self._store is not None:
                context.update_checkpoint(event)

        receiving = threading.Thread(
            target=client.receive,
            args=(on_event,),
            kwargs={
                "on_error": lambda _, error: self.errors.append(error),
                "on_partition_initialize": lambda context: self.partitions.add(context.partition_id),
                "on_partition_close": lambda context, _: self.partitions.discard(context.partition_id),
                **self._how,
            },
        )
        receiving.start()
        self._stop.wait()
        client.close()
        receiving.join(SECONDS)

    def _await(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        given = self._given(None if self._store is None else AsyncStore(self._store))
        client = azure.eventhub.aio.EventHubConsumerClient.from_connection_string(**given)

        async def on_event(context: Any, event: Any) -> None:
            self.events.append((context.partition_id, event.body_as_str()))
            if self._store is not None:
                await context.update_checkpoint(event)

        async def on_error(context: Any, error: Exception) -> None:
            self.errors.append(error)

        async def on_begin(context: Any) -> None:
            self.partitions.add(context.partition_id)

        async def on_end(context: Any, reason: Any) -> None:
            self.partitions.discard(context.partition_id)

        task = asyncio.ensure_future(
            client.receive(
                on_event,
                on_error=on_error,
                on_partition_initialize=on_begin,
                on_partition_close=on_end,
                **self._how,
            )
        )
        await asyncio.to_thread(self._stop.wait)
        await client.close()
        await ended(task)


def wait_until(true: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not in {seconds:.0f} s: {what}"
        threading.Event().wait(0.02)


def fill(sdk: Sdk, server: Emulator, word: str) -> None:
    with producer(sdk, server) as client:
        for partition in "0123":
            send(sdk, client, [f"{word} {partition} {n}" for n in range(5)], partition_id=partition)


def test_a_reader_goes_on_where_the_last_one_stopped(sdk: Sdk, server: Emulator) -> None:
    store = Store()
    fill(sdk, server, "first")
    with Reader(sdk, server, store) as reader:
        wait_until(lambda: len(store.checkpoints) == 4 and len(reader.events) == 20, "20 events")
        assert not reader.errors
    assert {point["sequence_number"] for point in store.checkpoints.values()} == {4}
    fill(sdk, server, "second")
    with Reader(sdk, server, store) as reader:
        wait_until(lambda: len(reader.events) >= 20, "20 more events")
        assert sorted(reader.events) == sorted((p, f"second {p} {n}") for p in "0123" for n in range(5))
        assert not reader.errors


@pytest.mark.slow
def test_two_readers_share_the_partitions(sdk: Sdk, server: Emulator) -> None:
    store = Store()
    fill(sdk, server, "first")
    with Reader(sdk, server, store) as one:
        wait_until(lambda: len(one.partitions) == 4 and len(one.events) == 20, "one reader has all")
        with Reader(sdk, server, store) as two:
            wait_until(lambda: len(one.partitions) == len(two.partitions) == 2, "two each", 40)
            assert one.partitions | two.partitions == set("0123")
            owners = store.owners()
            assert len({owners[number] for number in one.partitions}) == 1
            fill(sdk, server, "second")
            wait_until(lambda: len({*one.events, *two.events}) == 40, "each event has reached one of them")
            assert {p for p, text in two.events if text.startswith("second")} == two.partitions
        wait_until(lambda: len(one.partitions) == 4, "the one that is left has all again", 40)


def test_an_exclusive_reader_drives_out_a_lower_one(sdk: Sdk, server: Emulator) -> None:
    how = {"partition_id": "0"}
    fill(sdk, server, "event")
    with Reader(sdk, server, None, owner_level=1, **how) as lower:
        wait_until(lambda: len(lower.events) == 5, "the lower reads")
        with Reader(sdk, server, None, owner_level=2, **how) as higher:
            wait_until(lambda: len(higher.events) == 5, "the higher reads")
            wait_until(lambda: bool(lower.errors), "the lower is told")
            assert isinstance(lower.errors[0], ConnectionLostError) and "stolen" in str(lower.errors[0])
            assert not higher.errors
            with Reader(sdk, server, None, owner_level=1, **how) as again:
                wait_until(lambda: bool(again.errors), "the lower cannot come back")
                assert not again.events
            with Reader(sdk, server, None, **how) as plain:
                wait_until(lambda: bool(plain.errors), "one without a level cannot either")
                assert not plain.events


def test_readers_without_a_level_read_side_by_side(sdk: Sdk, server: Emulator) -> None:
    fill(sdk, server, "event")
    with (
        Reader(sdk, server, None, partition_id="0") as one,
        Reader(sdk, server, None, partition_id="0") as two,
    ):
        wait_until(lambda: len(one.events) == len(two.events) == 5, "both read all")
        assert not one.errors and not two.errors
