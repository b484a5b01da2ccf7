"""The socket under a connection of the SDK, never waited for: bytes go out and come in as far as they can."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Any, Protocol

CHUNK = 1 << 18
UNANSWERED_MS = 30_000
"""How long a machine may leave what was sent without a sign. The SDK's own second is less than a server
needs that reads slowly on purpose."""


class Channel(Protocol):
    """`receive` gives b"" when there is nothing now and raises ConnectionError when nothing more comes; what
    it leaves wakes a poll. `send` says how much it took. From `wait_for` on calls block, for a farewell.
    `close` is for what the SDK leaves open where a connection was lost."""

    def fileno(self) -> int: ...

    def receive(self) -> bytes: ...

    def send(self, data: memoryview) -> int: ...

    def wait_for(self, seconds: float) -> None: ...

    def close(self) -> None: ...


class SocketChannel:
    """TCP, with or without TLS."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.settimeout(0.0)
        with suppress(OSError, AttributeError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)

    def fileno(self) -> int:
        return self._sock.fileno()

    def receive(self) -> bytes:
        try:
            data = self._sock.recv(CHUNK)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""
        if not data:
            raise ConnectionResetError("the server closed the connection")
        return data

    def send(self, data: memoryview) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def wait_for(self, seconds: float) -> None:
        with suppress(OSError):
            self._sock.settimeout(seconds)

    def close(self) -> None:
        self._sock.close()


class WebSocketChannel:
    """AMQP over WebSocket. Its library cannot stop in the middle of sending a frame, so `send` may block."""

    SEND_SECONDS = 20.0
    MOST = 1 << 16
    MOST_FRAMES = 1000
    SOON = 0.001

    def __init__(self, sock: Any) -> None:
        from websocket import WebSocketConnectionClosedException, WebSocketTimeoutException

        self._sock = sock
        self._nothing_now = (WebSocketTimeoutException, TimeoutError, BlockingIOError)
        self._closed = WebSocketConnectionClosedException

    def fileno(self) -> int:
        number: int = self._sock.sock.fileno()
        return number

    def receive(self) -> bytes:
        """Until there is no more, as the library reads ahead, where no poll sees it."""
        self._sock.settimeout(self.SOON)
        parts: list[bytes] = []
        try:
            while len(parts) < self.MOST_FRAMES:
                parts.append(self._sock.recv())
                if not parts[-1]:
                    raise ConnectionResetError("the server closed the connection")
        except self._nothing_now:
            pass
        except self._closed as error:
            raise ConnectionResetError("the server closed the connection") from error
        return b"".join(parts)

    def send(self, data: memoryview) -> int:
        self._sock.settimeout(self.SEND_SECONDS)
        part = bytes(data[: self.MOST])
        try:
            self._sock.send_binary(part)
        except (*self._nothing_now, self._closed) as error:
            raise ConnectionResetError("the server takes nothing") from error
        return len(part)

    def wait_for(self, seconds: float) -> None:
        with suppress(OSError):
            self._sock.settimeout(seconds)

    def close(self) -> None:
        self._sock.shutdown()


def channel_of(sock: Any) -> Channel:
    return SocketChannel(sock) if isinstance(sock, socket.socket) else WebSocketChannel(sock)
