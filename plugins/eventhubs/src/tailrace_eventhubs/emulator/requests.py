"""Links that ask and are answered: `$cbs` for tokens, `$management` for what there is.

The answer to a request goes over the link of the same session that receives from the same place.
"""

from __future__ import annotations

from collections import deque

from tailrace_eventhubs.emulator import cbs, management
from tailrace_eventhubs.emulator.answering import read, write
from tailrace_eventhubs.emulator.decode import Malformed
from tailrace_eventhubs.emulator.encode import ubyte
from tailrace_eventhubs.emulator.incoming import Assembly, Incoming
from tailrace_eventhubs.emulator.outgoing import Outgoing
from tailrace_eventhubs.emulator.performatives import ACCEPTED, Condition, Fields, rejected
from tailrace_eventhubs.emulator.session import Session

NODES = {"$cbs": cbs.answer, "$management": management.answer}
_LIMIT = 262_144


class Requests:
    receives = True
    limit = _LIMIT
    settle = b""

    def __init__(self, session: Session, handle: int, node: str, first: int) -> None:
        self.handle = handle
        self._session = session
        self._node = node
        self._assembly = Assembly(session, handle, _LIMIT, first, self._deliver)

    def begin(self) -> None:
        self._assembly.grant()

    def on_transfer(self, fields: Fields, payload: memoryview) -> None:
        self._assembly.on_transfer(fields, payload)

    def on_flow(self, fields: Fields) -> None:
        pass

    def resume(self) -> None:
        pass

    def closed(self) -> None:
        pass

    def _deliver(self, delivery: Incoming) -> None:
        try:
            request = read(delivery.payload)
        except Malformed as problem:
            if not delivery.settled:
                self._session.settle(delivery.number, rejected(Condition("amqp:decode-error", f"{problem}.")))
            return
        if not delivery.settled:
            self._session.settle(delivery.number, ACCEPTED)
        answer = write(request, NODES[self._node](self._session.connection, request))
        for link in self._session.links.values():
            if isinstance(link, Responses) and link.node == self._node:
                link.put(answer)
                break


class Responses:
    receives = False
    limit = 0
    settle = ubyte(1)

    def __init__(self, session: Session, handle: int, node: str, first: int) -> None:
        self.handle = handle
        self.node = node
        self._waiting: deque[bytes] = deque(maxlen=1000)
        self._out = Outgoing(session, handle, True, self._pump)

    def begin(self) -> None:
        pass

    def put(self, message: bytes) -> None:
        self._waiting.append(message)
        self._pump()

    def on_transfer(self, fields: Fields, payload: memoryview) -> None:
        raise AssertionError("transfers go to links that receive")

    def on_flow(self, fields: Fields) -> None:
        self._out.on_flow(fields)

    def resume(self) -> None:
        self._pump()

    def closed(self) -> None:
        self._waiting.clear()

    def _pump(self) -> None:
        while self._waiting and self._out.ready:
            self._out.send(self._waiting.popleft())
