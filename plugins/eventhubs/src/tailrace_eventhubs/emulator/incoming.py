"""The receiving end of a link: transfers become deliveries, and the client keeps its credit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tailrace_eventhubs.emulator.performatives import Condition, Fields
from tailrace_eventhubs.emulator.session import Session, integer

_CREDIT = 300


@dataclass(frozen=True, slots=True)
class Incoming:
    """A delivery, whole."""

    number: int
    message_format: int
    settled: bool
    payload: bytes


class Assembly:
    def __init__(
        self, session: Session, handle: int, limit: int, first: int, deliver: Callable[[Incoming], None]
    ) -> None:
        self._session = session
        self._handle = handle
        self._limit = limit
        self._deliver = deliver
        self._count = first
        self._credit = 0
        self._parts: list[memoryview] = []
        self._size = 0
        self._first: Fields | None = None

    def grant(self) -> None:
        """Give the client all its credit."""
        self._credit = _CREDIT
        self._session.flow(self._handle, self._count, self._credit)

    def on_transfer(self, fields: Fields, payload: memoryview) -> None:
        """Raises Condition, for the link, if a delivery is too large or there was no credit for it."""
        if self._first is None:
            if self._credit <= 0:
                raise Condition("amqp:link:transfer-limit-exceeded", "There is no credit for this transfer.")
            self._first = fields
        self._size += len(payload)
        if self._size > self._limit:
            raise Condition(
                "amqp:link:message-size-exceeded",
                f"The message is larger than the link's limit of {self._limit} bytes.",
            )
        if fields[9] is True:  # aborted
            self._reset()
        elif fields[5] is True:  # more
            self._parts.append(payload)
        else:
            self._complete(payload)

    @property
    def size(self) -> int:
        """Bytes of the delivery that is under way."""
        return self._size

    def _complete(self, payload: memoryview) -> None:
        first = self._first
        assert first is not None
        whole = b"".join((*self._parts, payload)) if self._parts else bytes(payload)
        self._reset()
        number, kind = integer(first[1]), integer(first[3], 0)
        self._deliver(Incoming(number, kind, first[4] is True, whole))
        if self._credit <= _CREDIT // 2:
            self.grant()

    def _reset(self) -> None:
        self._parts, self._size, self._first = [], 0, None
        self._count += 1
        self._credit -= 1
