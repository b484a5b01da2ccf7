"""A connection of the SDK that sends as fast as the server takes: batches are pipelined, outcomes collected.

The SDK opens the connection, says who we are and opens the first link; from then on one thread here reads
and writes its socket. The SDK's own way, below its public client as well, holds one batch at a time and
encodes it thrice; and the public client sends a batch again by itself. Here a batch is sent once.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tailrace_eventhubs.partitioning import Group
from tailrace_eventhubs.sending.encoding import Encoding
from tailrace_eventhubs.sending.links import OpenedLink
from tailrace_eventhubs.sending.loop import Loop
from tailrace_eventhubs.sending.submissions import Item, Outcome, Packed, Submission
from tailrace_eventhubs.sizes import SMALLEST_LIMIT

GRACE = 0.5


class Sender:
    """`submit`, `give_up` and `close` may be called by any thread."""

    def __init__(self, opened: OpenedLink, encoding: Encoding) -> None:
        self.max_bytes = opened.max_bytes or SMALLEST_LIMIT
        self.broken: Outcome | None = None
        """Why nothing goes over this connection any more."""
        self._opened = opened
        self._encoding = encoding
        self._loop = Loop(opened, self._breaks)
        self._thread = threading.Thread(target=self._loop.run, name="eventhubs-sender", daemon=True)
        self._thread.start()

    def batches(self, data: Sequence[bytes], group: Group) -> tuple[list[Packed], list[tuple[int, int]]]:
        return self._encoding.batches(data, group.indices, group.key, self.max_bytes)

    def submit(self, items: Sequence[Item]) -> Submission:
        submission = Submission(items)
        self._loop.put(submission)
        return submission

    def give_up(self, submission: Submission) -> None:
        self._loop.put(submission, leave=True)
        if not submission.done.wait(GRACE):
            self._opened.abort()

    def close(self, seconds: float = 2.0) -> None:
        self._loop.stop()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._opened.abort()
            self._thread.join(seconds)

    def _breaks(self, outcome: Outcome) -> None:
        self.broken = outcome
