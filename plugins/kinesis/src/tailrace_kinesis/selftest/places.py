"""A place for a row: a scripted server, an account that knows no other, and nothing of the machine's own
AWS configuration."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from tailrace import FaultPlace
from tailrace_kinesis.fakeserver import KinesisServer, Stream
from tailrace_kinesis.fakeserver.network import Proxy, free_port, listening
from tailrace_kinesis.machine import this_machine_alone
from tailrace_kinesis.selftest.plays import PLAYS, Play
from tailrace_kinesis.selftest.scripts import STREAM

KEY, SECRET = "AKIDSELFTEST", "canary-secret-of-the-selftest"

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBPTCB5KADAgECAgEBMAoGCCqGSM49BAMCMB0xGzAZBgNVBAMMEm5vYm9keSB0
cnVzdHMgdGhpczAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowHTEb
MBkGA1UEAwwSbm9ib2R5IHRydXN0cyB0aGlzMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEZ8oNniLMGPKopQkBO3Iv219ltYzI2Q9SeFXbPffamqll+RuqbRQRS05V
ODEqHyltDpmkax3F87NbjXaMtNE5MKMTMBEwDwYDVR0RBAgwBocEfwAAATAKBggq
hkjOPQQDAgNIADBFAiBNcS3jAsodTu5TEUgkDxsdyXwn27zTHYpTjzpDqoKArAIh
AJzEPAm1s0QCRJnnFC0k8sk7ozK6x9eQJAPjQTPtOAoP
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgzmLUULmfCcSLCCDk
t/1YCnIMnrKWJdVb/nGXVR2tWoKhRANCAARnyg2eIswY8qilCQE7ci/bX2W1jMjZ
D1J4Vds999qaqWX5G6ptFBFLTlU4MSofKW0OmaRrHcXzs1uNdoy00Tkw
-----END PRIVATE KEY-----
"""
"""For 127.0.0.1 and the row where nobody trusts it. Its key protects nothing."""

TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x28"


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
        this_machine_alone({"AWS_ENDPOINT_URL_STS": server.url}),
        play.inject(),
        play.off() if broken else nullcontext(),
    ):
        play.script(server)
        yield FaultPlace(
            account=account(Path(folder), server.url, **play.account or {}),
            connection={"stream": STREAM},
            read=lambda: read(server),
            injected=lambda: play.injected(server),
            requests=lambda: len(server.calls),
            check=lambda: play.check(server),
            secrets=(SECRET,),
            clock=ClientClock(server, play.hurry),
        )


def serving(play: Play) -> KinesisServer:
    # A script may change the stream, so that each server has its own.
    stream = replace(play.stream) if play.stream is not None else Stream()
    return KinesisServer(streams={STREAM: stream}, credentials={KEY: SECRET}, skew=play.skew)


def read(server: KinesisServer) -> list[tuple[str, bytes]]:
    return [(record.key, record.data) for record in server.accepted(STREAM)]


def account(folder: Path, url: str, **more: object) -> Mapping[str, object]:
    """With a secret behind a reference, so that nothing has to be encrypted with the user's own key."""
    secret = folder / "secret"
    secret.write_text(SECRET)
    given = {"region": "eu-west-1", "access_key_id": KEY, "secret_key": f"file:{secret}"}
    return {**given, "endpoint_url": url, **more}


class ClientClock:
    """The clock of the client, which a script of the server may set ahead, and which may hurry."""

    def __init__(self, server: KinesisServer, hurry: float) -> None:
        self._server = server
        self._hurry = hurry

    def time(self) -> float:
        return time.time() + self._server.client_ahead

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
    url = f"http://127.0.0.1:{port}"
    yield _nowhere(account(folder, url), lambda: before + refuses() if before else 0)


@contextmanager
def name_not_resolved(folder: Path) -> Iterator[FaultPlace]:
    asked: list[object] = []

    def nothing(*arguments: object, **options: object) -> list[Any]:
        asked.append(arguments)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with mock.patch.object(socket, "getaddrinfo", nothing):
        yield _nowhere(account(folder, "https://kinesis.invalid"), lambda: len(asked))


@contextmanager
def tls_not_trusted(folder: Path) -> Iterator[FaultPlace]:
    pem = folder / "server.pem"
    pem.write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with KinesisServer(streams={STREAM: Stream()}, credentials={KEY: SECRET}, tls=context) as server:
        yield _nowhere(account(folder, server.url), lambda: server.met("tls"), server)


@contextmanager
def tls_broken(folder: Path) -> Iterator[FaultPlace]:
    alerts: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        alerts.append(connection.recv(65536))
        connection.sendall(TLS_ALERT)

    with listening(serve) as port:
        yield _nowhere(account(folder, f"https://127.0.0.1:{port}"), lambda: len(alerts))


@contextmanager
def proxy_wants_password(folder: Path) -> Iterator[FaultPlace]:
    proxy = Proxy(denies=True)
    with (
        listening(proxy.serve) as port,
        KinesisServer(streams={STREAM: Stream()}, credentials={KEY: SECRET}) as server,
    ):
        given = account(folder, server.url, proxy=f"http://127.0.0.1:{port}")
        yield _nowhere(given, lambda: len(proxy.first_lines), server)


def _nowhere(
    given: Mapping[str, object], injected: Callable[[], int], server: KinesisServer | None = None
) -> FaultPlace:
    """A place where nothing arrives."""
    return FaultPlace(
        account=given,
        connection={"stream": STREAM},
        read=lambda: read(server) if server is not None else [],
        injected=injected,
        secrets=(SECRET,),
    )


OTHERS = {
    "refused-connection": nobody_listens,
    "name-not-resolved": name_not_resolved,
    "tls-not-trusted": tls_not_trusted,
    "tls-broken": tls_broken,
    "proxy-wants-password": proxy_wants_password,
}
"""Rows in which no server that is scripted answers."""
