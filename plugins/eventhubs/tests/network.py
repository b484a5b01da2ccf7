"""Certificates and servers on loopback that are no Event Hubs."""

from __future__ import annotations

import select
import socket
import ssl
from pathlib import Path

import trustme

from tailrace_eventhubs.selftest.network import Serve, free_port, listening

__all__ = ["Serve", "certificate", "free_port", "listening", "proxy", "saying", "silent"]


def certificate(folder: Path, host: str = "127.0.0.1") -> tuple[ssl.SSLContext, str]:
    """The context of a server, and the file of the authority to trust."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    trusted = folder / f"ca-{host}.pem"
    authority.cert_pem.write_to_path(trusted)
    return context, str(trusted)


def silent(connection: socket.socket) -> None:
    """Takes all and says nothing."""
    while connection.recv(65536):
        pass


def saying(answer: bytes) -> Serve:
    """Says the same to everyone, and hangs up."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    return serve


def proxy(
    to: int, asked: list[str], status: str = "200 Connection established", password: str | None = None
) -> Serve:
    """A proxy that leads every CONNECT to a port of this machine, or refuses it, or those without the
    password (`Basic …`)."""

    def serve(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        asked.append(head.split(b"\r\n")[0].decode())
        wrong = password is not None and f": {password}\r\n".encode() not in head
        answer = "407 Proxy Authentication Required" if wrong else status
        connection.sendall(f"HTTP/1.1 {answer}\r\n\r\n".encode())
        if not answer.startswith("200"):
            connection.shutdown(socket.SHUT_RDWR)
            return
        with socket.create_connection(("127.0.0.1", to)) as server:
            _pump(connection, server)

    return serve


def _pump(one: socket.socket, other: socket.socket) -> None:
    while True:
        for ready in select.select([one, other], [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return
            (other if ready is one else one).sendall(data)
