"""The sending end of a link: credit, drain, and deliveries cut to the client's frames."""

from __future__ import annotations

import struct
from collections.abc import Callable

from tailrace_eventhubs.emulator import performatives as amqp
from tailrace_eventhubs.emulator.encode import binary
from tailrace_eventhubs.emulator.performatives import Fields
from tailrace_eventhubs.emulator.session import Session, integer

_HEAD = 64  # bytes that a frame needs beside its payload, at most


class Outgoing:
    def __init__(self, session: Session, handle: int, settled: bool, pump: Callable[[], None]) -> None:
        self._session = session
        self._handle = handle
        self._settled = settled
        self._pump = pump
        self._count = 0
        self._credit = 0
        self._drain = False

    @property
    def ready(self) -> bool:
        """Whether the client takes another delivery now."""
        return self._credit > 0 and self._session.window > 0 and not self._session.connection.paused

    def on_flow(self, fields: Fields) -> None:
        if fields[6] is not None:
            self._credit = integer(fields[5], self._count) + integer(fields[6]) - self._count
            self._drain = fields[8] is True
        self._pump()
        if self._drain and self._credit > 0:  # nothing is left to send: the credit is used up
            self._count += self._credit
            self._credit = 0
            self._session.flow(self._handle, self._count, 0, drain=True)

    def send(self, message: bytes) -> None:
        """Send a delivery. Call it only if `ready`."""
        delivery = self._session.next_outgoing
        tag = binary(struct.pack(">I", self._count & 0xFFFFFFFF))
        size = self._session.connection.frame_size - _HEAD
        for at in range(0, len(message), size):
            more = at + size < len(message)
            head = amqp.transfer(self._handle, delivery, tag, 0, self._settled, more)
            self._session.transfer(head, message[at : at + size])
        self._count += 1
        self._credit -= 1
