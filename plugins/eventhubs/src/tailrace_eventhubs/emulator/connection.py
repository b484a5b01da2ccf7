"""One connection: bytes in, frames, bytes out. It knows neither sockets nor threads.

Whatever a client sends, the worst that happens is the end of its own connection.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

from tailrace_eventhubs.emulator import attaching, sasl
from tailrace_eventhubs.emulator import performatives as amqp
from tailrace_eventhubs.emulator.decode import Malformed
from tailrace_eventhubs.emulator.namespace import Namespace
from tailrace_eventhubs.emulator.performatives import Condition, Fields
from tailrace_eventhubs.emulator.session import Link, Session, integer
from tailrace_eventhubs.emulator.signatures import Grants

_AMQP = b"AMQP\x00\x01\x00\x00"
_SASL = b"AMQP\x03\x01\x00\x00"
_FRAME = struct.Struct(">IBBH")
_IDLE_MS = 120_000
_FASTEST_BEAT = 0.05
_LINGER = 1.0  # seconds that a client is given to hang up


class Transport(Protocol):
    """What carries the bytes."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None:
        """Send what is written, then end."""

    def abort(self) -> None:
        """End at once."""


Later = Callable[[float, Callable[[], None]], object]
"""Call something after so many seconds."""


class Connection:
    def __init__(self, namespace: Namespace, transport: Transport, later: Later) -> None:
        namespace.connections += 1
        self.number = namespace.connections
        self.namespace = namespace
        self.grants = Grants()
        self.sessions: dict[int, Session] = {}
        self.frame_size = amqp.MAX_FRAME
        self.paused = False
        """Whether the client does not take what was sent to it already."""
        self.later = later
        self._transport = transport
        self._buffer = bytearray()
        self._expects: Callable[[bytes], None] | None = self._on_header
        self._out: list[bytes] = []
        self._dirty: set[Session] = set()
        self._receiving = False
        self._over = False
        self._sasl = sasl.Exchange(namespace)

    # Bytes

    def receive(self, data: bytes) -> None:
        if self._over:
            return
        self._buffer += data
        self._receiving = True
        try:
            self._consume()
        except Condition as condition:
            self.close(condition)
        except Malformed as problem:
            self.close(Condition("amqp:decode-error", f"What was received is not AMQP: {problem}."))
        finally:
            self._receiving = False
            self.flush()

    def _consume(self) -> None:
        buffer, at = self._buffer, 0
        while not self._over:
            if self._expects is not None:
                if len(buffer) - at < 8:
                    break
                self._expects(bytes(buffer[at : at + 8]))
                at += 8
                continue
            if len(buffer) - at < 8:
                break
            size, offset, kind, channel = _FRAME.unpack_from(buffer, at)
            if size > amqp.MAX_FRAME or not 8 <= offset * 4 <= size:
                raise Condition("amqp:connection:framing-error", "The header of a frame cannot be.")
            if len(buffer) - at < size:
                break
            body = bytes(buffer[at + offset * 4 : at + size])
            at += size
            if body:
                self._on_frame(kind, channel, body)
        del buffer[:at]

    def _on_header(self, header: bytes) -> None:
        if header == _SASL and not self._sasl.done:
            self._expects = None
            self.raw(_SASL + amqp.frame(0, amqp.mechanisms(), kind=1))
        elif header == _AMQP:
            self._expects = None
            self.raw(_AMQP)
        else:
            self.raw(_AMQP)
            self._end(self._transport.close)

    def send(self, channel: int, body: bytes) -> None:
        """Send a frame: with others when what was received is dealt with, or at once."""
        self.raw(amqp.frame(channel, body))

    def raw(self, data: bytes) -> None:
        self._out.append(data)
        if not self._receiving:
            self.flush()

    def dirty(self, session: Session) -> None:
        """A session has answers to send; they wait for those that come at the same time."""
        if not self._dirty and not self._receiving:
            self.later(0, self.flush)
        self._dirty.add(session)

    def flush(self) -> None:
        while self._dirty:
            self._dirty.pop().flush()
        if self._out and not self._over:
            data = b"".join(self._out)
            self._out.clear()
            self._transport.write(data)

    # Its end

    def close(self, condition: Condition | None) -> None:
        """Tell the client that the connection is over, and why, and end it."""
        if not self._over:
            self.raw(amqp.frame(0, amqp.close(condition)))
            # What the client has sent meanwhile is read, and dropped: were it left unread, the socket would
            # be reset, and the client might never see why.
            self._end(lambda: self.later(_LINGER, self._transport.close))

    def abort(self) -> None:
        """Cut it, with no word; what is on its way is lost."""
        if not self._over:
            self._end(self._transport.abort)

    def lost(self) -> None:
        """The client went away."""
        self._end(lambda: None)

    def _end(self, how: Callable[[], object]) -> None:
        if not self._over:
            self.flush()
            self._over = True
            for session in list(self.sessions.values()):
                session.closed()
            self.sessions.clear()
            how()

    @property
    def over(self) -> bool:
        return self._over

    def resume(self) -> None:
        """The client takes more again."""
        self.paused = False
        for session in list(self.sessions.values()):
            session.resume()

    # Frames

    def _on_frame(self, kind: int, channel: int, body: bytes) -> None:
        if kind == 1:
            self._on_sasl(body)
            return
        code = amqp.performative(body)
        fields, payload = amqp.fields(body)
        if code == amqp.OPEN:
            self._on_open(fields)
        elif code == amqp.CLOSE:
            self.send(0, amqp.close())
            self._end(self._transport.close)
        elif code == amqp.BEGIN:
            self._begin(channel, fields)
        elif (session := self.sessions.get(channel)) is not None:
            self._in_session(session, code, fields, body, payload)
        # What comes for a session that has ended was on its way: it is nobody's.

    def _on_sasl(self, body: bytes) -> None:
        if amqp.performative(body) != amqp.INIT or self._sasl.done:
            raise Condition("amqp:not-allowed", "Only one sasl-init is expected.")
        accepted = self._sasl.init(amqp.fields(body)[0])
        self.raw(amqp.frame(0, amqp.outcome(0 if accepted else 1), kind=1))
        if not accepted:
            self._end(self._transport.close)
        self._expects = self._on_header

    def _on_open(self, fields: Fields) -> None:
        size = integer(fields[2], amqp.MAX_FRAME)
        if size < 512:
            raise Condition("amqp:invalid-field", "The maximum size of a frame is at least 512.")
        self.frame_size = min(size, amqp.MAX_FRAME)
        seconds = self.namespace.faults.idle_seconds
        idle = _IDLE_MS if seconds is None else int(seconds * 1000)
        self.send(0, amqp.open_(f"emulator-{self.number}", idle))
        if expected := integer(fields[4], 0):
            self._beat(expected / 2000)

    def _beat(self, seconds: float) -> None:
        """A client that says how long it bears silence hears something twice as often."""
        if not self._over:
            self.raw(amqp.HEARTBEAT)
            self.later(max(seconds, _FASTEST_BEAT), lambda: self._beat(seconds))

    def _begin(self, channel: int, fields: Fields) -> None:
        if channel > amqp.MAX_CHANNEL:
            raise Condition("amqp:connection:framing-error", f"Channels go up to {amqp.MAX_CHANNEL}.")
        if channel in self.sessions:
            raise Condition("amqp:not-allowed", "The channel has a session already.")
        self.sessions[channel] = Session(self, channel, fields)

    def _in_session(self, session: Session, code: int, fields: Fields, body: bytes, payload: int) -> None:
        if code == amqp.TRANSFER:
            self._on_transfer(session, fields, memoryview(body)[payload:])
        elif code == amqp.FLOW:
            session.on_flow(fields)
        elif code == amqp.ATTACH:
            attaching.attach(session, fields, amqp.raw_fields(body))
        elif code == amqp.DETACH:
            session.on_detach(fields)
        elif code == amqp.END:
            del self.sessions[session.channel]
            session.flush()
            session.closed()
            session.send(amqp.end())
        elif code != amqp.DISPOSITION:  # consumers' answers change nothing: nothing is delivered again
            raise Condition("amqp:not-implemented", f"There is no performative {code:#x}.")

    def _on_transfer(self, session: Session, fields: Fields, payload: memoryview) -> None:
        link: Link | None = session.links.get(integer(fields[0]))
        try:
            session.on_transfer(fields, payload)
        except Condition as condition:
            if link is None:
                raise
            session.detach(link, condition)
