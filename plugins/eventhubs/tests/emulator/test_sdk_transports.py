"""TLS with certificates that are trusted and that are not, and AMQP over WebSocket, by the SDK."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from azure.core.credentials import AzureNamedKeyCredential
from azure.eventhub import TransportType
from azure.eventhub import __version__ as VERSION
from azure.eventhub.exceptions import ConnectError, EventHubError

from plugins.eventhubs.tests.emulator.sdk import QUICK, Asynchronous, Sdk, body_of, closing, producer, send
from tailrace_eventhubs.emulator import Config, Emulator, Hub
from tailrace_eventhubs.emulator.config import KEY_NAME, KEY_VALUE


@dataclass(frozen=True)
class Secure:
    server: Emulator
    trusted: Path
    """The certificate of the authority."""


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Secure]:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    trusted = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(trusted)
    with Emulator(Config(hubs=[Hub("hub", partitions=1)]), tls=context) as server:
        yield Secure(server, trusted)


@contextmanager
def reached(
    sdk: Sdk, secure: Secure, transport: TransportType, kind: str = "EventHubProducerClient", **more: Any
) -> Iterator[Any]:
    if isinstance(sdk, Asynchronous) and transport == TransportType.Amqp and VERSION.startswith("5.14."):
        pytest.skip("sets options of a socket on loopback to values that Linux refuses; 5.15 no longer does")
    given: dict[str, Any] = {
        "transport_type": transport,
        "custom_endpoint_address": f"sb://localhost:{secure.server.port}",
        "connection_verify": str(secure.trusted),
        **QUICK,
        **more,
    }
    group = {"consumer_group": "$Default"} if "Consumer" in kind else {}
    credential = AzureNamedKeyCredential(KEY_NAME, KEY_VALUE)
    client = getattr(sdk.module, kind)(
        "ns.servicebus.windows.net", "hub", credential=credential, **group, **given
    )
    with closing(sdk, client):
        yield client


BOTH = pytest.mark.parametrize("transport", [TransportType.Amqp, TransportType.AmqpOverWebsocket])


@BOTH
def test_a_trusted_certificate(sdk: Sdk, secure: Secure, transport: TransportType) -> None:
    body = bytes(range(256)) * 1000
    with reached(sdk, secure, transport) as client:
        assert sdk.done(client.get_partition_ids()) == ["0"]
        send(sdk, client, [body, b"b"], partition_id="0")
    assert [event.body for event in secure.server.accepted("hub")] == [body, b"b"]
    with reached(sdk, secure, transport, "EventHubConsumerClient") as client:
        received = sdk.receive(client, 2, partition_id="0", starting_position="-1")
    assert [body_of(event) for _, event in received] == [body, b"b"]


@BOTH
def test_a_certificate_that_is_not_trusted(
    sdk: Sdk, secure: Secure, transport: TransportType, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    with (
        reached(sdk, secure, transport, connection_verify=str(other)) as client,
        pytest.raises(ConnectError, match=r"(?i)certificate.verify.failed"),
    ):
        send(sdk, client, ["x"])


def test_tls_spoken_to_a_plain_port(sdk: Sdk, secure: Secure, server: Emulator) -> None:
    address = f"sb://localhost:{server.port}"
    with (
        reached(sdk, secure, TransportType.Amqp, custom_endpoint_address=address) as client,
        pytest.raises(EventHubError),
    ):
        send(sdk, client, ["x"])
    _still_serves(sdk, server)


def test_plain_amqp_spoken_to_a_tls_port(sdk: Sdk, secure: Secure) -> None:
    text = f"Endpoint=sb://localhost:{secure.server.port};SharedAccessKeyName=a;SharedAccessKey=b"
    with (
        producer(sdk, secure.server, conn_str=f"{text};UseDevelopmentEmulator=true;") as client,
        pytest.raises(EventHubError),
    ):
        send(sdk, client, ["x"])
    with reached(sdk, secure, TransportType.Amqp) as client:
        send(sdk, client, ["after"])


def _still_serves(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server) as client:
        send(sdk, client, ["after"])


REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: {upgrade}\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
)
RIGHT = {"path": "/$servicebus/websocket", "upgrade": "websocket", "protocol": "AMQPWSB10"}


def _upgrade(secure: Secure, **changed: str) -> bytes:
    context = ssl.create_default_context(cafile=str(secure.trusted))
    with (
        socket.create_connection(("localhost", secure.server.port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(REQUEST.format(**{**RIGHT, **changed}).encode())
        return connection.recv(65536)


def test_the_handshake_of_a_websocket(secure: Secure) -> None:
    answer = _upgrade(secure).lower()
    assert answer.startswith(b"http/1.1 101")
    assert b"sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in answer
    assert b"sec-websocket-protocol: amqpwsb10" in answer


@pytest.mark.parametrize("changed", [{"path": "/"}, {"upgrade": "h2c"}, {"protocol": "chat"}])
def test_a_handshake_that_is_not_right(secure: Secure, changed: dict[str, str]) -> None:
    assert _upgrade(secure, **changed).split(b" ")[1] in {b"400", b"404", b"426"}
