"""The thread of a connection: it reads and writes the socket, and settles what is answered.

Frames that are not about our deliveries are handed to the SDK, which renews the token on the same connection.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from azure.eventhub._pyamqp._decode import decode_frame

from tailrace_eventhubs.sending.channels import CHUNK, Channel, channel_of
from tailrace_eventhubs.sending.frames import (
    CLOSE,
    DETACH,
    DISPOSITION,
    EMPTY,
    END,
    FLOW,
    Frame,
    Splitter,
    accepted,
)
from tailrace_eventhubs.sending.links import OpenedLink, SenderLink, Unanswered, Waiting
from tailrace_eventhubs.sending.outbox import Outbox
from tailrace_eventhubs.sending.renewal import renew
from tailrace_eventhubs.sending.states import condition_of, outcome_of
from tailrace_eventhubs.sending.submissions import Outcome, Submission

log = logging.getLogger("tailrace_eventhubs")

TICK = 5.0
"""Seconds between two looks at the token and at the other side's patience."""
LONGEST_SILENCE = 30.0
STRIKES = 2
"""So many links lost in a row, and nothing accepted between: then it is the connection that is no good."""


class _Broken(Exception):
    def __init__(self, code: str | None) -> None:
        super().__init__(code)
        self.code = code


class Loop:
    """What the thread does. Everything of the SDK's connection is touched by it alone."""

    def __init__(self, opened: OpenedLink, breaks: Callable[[Outcome], None]) -> None:
        handler = opened.handler
        self._opened = opened
        self._handler = handler
        self._hub = handler.target
        self._breaks = breaks
        self._connection = handler._connection
        self._session = handler._session
        self._transport = handler._connection._transport
        self._channel: Channel = channel_of(self._transport.sock)
        self._splitter = Splitter(self._transport._read_buffer.read())
        self._unanswered = Unanswered(self._session, self._connection._remote_max_frame_size or 512)
        self._links: dict[str | None, SenderLink] = {None: SenderLink(handler._link, attached=True)}
        self._outbox = Outbox()
        self._strikes = 0
        self._received_at = self._sent_at = self._look_at = time.monotonic()
        self._inbox: deque[tuple[Submission, bool]] = deque()
        self._over = False
        self._stopping = False
        self._lock = threading.Lock()
        self._wakes, self._woken = socket.socketpair()
        self._wakes.setblocking(False)
        self._woken.setblocking(False)
        self._transport.write = self._write
        self._poll = select.poll()
        self._poll.register(self._woken, select.POLLIN)

    # --- other threads ------------------------------------------------------------------------

    def put(self, submission: Submission, *, leave: bool = False) -> None:
        with self._lock:
            if self._over:
                self._settle_unsent(submission)
                return
            self._inbox.append((submission, leave))
        self._wake()

    def stop(self) -> None:
        self._stopping = True
        self._wake()

    def _wake(self) -> None:
        with suppress(OSError):  # full: it is awake; closed: it is over
            self._wakes.send(b"w")

    # --- the thread ---------------------------------------------------------------------------

    def run(self) -> None:
        code, cause = None, None
        try:
            while not self._stopping:
                self._turn()
        except _Broken as broken:
            code = broken.code
        except Exception as error:
            cause = error
        log.debug("connection ends: %s", code or (type(cause).__name__ if cause else "no longer needed"))
        self._end(Outcome("lost", code, cause))

    def _turn(self) -> None:
        self._take_in()
        self._fill()
        if self._outbox.flush(self._channel):
            self._sent_at = time.monotonic()
        flags = select.POLLIN if self._outbox.empty else select.POLLIN | select.POLLOUT
        self._poll.register(self._channel, flags)
        for descriptor, events in self._poll.poll(TICK * 1000):
            if descriptor == self._woken.fileno():
                with suppress(BlockingIOError):
                    self._woken.recv(4096)
            elif events != select.POLLOUT:
                self._receive()
        self._keep_up(time.monotonic())

    def _take_in(self) -> None:
        while self._inbox:
            submission, leave = self._inbox.popleft()
            if leave:
                self._leave(submission)
                continue
            for place, item in enumerate(submission.items):
                link = self._links.get(item.partition) or self._attach(item.partition)
                link.queue.append(Waiting(submission, place))

    def _attach(self, partition: str | None) -> SenderLink:
        """A further link on the session, with the settings of the first."""
        handler = self._handler
        target = self._hub if partition is None else f"{self._hub}/Partitions/{partition}"
        sdk = self._session.create_sender_link(
            target_address=target,
            link_credit=handler._link_credit,
            send_settle_mode=handler._send_settle_mode,
            rcv_settle_mode=handler._receive_settle_mode,
            max_message_size=handler._max_message_size,
            properties=handler._link_properties,
        )
        sdk.attach()
        link = self._links[partition] = SenderLink(sdk, attached=False)
        return link

    def _fill(self) -> None:
        """Turn what waits into frames, of each link in turn."""
        for link in self._links.values():
            while link.queue and self._outbox.has_room:
                size = self._unanswered.send(link, self._outbox.frames)
                if not size:
                    break
                self._outbox.held += size

    def _write(self, data: bytes) -> None:
        """In place of the transport's own, which would wait for the socket."""
        self._outbox.frames.append(bytes(data))

    def _receive(self) -> None:
        while data := self._channel.receive():
            self._received_at = time.monotonic()
            for frame in self._splitter.feed(data):
                self._take(frame)
            if len(data) < CHUNK // 16:
                return

    def _take(self, frame: Frame) -> None:
        if frame.code == DISPOSITION:
            settled = accepted(frame.body)
            if settled is not None and self._unanswered.settle(*settled, None):
                self._strikes = 0
                return
        if frame.code:
            self._take_slowly(frame)

    def _take_slowly(self, frame: Frame) -> None:
        code, fields = decode_frame(frame.body)
        if code == DISPOSITION and self._disposition(fields):
            return
        if code == FLOW and fields[4] is not None and self._flow(fields):
            return
        link = self._link_of(fields[0]) if code == DETACH else None
        self._connection._process_incoming_frame(frame.channel, (code, fields))
        if code in (END, CLOSE):
            raise _Broken(condition_of(fields[0] if fields else None))
        if link is not None:
            self._lose(link, Outcome("detached", condition_of(fields[2] if len(fields) > 2 else None)))
        for other in self._links.values():
            if not other.attached and other.sdk.state.name == "ATTACHED":
                other.attached = True

    def _disposition(self, fields: list[Any]) -> bool:
        first = fields[1]
        last = first if fields[2] is None else fields[2]
        return bool(fields[0]) and self._unanswered.settle(first, last, outcome_of(fields[4]))

    def _flow(self, fields: list[Any]) -> bool:
        link = self._link_of(fields[4])
        if link is None:
            return False
        session = self._session
        session.next_incoming_id = fields[2]
        known = session.next_outgoing_id if fields[0] is None else fields[0]
        room = (known + fields[1] - session.next_outgoing_id) & 0xFFFFFFFF
        session.remote_incoming_window = room if room < 1 << 31 else 0
        session.remote_outgoing_window = fields[3]
        link.flow(fields[5], fields[6])
        return True

    def _link_of(self, handle: int) -> SenderLink | None:
        sdk = self._session._input_handles.get(handle)
        return next((link for link in self._links.values() if link.sdk is sdk), None)

    def _lose(self, link: SenderLink, outcome: Outcome) -> None:
        """A link is gone; the next batch for it opens another."""
        for partition, known in list(self._links.items()):
            if known is link:
                del self._links[partition]
        self._strikes += 1
        if self._strikes >= STRIKES:  # before anybody is told, who might send the next batch this way
            self._breaks(outcome._replace(fate="lost"))
        self._unanswered.end(outcome, link=link)
        for waiting in link.queue:
            waiting.submission.settle(waiting.place, outcome._replace(fate="unsent"))
        if self._strikes >= STRIKES:
            raise _Broken(outcome.code)

    def _leave(self, submission: Submission) -> None:
        hanging = self._unanswered.links_of(submission)
        for link in self._links.values():
            mine = [waiting.place for waiting in link.queue if waiting.submission is submission]
            if mine:
                hanging.add(link)  # no credit came, all the time
                link.queue = deque(w for w in link.queue if w.submission is not submission)
                for place in mine:
                    submission.settle(place, Outcome("unsent"))
        if hanging and self._received_at < submission.began:
            raise _Broken(None)  # nothing at all was heard since
        for link in hanging:
            link.sdk.detach(close=True)
            self._lose(link, Outcome("unanswered"))

    def _keep_up(self, now: float) -> None:
        if now < self._look_at:
            return
        self._look_at = now + TICK
        patience = min(LONGEST_SILENCE, (self._connection._remote_idle_timeout or 60.0) / 3)
        if now - self._sent_at > patience and self._outbox.empty:
            self._outbox.frames.append(EMPTY)
        renew(self._handler._cbs_authenticator)

    def _settle_unsent(self, submission: Submission) -> None:
        for place in range(len(submission.items)):
            submission.settle(place, Outcome("unsent"))

    # --- the end ------------------------------------------------------------------------------

    def _end(self, outcome: Outcome) -> None:
        with self._lock:
            self._over = True
        self._breaks(outcome)
        self._unanswered.end(outcome)
        unsent = outcome._replace(fate="unsent")
        for link in self._links.values():
            for waiting in link.queue:
                waiting.submission.settle(waiting.place, unsent)
        for submission, _ in self._inbox:
            for place in range(len(submission.items)):
                submission.settle(place, unsent)
        with suppress(Exception):
            del self._transport.write
            if outcome.code is None and outcome.error is None:
                self._channel.wait_for(1.0)
            else:
                self._opened.abort()
        for close in (self._opened.close, self._channel.close):
            with suppress(Exception):
                close()
        self._wakes.close()
        self._woken.close()
