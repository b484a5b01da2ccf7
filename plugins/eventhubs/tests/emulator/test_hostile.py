"""Bytes that no client would send: the server drops the connection at most, and serves the next one."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from azure.eventhub import EventData, EventHubProducerClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from plugins.eventhubs.tests.emulator.sdk import QUICK
from tailrace_eventhubs.emulator import Config, Emulator, Hub

FEW = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def shared() -> Iterator[Emulator]:
    with Emulator(Config(hubs=[Hub("hub", partitions=2)])) as running:
        yield running


class Tap:
    """A proxy that writes down what a client says, for each connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.said: list[bytearray] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            first = client.recv(65536)
            if not first:  # how `close` wakes this thread
                client.close()
                return
            self.said.append(bytearray(first))
            thread = threading.Thread(target=self._serve, args=(client, self.said[-1]))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket, said: bytearray) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as there:
            back = threading.Thread(target=_copy, args=(there, client))
            back.start()
            there.sendall(said)
            with suppress(OSError):
                while part := client.recv(65536):
                    said += part
                    there.sendall(part)
            with suppress(OSError):
                there.shutdown(socket.SHUT_WR)
            back.join()

    def close(self) -> None:
        socket.create_connection(("127.0.0.1", self.port), 10).close()
        for thread in self._threads:
            thread.join()
        self._listener.close()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)


@pytest.fixture(scope="module")
def said(shared: Emulator) -> bytes:
    """All that the SDK says to send one batch to a partition, from the first byte to the last."""
    tap = Tap(shared.port)
    text = shared.connection_string().replace(str(shared.port), str(tap.port))
    with EventHubProducerClient.from_connection_string(text, eventhub_name="hub", **QUICK) as client:
        batch = client.create_batch(partition_id="1")
        batch.add(EventData(b"the body"))
        client.send_batch(batch, timeout=10)
    tap.close()
    (found,) = [said for said in tap.said if b"the body" in said]
    return bytes(found)


def speak(server: Emulator, data: bytes) -> bytes:
    """Say it, hang up, and read what comes until the server has hung up, too."""
    received = b""
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            received += part
    return received


def still_serves(server: Emulator) -> None:
    assert speak(server, b"AMQP\x03\x01\x00\x00").startswith(b"AMQP\x03\x01\x00\x00")


@FEW
@given(st.binary(max_size=400))
@example(b"")
@example(b"AMQP\x00\x01\x00\x00")
@example(b"GET / HTTP/1.1\r\n\r\n")
@example(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
def test_any_bytes(shared: Emulator, data: bytes) -> None:
    speak(shared, data)
    still_serves(shared)


@FEW
@given(st.data())
def test_what_the_sdk_says_cut_off_anywhere(shared: Emulator, said: bytes, data: st.DataObject) -> None:
    speak(shared, said[: data.draw(st.integers(0, len(said)))])
    still_serves(shared)


@FEW
@given(st.data())
def test_what_the_sdk_says_with_bytes_changed(shared: Emulator, said: bytes, data: st.DataObject) -> None:
    changed = bytearray(said)
    for at, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(said) - 1), st.integers(0, 255)), min_size=1, max_size=4)
    ):
        changed[at] = byte
    speak(shared, bytes(changed))
    still_serves(shared)


HEAD = b"AMQP\x03\x01\x00\x00"


@FEW
@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 255), st.binary(max_size=60))
@example(0xFFFFFFFF, 2, b"")
@example(0, 2, b"")
@example(8, 0xFF, b"")
def test_frames_of_any_size(shared: Emulator, size: int, offset: int, rest: bytes) -> None:
    speak(shared, HEAD + struct.pack(">IBBH", size, offset, 1, 0) + rest)
    still_serves(shared)


@FEW
@given(st.integers(0, 255), st.binary(max_size=200))
def test_any_performative_in_place_of_one_of_the_sdks(
    shared: Emulator, said: bytes, code: int, fields: bytes
) -> None:
    """After the opening, a frame with any code and any bytes as its fields."""
    frames = list(_frames(said))
    opening = b"".join(frames[:4])
    body = b"\x00\x53" + bytes([code]) + fields
    for channel in (0, 1, 999):
        frame = struct.pack(">IBBH", 8 + len(body), 2, 0, channel) + body
        speak(shared, opening + frame)
    still_serves(shared)


def _frames(said: bytes) -> Iterator[bytes]:
    """The protocol headers and frames of what was said."""
    at = 0
    while at < len(said):
        size = 8 if said[at : at + 4] == b"AMQP" else int.from_bytes(said[at : at + 4])
        yield said[at : at + size]
        at += size


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(HEAD + b"\xff\xff\xff\xff\x02\x01\x00\x00", id="a frame of four gigabytes"),
        pytest.param(HEAD + b"\x00\x00\x00\x07\x02\x01\x00\x00", id="a frame shorter than its head"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"x" * 70_000, id="a request without an end"),
        pytest.param(b"\x16\x03\x01\x02\x00", id="TLS"),
    ],
)
def test_what_cannot_become_right_is_hung_up_on(shared: Emulator, start: bytes) -> None:
    with socket.create_connection(("127.0.0.1", shared.port), 10) as connection, suppress(ConnectionError):
        connection.sendall(start)
        while connection.recv(65536):
            pass
    still_serves(shared)


UPGRADE = (
    b"GET /$servicebus/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: AMQPWSB10\r\n\r\n"
)


@FEW
@given(st.binary(max_size=300))
@example(b"\x82\xff" + b"\xff" * 8 + bytes(4))
@example(b"\x82\x05hello")
@example(b"\x89\x80" + bytes(4))
@example(b"\x88\x80" + bytes(4))
def test_any_frames_of_a_websocket(shared: Emulator, data: bytes) -> None:
    assert speak(shared, UPGRADE + data).startswith(b"HTTP/1.1 101 ")
    still_serves(shared)


@FEW
@given(st.data())
def test_what_the_sdk_says_cut_into_frames_of_a_websocket(
    shared: Emulator, said: bytes, data: st.DataObject
) -> None:
    """Frames of a WebSocket need not be those of AMQP; a mask of zeros changes nothing."""
    frames, at = b"", 0
    while at < len(said):
        part = said[at : at + data.draw(st.integers(1, 700))]
        frames += b"\x82\xfe" + struct.pack(">H", len(part)) + bytes(4) + part
        at += len(part)
    before = shared.stored("hub")
    speak(shared, UPGRADE + frames)
    assert shared.stored("hub") == before + 1


def test_many_connections_that_say_nothing(shared: Emulator) -> None:
    idle = [socket.create_connection(("127.0.0.1", shared.port), 10) for _ in range(100)]
    still_serves(shared)
    for connection in idle:
        connection.close()
    still_serves(shared)
