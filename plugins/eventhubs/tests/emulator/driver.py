"""A client that sends what it is told, byte for byte: the SDK would send nothing wrong, and not as fast."""

from __future__ import annotations

import socket
import struct
import uuid
from collections.abc import Iterator

from tailrace_eventhubs.emulator import Emulator
from tailrace_eventhubs.emulator import performatives as amqp
from tailrace_eventhubs.emulator.decode import Described
from tailrace_eventhubs.emulator.encode import (
    FALSE,
    NULL,
    TRUE,
    binary,
    boolean,
    described,
    long,
    mapping,
    sequence,
    string,
    symbol,
    ubyte,
    uint,
    ushort,
)
from tailrace_eventhubs.emulator.messages import BATCH
from tailrace_eventhubs.emulator.tokens import sas

SASL = b"AMQP\x03\x01\x00\x00"
AMQP = b"AMQP\x00\x01\x00\x00"

Frame = tuple[int, amqp.Fields, bytes]
"""Code of the performative, its fields, the payload."""


def data(body: bytes) -> bytes:
    """An event with this body."""
    return described(0x75, binary(body))


def batch(events: list[bytes], key: str | None = None) -> bytes:
    """Events as one message."""
    envelope = (
        b"" if key is None else described(0x72, mapping([(symbol("x-opt-partition-key"), string(key))]))
    )
    return envelope + b"".join(described(0x75, binary(event)) for event in events)


