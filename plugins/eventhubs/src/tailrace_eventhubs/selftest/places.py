"""A place for a row: an emulator, an account that knows no other, and nothing of the machine's own Azure
configuration."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from tailrace import FaultPlace
from tailrace_eventhubs.emulator import Config, Emulator, Hub
from tailrace_eventhubs.machine import this_machine_alone
from tailrace_eventhubs.selftest.network import free_port, listening, tls_context
from tailrace_eventhubs.selftest.plays import LISTENER, PLAYS, SENDER, WRONG, Play
from tailrace_eventhubs.selftest.scripts import HUB, attempts

SECRETS = (SENDER.value, LISTENER.value, WRONG)

TLS_HELLO, TLS_ALERT = b"\x16\x03", b"\x15\x03\x03\x00\x02\x02\x46"
AMQP = b"AMQP\x00\x01\x00\x00"


@contextmanager
def fault_place(row: str, broken: bool) -> Iterator[FaultPlace]:
    """The place of the row of that name."""
    if row in OTHERS:
        with (
            this_machine_alone(),
            TemporaryDirectory(prefix="tailrace-selftest-") as folder,
            OTHERS[row](Path(folder)) as place,
        ):
            yield place
        return
    play = PLAYS[row]
    with (
        TemporaryDirectory(prefix="tailrace-selftest-") as folder,
        serving(play) as server,
        this_machine_alone(),
        play.off() if broken else nullcontext(),
    ):
        play.script(server)
        yield FaultPlace(
            account=account(Path(folder), f"amqp://127.0.0.1:{server.port}", play),
            connection={"event_hub_name": HUB, **(play.connection or {})},
            read=lambda: read(server),
            injected=lambda: play.injected(server),
            requests=lambda: attempts(server),
            check=lambda: play.check(server),
            secrets=SECRETS,
            clock=ClientClock(play.hurry),
        )


def serving(play: Play) -> Emulator:
    hub = Hub(HUB, partitions=play.partitions)
    return Emulator(Config(hubs=[hub], keys=[SENDER, LISTENER], tier=play.tier))


def read(server: Emulator) -> list[tuple[str | None, bytes]]:
    return [(event.key, event.body) for event in server.accepted(HUB)]


def account(folder: Path, endpoint: str, play: Play | None = None) -> Mapping[str, object]:
    """With a secret behind a reference, so that nothing has to be encrypted with the user's own key."""
    play = play or Play()
    secret = folder / "secret"
    secret.write_text(play.key.value if play.given is None else play.given)
    return {
        "namespace": "selftest",
        "sas_key_name": play.key.name,
        "sas_key": f"file:{secret}",
        "endpoint": endpoint,
    }


class ClientClock:
    """The clock of the core, which may hurry."""

    def __init__(self, hurry: float) -> None:
        self._hurry = hurry

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic() * self._hurry


@contextmanager
def nobody_listens(folder: Path) -> Iterator[FaultPlace]:
    """A server that is not there cannot count, so the port is tried before and after."""
    port = free_port()

    def refuses() -> int:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            return 1
        return 0

    before = refuses()
    yield _nowhere(account(folder, f"amqp://127.0.0.1:{port}"), lambda: before + refuses() if before else 0)


@contextmanager
def no_such_host(folder: Path) -> Iterator[FaultPlace]:
    asked: list[object] = []

    def nothing(*arguments: object, **options: object) -> list[Any]:
        asked.append(arguments)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with mock.patch.object(socket, "getaddrinfo", nothing):
        yield _nowhere(account(folder, "amqps://eventhubs.invalid"), lambda: len(asked))


@contextmanager
def certificate_not_trusted(folder: Path) -> Iterator[FaultPlace]:
    context = tls_context(folder)
    refused: list[ssl.SSLError] = []

    def serve(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(65536)
        except ssl.SSLError as error:
            refused.append(error)

    with listening(serve) as port:
        yield _nowhere(account(folder, f"amqps://127.0.0.1:{port}"), lambda: len(refused))


@contextmanager
def plain_to_a_tls_port(folder: Path) -> Iterator[FaultPlace]:
    with _answering(TLS_ALERT) as (port, heard):
        given = account(folder, f"amqp://127.0.0.1:{port}")
        yield _nowhere(given, lambda: sum(data.startswith(b"AMQP") for data in heard))


@contextmanager
def tls_to_a_plain_port(folder: Path) -> Iterator[FaultPlace]:
    with _answering(AMQP) as (port, heard):
        given = account(folder, f"amqps://127.0.0.1:{port}")
        yield _nowhere(given, lambda: sum(data.startswith(TLS_HELLO) for data in heard))


@contextmanager
def silent_server(folder: Path) -> Iterator[FaultPlace]:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            heard.append(data)

    with listening(serve) as port:
        yield _nowhere(account(folder, f"amqp://127.0.0.1:{port}"), lambda: len(heard))


@contextmanager
def proxy_asks_for_password(folder: Path) -> Iterator[FaultPlace]:
    with _refusing_proxy(folder, b"407 Proxy Authentication Required") as place:
        yield place


@contextmanager
def proxy_forbids(folder: Path) -> Iterator[FaultPlace]:
    with _refusing_proxy(folder, b"403 Forbidden") as place:
        yield place


@contextmanager
def _refusing_proxy(folder: Path, status: bytes) -> Iterator[FaultPlace]:
    with _answering(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n") as (port, heard):
        given = account(folder, "amqps://eventhubs.invalid")
        through = {"transport": "websocket", "proxy": f"http://127.0.0.1:{port}"}
        yield _nowhere({**given, **through}, lambda: sum(data.startswith(b"CONNECT") for data in heard))


@contextmanager
def _answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A port that says the same to everyone, and hangs up; and what it heard."""
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        heard.append(connection.recv(65536))
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    with listening(serve) as port:
        yield port, heard


def _nowhere(given: Mapping[str, object], injected: Callable[[], int]) -> FaultPlace:
    """A place where nothing arrives."""
    return FaultPlace(
        account=given,
        connection={"event_hub_name": HUB},
        read=list,
        injected=injected,
        secrets=SECRETS,
    )


OTHERS = {
    "nobody-listens": nobody_listens,
    "no-such-host": no_such_host,
    "certificate-not-trusted": certificate_not_trusted,
    "tls-to-a-plain-port": tls_to_a_plain_port,
    "plain-to-a-tls-port": plain_to_a_tls_port,
    "silent-server": silent_server,
    "proxy-asks-for-password": proxy_asks_for_password,
    "proxy-forbids": proxy_forbids,
}
"""Rows in which no emulator that is scripted answers."""
