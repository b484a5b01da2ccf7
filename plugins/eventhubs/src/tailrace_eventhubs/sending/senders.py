"""The connections of an export: opened when needed, opened anew when they broke, never after close."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tailrace import NotConnected, TailraceError
from tailrace_eventhubs.deadlines import Attempt
from tailrace_eventhubs.sending.submissions import Sends


class Slot:
    """One connection, or the lack of it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sender: Sends | None = None
        self.failed: TailraceError | None = None
        self.failed_at = 0.0


class Senders:
    """Shared by the threads that write."""

    def __init__(self, count: int, open_one: Callable[[float], Sends]) -> None:
        """`open_one` opens a connection within so many seconds, or raises an error of the tree."""
        self._slots = [Slot() for _ in range(count)]
        self._open_one = open_one
        self._closed = False

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, number: int, attempt: Attempt) -> Sends:
        """That connection. A write tries to open it once, and whoever waited meanwhile got the same."""
        slot = self._slots[number]
        sender = slot.sender
        if sender is not None and sender.broken is None and not self._closed:
            return sender
        if not slot.lock.acquire(timeout=attempt.left):
            raise NotConnected("no connection to Event Hubs came about in time")
        try:
            return self._opened(slot, attempt)
        finally:
            slot.lock.release()

    def _opened(self, slot: Slot, attempt: Attempt) -> Sends:
        if self._closed:
            raise NotConnected("the export is over")
        if slot.sender is not None:
            if slot.sender.broken is None:
                return slot.sender
            slot.sender.close()
            slot.sender = None
        if slot.failed is not None and slot.failed_at > attempt.began:
            raise slot.failed
        try:
            slot.sender = self._open_one(attempt.opening())
        except TailraceError as error:
            slot.failed, slot.failed_at = error, time.monotonic()
            raise
        slot.failed = None
        return slot.sender

    def close(self) -> None:
        """Of all side by side, as each may take its time to say farewell."""
        self._closed = True
        closing = [threading.Thread(target=self._close, args=(slot,), daemon=True) for slot in self._slots]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()

    def _close(self, slot: Slot) -> None:
        with slot.lock:
            if slot.sender is not None:
                slot.sender.close()
                slot.sender = None
