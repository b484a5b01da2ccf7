"""Small hostile things of a network, on loopback: a port that breaks, a port nobody listens on, a proxy."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port; each connection is served in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stopping = False

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                if stopping:
                    connection.close()
                    return
                threading.Thread(target=run, args=(connection,), daemon=True).start()

        def run(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopping = True
            with suppress(OSError):
                socket.create_connection(listener.getsockname(), 1).close()
            thread.join()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def head(connection: socket.socket) -> bytes:
    """The head of a request."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        if not part:
            return received
        received += part
    return received


def request(connection: socket.socket) -> bytes:
    """A whole request; empty at the end of the connection."""
    received = head(connection)
    length = re.search(rb"content-length: ([0-9]+)", received.lower())
    missing = (int(length[1]) if length else 0) - len(received.partition(b"\r\n\r\n")[2])
    while missing > 0 and (part := connection.recv(65536)):
        received += part
        missing -= len(part)
    return received


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def break_after_request(connection: socket.socket) -> None:
    """Take a whole request, and answer it with a reset."""
    request(connection)
    reset(connection)


class Proxy:
    """Forwards plain requests and CONNECT tunnels to wherever they say; asks for a password if told."""

    def __init__(self, *, denies: bool = False) -> None:
        self.denies = denies
        self.first_lines: list[bytes] = []

    def serve(self, connection: socket.socket) -> None:
        first = request(connection)  # all of it, and "close" below: else a reset could overtake the answer
        line = first.partition(b"\r\n")[0]
        self.first_lines.append(line)
        if self.denies:
            connection.sendall(
                b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                b"Connection: close\r\nContent-Length: 0\r\n\r\n"
            )
            return
        method, where, _ = line.split(b" ")
        tunnel = method == b"CONNECT"
        address = where if tunnel else where.removeprefix(b"http://").partition(b"/")[0]
        host, _, port = address.decode().partition(":")
        with socket.create_connection((host, int(port)), 5) as there:
            if tunnel:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                there.sendall(first)
            back = threading.Thread(target=_copy, args=(there, connection), daemon=True)
            back.start()
            _copy(connection, there)
            back.join(5)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
