"""AMQP over WebSocket, the server's side: the handshake, and frames (RFC 6455)."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable

from tailrace_eventhubs.emulator.connection import Transport

PATH = "/$servicebus/websocket"
PROTOCOL = "AMQPWSB10"

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LONGEST_HEAD = 16_384
_LONGEST_FRAME = 16 << 20
_CONTINUED, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_TOO_LARGE, _WRONG = 1009, 1002


class WebSocket:
    """A transport for a connection, over another one."""

    def __init__(self, transport: Transport) -> None:
        self.deliver: Callable[[bytes], None] = lambda data: None
        self._transport = transport
        self._buffer = bytearray()
        self._open = False
        self._over = False

    # The connection's side

    def write(self, data: bytes) -> None:
        self._send(_BINARY, data)

    def close(self) -> None:
        self._end(1000)

    def abort(self) -> None:
        self._over = True
        self._transport.abort()

    # The socket's side

    def receive(self, data: bytes) -> None:
        self._buffer += data
        if not self._open and not self._over:
            self._handshake()
        while self._open and not self._over and self._frame():
            pass

    def _handshake(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _LONGEST_HEAD:
                self._refuse("431 Request Header Fields Too Large")
            return
        head = bytes(self._buffer[:end]).decode("latin-1")
        del self._buffer[: end + 4]
        request, *lines = head.split("\r\n")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        problem = _problem(request, headers)
        if problem is not None:
            self._refuse(problem)
            return
        digest = hashlib.sha1(headers["sec-websocket-key"].encode("latin-1") + _MAGIC).digest()
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n"
            b"Sec-WebSocket-Protocol: " + PROTOCOL.encode() + b"\r\n\r\n"
        )
        self._open = True

    def _refuse(self, status: str) -> None:
        self._over = True
        self._transport.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        self._transport.close()

    def _frame(self) -> bool:
        """Take one frame out of the buffer; whether there was a whole one."""
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        kind, masked, size, at = buffer[0] & 0x0F, buffer[1] & 0x80, buffer[1] & 0x7F, 2
        if size >= 126:
            form = ">H" if size == 126 else ">Q"
            at += struct.calcsize(form)
            if len(buffer) < at:
                return False
            size = struct.unpack_from(form, buffer, 2)[0]
        if not masked or buffer[0] & 0x70 or size > _LONGEST_FRAME:
            self._end(_WRONG if size <= _LONGEST_FRAME else _TOO_LARGE)
            return False
        if len(buffer) < at + 4 + size:
            return False
        data = _unmask(bytes(buffer[at : at + 4]), bytes(buffer[at + 4 : at + 4 + size]))
        del buffer[: at + 4 + size]
        self._on_frame(kind, data)
        return True

    def _on_frame(self, kind: int, data: bytes) -> None:
        if kind in (_BINARY, _CONTINUED):  # where one message ends and the next begins means nothing to AMQP
            self.deliver(data)
        elif kind == _PING:
            self._send(_PONG, data)
        elif kind == _CLOSE:
            self._end(1000)
        elif kind != _PONG:
            self._end(_WRONG)

    def _send(self, kind: int, data: bytes) -> None:
        if not self._over:
            self._transport.write(_head(kind, len(data)) + data)

    def _end(self, code: int) -> None:
        if not self._over:
            self._send(_CLOSE, struct.pack(">H", code))
            self._over = True
            self._transport.close()


def _problem(request: str, headers: dict[str, str]) -> str | None:
    """The status of a refusal; None for a handshake that is right."""
    parts = request.split(" ")
    if len(parts) != 3 or parts[1].partition("?")[0].lower() != PATH:
        return "404 Not Found"
    if headers.get("upgrade", "").lower() != "websocket" or "sec-websocket-key" not in headers:
        return "400 Bad Request"
    offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
    return None if PROTOCOL in offered else "400 Bad Request"


def _head(kind: int, size: int) -> bytes:
    if size < 126:
        return bytes((0x80 | kind, size))
    return (
        struct.pack(">BBH", 0x80 | kind, 126, size)
        if size < 65536
        else struct.pack(">BBQ", 0x80 | kind, 127, size)
    )


def _unmask(mask: bytes, data: bytes) -> bytes:
    size = len(data)
    whole = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(whole, "big")).to_bytes(size, "big")
