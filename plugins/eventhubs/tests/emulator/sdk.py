"""The unmodified SDK, its blocking and its asynchronous clients behind one way of calling them.

A test that takes the fixture `sdk` runs once with each. `sdk.done` waits for what a client's method returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Protocol

import azure.eventhub
import azure.eventhub.aio
import pytest
from azure.eventhub.exceptions import ConnectionLostError

from tailrace_eventhubs.emulator import Emulator

SECONDS = 20.0
"""How long anything may take before a test fails."""

QUICK: dict[str, Any] = {"retry_total": 0, "retry_backoff_factor": 0.05, "auth_timeout": 10}
"""No retries that a test did not ask for."""

Received = tuple[str, azure.eventhub.EventData]


class Sdk(Protocol):
    """What both kinds of clients can be asked."""

    @property
    def module(self) -> ModuleType: ...

    def done(self, result: Any) -> Any:
        """The value of a call of a client's method."""

    def receive(self, client: Any, count: int, **how: Any) -> list[Received]:
        """So many events with their partitions, then close the client. Raises what the client reports."""

    def refused(self, client: Any, server: Emulator, **how: Any) -> str:
        """What becomes known of it when a consumer's link is refused: the text of the error, if any."""

    def close(self) -> None: ...


class Blocking:
    module = azure.eventhub

    def done(self, result: Any) -> Any:
        return result

    def receive(self, client: Any, count: int, **how: Any) -> list[Received]:
        events: list[Received] = []
        errors: list[Exception] = []
        enough = threading.Event()

        def on_event(context: Any, event: Any) -> None:
            events.append((context.partition_id, event))
            if len(events) >= count:
                enough.set()

        def on_error(context: Any, error: Exception) -> None:
            errors.append(error)
            enough.set()

        thread = threading.Thread(
            target=client.receive, args=(on_event,), kwargs={"on_error": on_error, **how}
        )
        thread.start()
        in_time = enough.wait(SECONDS)
        client.close()
        thread.join(SECONDS)
        assert not thread.is_alive(), "the client does not close"
        return _outcome(events, errors, in_time)

    def refused(self, client: Any, server: Emulator, **how: Any) -> str:
        with pytest.raises(ConnectionLostError) as caught:
            self.receive(client, 1, **how)
        return str(caught.value)

    def close(self) -> None:
        pass


class Asynchronous:
    module = azure.eventhub.aio

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def done(self, result: Any) -> Any:
        return self._runner.run(asyncio.wait_for(result, SECONDS))

    def receive(self, client: Any, count: int, **how: Any) -> list[Received]:
        return self._runner.run(self._receive(client, count, how))

    async def _receive(self, client: Any, count: int, how: dict[str, Any]) -> list[Received]:
        events: list[Received] = []
        errors: list[Exception] = []
        enough = asyncio.Event()

        async def on_event(context: Any, event: Any) -> None:
            events.append((context.partition_id, event))
            if len(events) >= count:
                enough.set()

        async def on_error(context: Any, error: Exception) -> None:
            errors.append(error)
            enough.set()

        task = asyncio.ensure_future(client.receive(on_event, on_error=on_error, **how))
        in_time = True
        try:
            await asyncio.wait_for(enough.wait(), SECONDS)
        except TimeoutError:
            in_time = False
        await asyncio.wait_for(client.close(), SECONDS)
        await ended(task)
        return _outcome(events, errors, in_time)

    def refused(self, client: Any, server: Emulator, **how: Any) -> str:
        """The asynchronous consumer hides it, and connects again and again."""
        return self._runner.run(self._refused(client, server, how))

    async def _refused(self, client: Any, server: Emulator, how: dict[str, Any]) -> str:
        events: list[object] = []

        async def on_event(context: Any, event: Any) -> None:
            events.append(event)

        before, deadline = server.connections, time.monotonic() + SECONDS
        task = asyncio.ensure_future(client.receive(on_event, **how))
        while server.connections < before + 5:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        await client.close()
        await ended(task)
        assert events == []
        return ""

    def close(self) -> None:
        self._runner.close()


async def ended(task: asyncio.Future[Any]) -> None:
    """A client that is closed sleeps on until its next balancing: no more is to come from it."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _outcome(events: list[Received], errors: list[Exception], in_time: bool) -> list[Received]:
    if errors:
        raise errors[0]
    assert in_time, f"only {len(events)} events in {SECONDS:.0f} s"
    return events


@contextlib.contextmanager
def producer(sdk: Sdk, server: Emulator, hub: str = "hub", **more: Any) -> Iterator[Any]:
    """A producer with the emulator's own key, or with `conn_str=`."""
    given = {"conn_str": server.connection_string(), "eventhub_name": hub, **QUICK, **more}
    client = sdk.module.EventHubProducerClient.from_connection_string(**given)
    with closing(sdk, client):
        yield client


@contextlib.contextmanager
def producer_with(
    sdk: Sdk, server: Emulator, credential: object, hub: str = "hub", **more: Any
) -> Iterator[Any]:
    """A producer with a credential object."""
    host = f"127.0.0.1:{server.port}"
    given = {"use_tls": False, **QUICK, **more}
    client = sdk.module.EventHubProducerClient(host, hub, credential, **given)
    with closing(sdk, client):
        yield client


@contextlib.contextmanager
def consumer(
    sdk: Sdk, server: Emulator, hub: str = "hub", group: str = "$Default", **more: Any
) -> Iterator[Any]:
    given = {"conn_str": server.connection_string(), "eventhub_name": hub, **QUICK, **more}
    client = sdk.module.EventHubConsumerClient.from_connection_string(consumer_group=group, **given)
    with closing(sdk, client):
        yield client


@contextlib.contextmanager
def closing(sdk: Sdk, client: Any) -> Iterator[Any]:
    try:
        yield client
    finally:
        sdk.done(client.close())


def body_of(event: Any) -> bytes:
    """The body of an event that was sent as bytes."""
    return b"".join(event.body)


def refused(sdk: Sdk, server: Emulator, client: Any, why: str, **how: Any) -> None:
    """The link of a consumer must be refused, and the client must be told why if it lets that be known."""
    text = sdk.refused(client, server, **{"partition_id": "0", "starting_position": "-1", **how})
    assert why in text or (not text and isinstance(sdk, Asynchronous))


def send(sdk: Sdk, client: Any, bodies: list[str] | list[bytes], **where: Any) -> None:
    """One batch, which must be stored."""
    batch = sdk.done(client.create_batch(**where))
    for body in bodies:
        batch.add(azure.eventhub.EventData(body))
    sdk.done(client.send_batch(batch, timeout=10))
