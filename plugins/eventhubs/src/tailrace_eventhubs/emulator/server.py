"""The server: one thread with one event loop, which all connections share."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

from tailrace_eventhubs.emulator.config import Config, ConfigError, Hub, Key
from tailrace_eventhubs.emulator.faults import Faults
from tailrace_eventhubs.emulator.health import serve_health
from tailrace_eventhubs.emulator.log import Accepted
from tailrace_eventhubs.emulator.namespace import Attempt, HubState, Namespace
from tailrace_eventhubs.emulator.wire import Wire

T = TypeVar("T")
_SECONDS = 10.0


class CannotListen(OSError):
    """A port that cannot be had. `where` is the argument it was asked by: `port` or `health_port`."""

    def __init__(self, where: str, port: int, cause: OSError) -> None:
        super().__init__(cause.errno, f"{where} {port} cannot be had: {cause.strerror or cause}")
        self.where = where


class Emulator:
    """An Event Hubs namespace on loopback, in this process.

        with Emulator(Config(hubs=[Hub("orders", partitions=4)])) as server:
            client = EventHubProducerClient.from_connection_string(server.connection_string("orders"))

    It is told what to do wrong by `faults`, and tells what it took by `accepted` and `attempts`. Everything
    may be called from any thread, while it runs and after it has ended.

    `tls`: a server's context; then the port speaks TLS, and a client needs `endpoint` as its custom endpoint
    address. `health_port`: also answer `GET /health` there, 0 for any port. `attempts_kept`: how many
    attempts are remembered, the newest. A port that no machine has is refused with `ConfigError`.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        health_port: int | None = None,
        attempts_kept: int = 200_000,
    ) -> None:
        _check_port("port", port)
        if health_port is not None:
            _check_port("health_port", health_port)
        self.config = config if config is not None else Config()
        self._namespace = Namespace(self.config, attempts_kept=attempts_kept)
        self._namespace.on_change = self._changed
        self._host = host
        self._port = port
        self._tls = tls
        self._health_port = health_port
        self._health: asyncio.Server | None = None
        self.healthy = True
        """What `GET /health` says."""
        self._loop: asyncio.AbstractEventLoop
        self._wires: set[Wire] = set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, name="event-hubs-emulator", daemon=True)
        self._started = threading.Event()
        self._failed: BaseException | None = None
        self._grown = threading.Condition()
        self._waiting = 0

    # Its life

    def start(self) -> None:
        """Listen. Returns when clients can connect. Raises OSError if a port cannot be had.

        Whatever it raises, nothing is left open.
        """
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        self._started.wait()
        if self._failed is not None:
            self._thread.join()
            raise self._failed

    def stop(self) -> None:
        """Cut all connections and end. May be called twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._listen())
        except BaseException as error:  # `start` waits in another thread, and raises it there
            self._failed = error
        self._started.set()
        if self._failed is None:
            self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _listen(self) -> None:
        with _asked("port", self._port):
            self._server = await self._loop.create_server(
                lambda: Wire(self._namespace, self._wires),
                self._host, self._port, ssl=self._tls, backlog=1024,
            )  # fmt: skip
        self._port = self._server.sockets[0].getsockname()[1]
        if self._health_port is not None:
            with _asked("health_port", self._health_port):
                self._health = await serve_health(
                    lambda: self.healthy, host=self._host, port=self._health_port
                )
            self._health_port = self._health.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        for listening in (self._server, self._health):
            if listening is not None:
                listening.close()
        self._cut()
        deadline = self._loop.time() + 1.0
        while self._wires and self._loop.time() < deadline:
            await asyncio.sleep(0.001)

    # Where it is

    @property
    def port(self) -> int:
        return self._port

    @property
    def health_port(self) -> int | None:
        return self._health_port

    @property
    def endpoint(self) -> str:
        """`sb://host:port`"""
        return f"sb://{self._host}:{self._port}"

    def connection_string(self, hub: str | None = None, *, key: Key | None = None) -> str:
        """What a client connects with: the first key of the namespace, unless another one is named.

        With TLS a client takes no port from it; give it `endpoint` as its custom endpoint address, too.
        """
        used = key if key is not None else self.config.keys[0]
        text = f"Endpoint={self.endpoint};SharedAccessKeyName={used.name};SharedAccessKey={used.value}"
        if self._tls is None:
            text += ";UseDevelopmentEmulator=true"
        return text if hub is None else f"{text};EntityPath={hub}"

    # What it took

    @property
    def faults(self) -> Faults:
        """What to do wrong, and how often it was done."""
        return self._namespace.faults

    def accepted(self, hub: str) -> list[Accepted]:
        """The events of a hub (also a deleted one) that are kept, in the order in which they were stored."""
        return list(self.iter_accepted(hub))

    def iter_accepted(self, hub: str) -> Iterator[Accepted]:
        """The same, one after the other: what was stored when this is called."""
        segments = self._ask(lambda: self._state(hub).log.segments())
        return (event for segment in segments for event in segment.accepted())

    def stored(self, hub: str) -> int:
        """How many events were stored in a hub since the beginning, kept or not."""
        return self._ask(lambda: self._state(hub).log.stored)

    def attempts(self, hub: str) -> list[Attempt]:
        """What senders tried on a hub, in order: the newest, as many as are remembered."""
        name = hub.lower()
        return self._ask(lambda: [attempt for attempt in self._namespace.attempts if attempt.hub == name])

    def outcomes(self, hub: str) -> Counter[str]:
        """How many attempts on a hub ended how, since the beginning."""
        return self._ask(lambda: Counter(self._namespace.outcomes.get(hub.lower(), {})))

    @property
    def connections(self) -> int:
        """How many connections were made since the beginning."""
        return self._namespace.connections

    @property
    def connected(self) -> int:
        """How many there are now."""
        return len(self._wires)

    def wait_for(self, hub: str, events: int, timeout: float = _SECONDS) -> bool:
        """Wait until so many events were stored in a hub; whether it came to that in so many seconds."""
        return self._wait(lambda: self._stored_now(hub) >= events, timeout)

    def wait_for_attempts(self, hub: str, attempts: int, timeout: float = _SECONDS) -> bool:
        """Wait until senders tried so many deliveries on a hub."""
        return self._wait(
            lambda: sum(self._namespace.outcomes.get(hub.lower(), {}).values()) >= attempts, timeout
        )

    # What may be changed

    def create(self, hub: Hub) -> None:
        """Add a hub, or make a deleted one anew, empty."""
        self._ask(lambda: self._namespace.create(hub))

    def disable(self, hub: str) -> None:
        """Disable a hub: its links are detached, and none can be attached until `enable`."""
        self._ask(lambda: self._namespace.disable(hub))

    def enable(self, hub: str) -> None:
        self._ask(lambda: self._namespace.enable(hub))

    def delete(self, hub: str) -> None:
        """Delete a hub with all it holds: its links are detached."""
        self._ask(lambda: self._namespace.delete(hub))

    def drop_connections(self) -> None:
        """Cut every connection there is."""
        self._ask(self._cut)

    # Inside

    def _cut(self) -> None:
        for wire in list(self._wires):
            wire.abort()

    def _state(self, hub: str) -> HubState:
        state = self._namespace.find(hub) or self._namespace.deleted.get(hub.lower())
        if state is None:
            raise KeyError(f"there is no hub {hub!r}")
        return state

    def _stored_now(self, hub: str) -> int:
        return self._state(hub).log.stored

    def _ask(self, question: Callable[[], T]) -> T:
        """Call something in the server's thread, between two events; here, if it does not run."""
        if not self._thread.is_alive() or threading.current_thread() is self._thread:
            return question()

        async def answer() -> T:
            return question()

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(_SECONDS)

    def _changed(self) -> None:
        if self._waiting:
            with self._grown:
                self._grown.notify_all()

    def _wait(self, reached: Callable[[], bool], timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        with self._grown:
            self._waiting += 1
            try:
                while not reached():
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return False
                    self._grown.wait(min(left, 0.05))
                return True
            finally:
                self._waiting -= 1


def _check_port(where: str, port: int) -> None:
    if not 0 <= port <= 65535:
        raise ConfigError(where, f"0 to 65535, not {port}")


@contextmanager
def _asked(where: str, port: int) -> Iterator[None]:
    """An error says which of the two ports it is about."""
    try:
        yield
    except OSError as error:
        raise CannotListen(where, port, error) from error