class Driver:
    """One connection, blocking. Frames that come are read in turn, those that nobody asks for are dropped."""

    def __init__(self, port: int, *, timeout: float = 10.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self.beats = 0
        """Heartbeats that came."""
        self._sent = 0  # deliveries of the session

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    # Frames

    def send(self, body: bytes, channel: int = 0, kind: int = 0) -> None:
        self.socket.sendall(amqp.frame(channel, body, kind))

    def take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            got = self.socket.recv(1 << 18)
            if not got:
                raise EOFError
            self._buffer += got
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def frame(self) -> Frame:
        while (head := self.take(8)) == amqp.HEARTBEAT:
            self.beats += 1
        size, offset = struct.unpack(">IB", head[:5])
        body = self.take(size - 8)[offset * 4 - 8 :]
        fields, payload = amqp.fields(body)
        return amqp.performative(body), fields, body[payload:]

    def frames(self) -> Iterator[Frame]:
        while True:
            yield self.frame()

    def until(self, code: int) -> Frame:
        """The next frame of a performative."""
        return next(frame for frame in self.frames() if frame[0] == code)

    def rest(self) -> bytes:
        """All that comes until the server ends the connection, or cuts it."""
        try:
            while True:
                self.take(len(self._buffer) + 1)
        except (EOFError, ConnectionError):
            return bytes(self._buffer)

    # The usual beginning

    def open(self, max_frame: int = 65536, *, idle: int | None = None) -> Driver:
        self.socket.sendall(SASL)
        assert self.take(8) == SASL
        self.frame()
        self.send(described(amqp.INIT, sequence([symbol("ANONYMOUS")])), kind=1)
        self.frame()
        self.socket.sendall(AMQP)
        assert self.take(8) == AMQP
        told = [string("driver"), NULL, uint(max_frame), ushort(100), NULL if idle is None else uint(idle)]
        self.send(described(amqp.OPEN, sequence(told)))
        self.until(amqp.OPEN)
        self.send(described(amqp.BEGIN, sequence([NULL, uint(0), uint(5000), uint(5000)])))
        self.until(amqp.BEGIN)
        return self

    def authorize(self, token: str, audience: str, kind: str = "servicebus.windows.net:sastoken") -> int:
        """Put a token; the status of the answer."""
        self.attach(100, "$cbs", sender=True)
        self.attach(101, "$cbs", sender=False)
        self.credit(101, 10)
        self.transfer(100, _request(token, audience, kind), message_format=0)
        while True:
            _, _, payload = self.until(amqp.TRANSFER)
            for code, value in _sections(payload):
                if code == 0x74 and isinstance(value, dict):
                    return int(value["status-code"])

    def attach(
        self,
        handle: int,
        address: str,
        *,
        sender: bool,
        selector: str | None = None,
        epoch: int | None = None,
        name: str | None = None,
    ) -> Frame:
        """Attach a link; the answer (its source and target are None for a refusal)."""
        filters = NULL
        if selector is not None:
            kind = "apache.org:selector-filter:string"
            filters = mapping([(symbol(kind), b"\x00" + symbol(kind) + string(selector))])
        source = described(0x28, sequence([string(address), *[NULL] * 6, filters]))
        target = described(0x29, sequence([string(address)]))
        properties = NULL if epoch is None else mapping([(symbol("com.microsoft:epoch"), long(epoch))])
        role = FALSE if sender else TRUE
        link = string(name or uuid.uuid4().hex)
        count = uint(0) if sender else NULL
        self.send(
            described(
                amqp.ATTACH,
                sequence(
                    [link, uint(handle), role, ubyte(0), ubyte(0), source, target, NULL, NULL, count]
                    + [NULL] * 3
                    + [properties]
                ),
            )
        )
        return self.until(amqp.ATTACH)

    def credit(
        self, handle: int, credit: int, *, count: int = 0, drain: bool = False, window: int = 5000
    ) -> None:
        """Give credit; `window` is how many frames of transfers the session takes, from its first on."""
        fields = [uint(1), uint(window), uint(0), uint(5000), uint(handle), uint(count), uint(credit), NULL]
        self.send(described(amqp.FLOW, sequence([*fields, boolean(drain)])))

    def transfer(
        self,
        handle: int,
        message: bytes,
        *,
        message_format: int = BATCH,
        settled: bool = False,
        frame_size: int = 65536,
    ) -> int:
        """Send a delivery; its number."""
        number = self._sent
        self._sent += 1
        self.socket.sendall(
            transfers(
                handle, number, message, message_format=message_format, settled=settled, size=frame_size
            )
        )
        return number

    def outcome(self) -> tuple[int, int, object]:
        """The next disposition: first, last, and the state (a Described)."""
        _, fields, _ = self.until(amqp.DISPOSITION)
        first, last = fields[1], fields[2]
        assert isinstance(first, int) and isinstance(last, int)
        return first, last, fields[4]

    def sender(self, server: Emulator, hub: str = "hub", *, address: str | None = None) -> Driver:
        """Open, with a token of the first key and a sender link with the handle 1."""
        self.open()
        self.token(server, hub)
        self.attach(1, address or hub, sender=True)
        self.until(amqp.FLOW)
        return self

    def token(self, server: Emulator, hub: str = "hub", *, expires: float | None = None) -> int:
        key, audience = server.config.keys[0], f"{server.endpoint}/{hub}"
        return self.authorize(sas(audience, key.name, key.value, expires=expires), audience)


def transfers(
    handle: int,
    number: int,
    message: bytes,
    *,
    message_format: int = BATCH,
    settled: bool = False,
    size: int = 65536,
) -> bytes:
    """A delivery as frames."""
    tag, room = binary(struct.pack(">I", number)), size - 64
    frames = []
    for at in range(0, len(message) or 1, room):
        more = at + room < len(message)
        head = [uint(handle), uint(number), tag, uint(message_format), boolean(settled), boolean(more)]
        frames.append(amqp.frame(0, described(amqp.TRANSFER, sequence(head)) + message[at : at + room]))
    return b"".join(frames)


def condition(state: object) -> str | None:
    """The symbol of an error, or of a rejected outcome."""
    if isinstance(state, Described) and state.descriptor == 0x25:
        assert isinstance(state.value, list)
        return condition(state.value[0])
    if isinstance(state, Described) and state.descriptor == 0x1D:
        assert isinstance(state.value, list)
        return str(state.value[0])
    return None


def _request(token: str, audience: str, kind: str) -> bytes:
    told = {"operation": "put-token", "type": kind, "name": audience}
    return (
        described(0x73, sequence([string(uuid.uuid4().hex)]))
        + described(0x74, mapping([(string(name), string(value)) for name, value in told.items()]))
        + described(0x77, string(token))
    )


def _sections(payload: bytes) -> Iterator[tuple[int, object]]:
    from tailrace_eventhubs.emulator.decode import decode

    at = 0
    while at < len(payload):
        section, at = decode(payload, at)
        assert isinstance(section, Described) and isinstance(section.descriptor, int)
        yield section.descriptor, section.value
