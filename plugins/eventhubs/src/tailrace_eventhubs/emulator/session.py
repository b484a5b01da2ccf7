"""One session: its windows, its links, and the answers to deliveries, many in one disposition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tailrace_eventhubs.emulator import performatives as amqp
from tailrace_eventhubs.emulator.performatives import Condition, Fields

if TYPE_CHECKING:
    from tailrace_eventhubs.emulator.connection import Connection

_WINDOW = 5000


class Link(Protocol):
    """One end of a link, the server's."""

    handle: int
    receives: bool
    """Whether the client sends over it."""
    limit: int
    """Bytes of one message; 0 where it says nothing."""
    settle: bytes
    """The mode of settling that the answer to the attach names; empty for the client's own."""

    def begin(self) -> None:
        """The attach is answered; the link may be used."""

    def on_transfer(self, fields: Fields, payload: memoryview) -> None: ...

    def on_flow(self, fields: Fields) -> None: ...

    def resume(self) -> None:
        """The client takes more again."""

    def closed(self) -> None:
        """The link is gone; nothing may be sent over it any more."""


class Session:
    def __init__(self, connection: Connection, channel: int, begin: Fields) -> None:
        self.connection = connection
        self.channel = channel
        self.links: dict[int, Link] = {}
        self.next_outgoing = 1
        self._ending: set[int] = set()  # handles that were detached here, and not yet by the client
        self._next_incoming = integer(begin[1])
        self._remote_window = integer(begin[2])
        self._since_flow = 0
        self._settled: list[tuple[int, bytes]] = []
        self.send(amqp.begin(channel, self.next_outgoing, _WINDOW, _WINDOW))

    def send(self, body: bytes) -> None:
        self.connection.send(self.channel, body)

    # Links

    def attached(self, link: Link) -> None:
        self.links[link.handle] = link

    def detach(self, link: Link, condition: Condition | None) -> None:
        """End a link from here; what the client still sends over it is dropped."""
        if self.links.pop(link.handle, None) is not None:
            self._ending.add(link.handle)
            self.flush()
            self.send(amqp.detach(link.handle, condition))
            link.closed()

    def on_detach(self, fields: Fields) -> None:
        handle = integer(fields[0])
        link = self.links.pop(handle, None)
        if link is not None:
            self.flush()
            self.send(amqp.detach(handle, None))
            link.closed()
        self._ending.discard(handle)

    def refused(self, handle: int) -> None:
        """An attach was refused; the client answers with a detach of its own."""
        self._ending.add(handle)

    def in_use(self, handle: int) -> bool:
        return handle in self.links

    def reused(self, handle: int) -> None:
        self._ending.discard(handle)

    def closed(self) -> None:
        links, self.links = list(self.links.values()), {}
        for link in links:
            link.closed()

    def resume(self) -> None:
        """The client takes more again."""
        for link in list(self.links.values()):
            link.resume()

    # Transfers from the client

    def on_transfer(self, fields: Fields, payload: memoryview) -> None:
        self._next_incoming += 1
        self._since_flow += 1
        if self._since_flow >= _WINDOW // 2:
            self.flow()
        handle = integer(fields[0])
        link = self.links.get(handle)
        if link is not None and link.receives:
            link.on_transfer(fields, payload)
        elif handle not in self._ending:
            raise Condition("amqp:session:unattached-handle", f"There is no link with the handle {handle}.")

    def settle(self, delivery: int, state: bytes) -> None:
        """Answer a delivery, with the next flush."""
        self._settled.append((delivery, state))
        self.connection.dirty(self)

    def flush(self) -> None:
        """Send the answers: one disposition for neighbours that are answered alike."""
        settled, self._settled = self._settled, []
        at = 0
        while at < len(settled):
            first, state = settled[at]
            last = first
            at += 1
            while at < len(settled) and settled[at] == (last + 1, state):
                last += 1
                at += 1
            self.send(amqp.disposition(first, last, state))

    # Flow

    def flow(self, handle: int | None = None, count: int = 0, credit: int = 0, drain: bool = False) -> None:
        self._since_flow = 0
        self.send(
            amqp.flow(
                self._next_incoming,
                _WINDOW,
                self.next_outgoing,
                _WINDOW,
                handle=handle,
                delivery_count=count,
                credit=credit,
                drain=drain,
            )
        )

    def on_flow(self, fields: Fields) -> None:
        begin = self.next_outgoing if fields[0] is None else integer(fields[0])
        self._remote_window = begin + integer(fields[1]) - self.next_outgoing
        handle = fields[4]
        if handle is None:
            for link in list(self.links.values()):
                if not link.receives:
                    link.on_flow(fields)
        elif isinstance(handle, int) and (found := self.links.get(handle)) is not None:
            found.on_flow(fields)
        if fields[9] is True:
            self.flow()

    # Transfers to the client

    @property
    def window(self) -> int:
        """How many more transfers the client takes."""
        return self._remote_window

    def transfer(self, head: bytes, payload: bytes) -> None:
        self.next_outgoing += 1
        self._remote_window -= 1
        self.send(head + payload)


def integer(value: object, default: int | None = None) -> int:
    """A field that must be a number. Raises Condition."""
    if value is None and default is not None:
        return default
    if not isinstance(value, int):
        raise Condition("amqp:invalid-field", "A number is missing.")
    return value
