"""Sender links on one session: what waits in each, how much credit it has, what is not answered."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple, Protocol

from tailrace_eventhubs.sending.frames import transfer
from tailrace_eventhubs.sending.submissions import Outcome, Submission

UNANSWERED = 2048
"""Frames that may be on their way at once, over all links of a session: less than the window that the
service opens."""


class OpenedLink(Protocol):
    """An attached sender link of the SDK, on a connection of its own that nobody else reads."""

    handler: Any

    @property
    def max_bytes(self) -> int | None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class Waiting(NamedTuple):
    submission: Submission
    place: int


class Sent(NamedTuple):
    """A delivery that has no outcome."""

    submission: Submission
    place: int
    link: SenderLink
    frames: int


class SenderLink:
    """One link. `sdk` is the SDK's; here is only what it does for one delivery at a time."""

    def __init__(self, sdk: Any, *, attached: bool) -> None:
        self.sdk = sdk
        self.queue: deque[Waiting] = deque()
        self.sent: int = sdk.delivery_count
        self.allowed: int = self.sent + sdk.current_link_credit if attached else 0
        """The number of deliveries that the server has given credit for, from the first on."""
        self.attached = attached

    def flow(self, count: int | None, credit: int | None) -> None:
        self.allowed = (count or 0) + (credit or 0)


class Unanswered:
    """Deliveries by number. Numbers count for the whole session, so that the SDK's own ones, which renew the
    token, are between them."""

    def __init__(self, session: Any, most_frame: int) -> None:
        self._session = session
        self._most_frame = most_frame
        self._sent: dict[int, Sent] = {}
        self._frames = 0

    def send(self, link: SenderLink, frames: list[bytes | memoryview]) -> int:
        """Send the first of what waits in a link. Returns its bytes; 0: it has to wait on."""
        session = self._session
        if link.sent >= link.allowed or self._frames >= UNANSWERED or session.remote_incoming_window <= 0:
            return 0
        waiting = link.queue.popleft()
        payload = waiting.submission.items[waiting.place].payload
        number = session.next_outgoing_id
        count = transfer(session.channel, link.sdk.handle, number, payload, self._most_frame, frames=frames)
        session.next_outgoing_id = (number + 1) & 0xFFFFFFFF
        session.remote_incoming_window -= 1
        link.sent += 1
        link.sdk.delivery_count = link.sent
        self._frames += count
        self._sent[number] = Sent(*waiting, link, count)
        return len(payload)

    def settle(self, first: int, last: int, outcome: Outcome | None) -> bool:
        """Whether any of these numbers was ours."""
        ours = False
        for number in range(first, last + 1) if last - first < 1 << 16 else ():
            sent = self._sent.pop(number, None)
            if sent is not None:
                ours = True
                self._frames -= sent.frames
                sent.submission.settle(sent.place, outcome)
        return ours

    def end(self, outcome: Outcome, *, link: SenderLink | None = None) -> None:
        """Settle all that has no outcome, of one link or of all."""
        for number, sent in list(self._sent.items()):
            if link is None or sent.link is link:
                self.settle(number, number, outcome)

    def links_of(self, submission: Submission) -> set[SenderLink]:
        return {sent.link for sent in self._sent.values() if sent.submission is submission}
