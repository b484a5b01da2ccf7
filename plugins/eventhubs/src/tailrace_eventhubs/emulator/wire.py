"""Sockets: one port takes AMQP, and AMQP over WebSocket, told apart by the first bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tailrace_eventhubs.emulator.connection import Connection
from tailrace_eventhubs.emulator.effects import IDLE
from tailrace_eventhubs.emulator.namespace import Namespace
from tailrace_eventhubs.emulator.websocket import WebSocket

_LOOK = 0.1  # seconds between two looks at how long nothing came


class Wire(asyncio.Protocol):
    """One accepted socket."""

    def __init__(self, namespace: Namespace, wires: set[Wire]) -> None:
        self._namespace = namespace
        self._wires = wires
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._connection: Connection | None = None
        self._take: Callable[[bytes], None] = self._sniff
        self._first = b""
        self._last = self._loop.time()
        self._idle: asyncio.TimerHandle | None = None

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._wires.add(self)
        self._watch_idle()

    def data_received(self, data: bytes) -> None:
        self._last = self._loop.time()
        self._take(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._wires.discard(self)
        if self._idle is not None:
            self._idle.cancel()
        if self._connection is not None:
            self._connection.lost()

    def pause_writing(self) -> None:
        if self._connection is not None:
            self._connection.paused = True

    def resume_writing(self) -> None:
        if self._connection is not None:
            self._connection.resume()

    # The connection's side

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # What comes first

    def _sniff(self, data: bytes) -> None:
        self._first += data
        if len(self._first) < 4:
            return
        first, self._first = self._first, b""
        if first[:4] == b"AMQP":
            self._connection = Connection(self._namespace, self, self._loop.call_later)
            self._take = self._connection.receive
        elif first[:4] == b"GET ":
            socket = WebSocket(self)
            self._connection = Connection(self._namespace, socket, self._loop.call_later)
            socket.deliver = self._connection.receive
            self._take = socket.receive
        else:  # TLS, perhaps: nothing it would understand can be said
            self.close()
            return
        self._take(first)

    def _watch_idle(self) -> None:
        """Close a connection over which nothing comes, if the faults say so."""
        seconds, connection = self._namespace.faults.idle_seconds, self._connection
        idle = self._loop.time() - self._last
        if connection is not None and not connection.over and seconds is not None and idle >= seconds:
            self._namespace.faults.count("idle-close")
            connection.close(IDLE)
        else:
            self._idle = self._loop.call_later(_LOOK, self._watch_idle)
