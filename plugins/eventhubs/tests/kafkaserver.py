"""As much of a Kafka server as a look at a topic needs: versions, SASL PLAIN, metadata."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from plugins.eventhubs.tests.network import Serve

VERSIONS, HANDSHAKE, AUTHENTICATE, METADATA = 18, 17, 36, 3
_UNSUPPORTED_VERSION, _AUTHENTICATION_FAILED, _UNKNOWN_TOPIC, _DENIED = 35, 58, 3, 29


@dataclass
class Kafka:
    """Which passwords are right, and how many partitions a topic has; 0: it may not be looked at."""

    passwords: set[str]
    topics: Mapping[str, int]
    port: int = 0
    seen: list[bytes] = field(default_factory=list)

    def serve(self) -> Serve:
        def run(connection: socket.socket) -> None:
            while head := connection.recv(4, socket.MSG_WAITALL):
                frame = connection.recv(struct.unpack("!i", head)[0], socket.MSG_WAITALL)
                api, version, number = struct.unpack_from("!hhi", frame)
                at = 10 + max(struct.unpack_from("!h", frame, 8)[0], 0)
                answer = struct.pack("!i", number) + self._answer(api, version, frame[at:])
                connection.sendall(struct.pack("!i", len(answer)) + answer)

        return run

    def _answer(self, api: int, version: int, body: bytes) -> bytes:
        if api == VERSIONS:
            known = ((VERSIONS, 0, 0), (HANDSHAKE, 0, 1), (AUTHENTICATE, 0, 0), (METADATA, 0, 1))
            error = _UNSUPPORTED_VERSION if version else 0
            return struct.pack("!hi", error, len(known)) + b"".join(
                struct.pack("!hhh", *each) for each in known
            )
        if api == HANDSHAKE:
            return struct.pack("!hi", 0, 1) + _text("PLAIN")
        if api == AUTHENTICATE:
            return self._authenticate(body[4:])
        return self._metadata(body)

    def _authenticate(self, given: bytes) -> bytes:
        self.seen.append(given)
        _, user, password = given.decode().split("\0")
        good = user == "$ConnectionString" and password in self.passwords
        said = b"" if good else b"canary: refused"
        error = 0 if good else _AUTHENTICATION_FAILED
        return struct.pack("!hh", error, len(said) or -1) + said + struct.pack("!i", 0)

    def _metadata(self, body: bytes) -> bytes:
        count = struct.unpack_from("!i", body)[0]
        names, at = [], 4
        for _ in range(max(count, 0)):
            length = struct.unpack_from("!h", body, at)[0]
            names.append(body[at + 2 : at + 2 + length].decode())
            at += 2 + length
        broker = struct.pack("!ii", 1, 0) + _text("127.0.0.1") + struct.pack("!ih", self.port, -1)
        topics = b"".join(self._topic(name) for name in names)
        return broker + struct.pack("!ii", 0, len(names)) + topics

    def _topic(self, name: str) -> bytes:
        partitions = self.topics.get(name)
        error = _UNKNOWN_TOPIC if partitions is None else _DENIED if partitions == 0 else 0
        each = b"".join(struct.pack("!hiiiiii", 0, n, 0, 1, 0, 1, 0) for n in range(partitions or 0))
        return struct.pack("!h", error) + _text(name) + struct.pack("!bi", 0, partitions or 0) + each


def _text(text: str) -> bytes:
    return struct.pack("!h", len(text)) + text.encode()
