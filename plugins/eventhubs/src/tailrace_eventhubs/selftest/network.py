"""Servers on loopback that are no Event Hubs."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

Serve = Callable[[socket.socket], None]

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBojCCAUigAwIBAgIUVIdL3jVprnZa4ghLC3/pdEMwR4gwCgYIKoZIzj0EAwIw
HTEbMBkGA1UEAwwSbm9ib2R5IHRydXN0cyB0aGlzMCAXDTI2MTEyNzA2MTY1MloY
DzIxMjYxMTAzMDYxNjUyWjAdMRswGQYDVQQDDBJub2JvZHkgdHJ1c3RzIHRoaXMw
WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASyIVX3mGNrKEOq14U9WzYU6AiftaMo
WAndOT3Qk9BbJ8sz2kr1CXnrzPev2KisTkOgRE/znGlwyNSPI+sXN/Bao2QwYjAd
BgNVHQ4EFgQUj84qdI1yIsOIeM5ilYzARYF4IRQwHwYDVR0jBBgwFoAUj84qdI1y
IsOIeM5ilYzARYF4IRQwDwYDVR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAAB
MAoGCCqGSM49BAMCA0gAMEUCIQDkqdFevPNzF0nslSM4X9x5pQQBxJTjo6ZuI8OB
Y6KDhQIgR99nlF2bxZxlgqz4+EuN4EpeB4WDav/RlgK5wlnH3FY=
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg2GNPE25u36oKz7/O
bLh8nbdR7kPK2WdCGIp3EGGZ1PKhRANCAASyIVX3mGNrKEOq14U9WzYU6AiftaMo
WAndOT3Qk9BbJ8sz2kr1CXnrzPev2KisTkOgRE/znGlwyNSPI+sXN/Ba
-----END PRIVATE KEY-----
"""
"""For 127.0.0.1 and the rows where nobody trusts it. Its key protects nothing."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def tls_context(folder: Path) -> ssl.SSLContext:
    pem = folder / "server.pem"
    pem.write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@contextmanager
def listening(serve: Serve) -> Iterator[int]:
    """A server that hands each connection to a thread; connections are cut when it ends."""
    server = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                held.append(connection)
                thread = threading.Thread(target=_safely, args=(serve, connection))
                threads.append(thread)
                thread.start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield int(server.getsockname()[1])
    finally:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        accepting.join()
        for connection in held:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for connection in held:
            connection.close()


def _safely(serve: Serve, connection: socket.socket) -> None:
    with suppress(OSError):
        serve(connection)
