"""What is known of the sizes a stream takes. Limits start high, or as the stream reports them, and are
only ever lowered, by what the server refused."""

from __future__ import annotations

import threading

MEBIBYTE = 1 << 20
MAX_RECORDS = 500
MAX_BYTES = 10 * MEBIBYTE
MAX_KEY_BYTES = 256


class Sizes:
    """Shared by the threads of one export; lasts as long as the export."""

    def __init__(self, record: int | None = None) -> None:
        """`record` is the limit that the stream reports."""
        self._lock = threading.Lock()
        self.record = min(record or MAX_BYTES, MAX_BYTES)
        self.request = MAX_BYTES
        self._accepted_record = 0

    def accepted(self, largest_record: int) -> None:
        """A record of this size was accepted while a culprit was looked for."""
        with self._lock:
            self._accepted_record = max(self._accepted_record, largest_record)

    def refused_record(self, size: int) -> None:
        """A record of this size was refused alone, for its size. A larger one that was accepted
        proves that the size was not the reason after all."""
        with self._lock:
            if size > self._accepted_record:
                self.record = min(self.record, size - 1)

    def refused_request(self, accepted: int) -> None:
        """A request was refused for its size although none of its records was to blame; `accepted` is
        the size of the largest part of it that was accepted."""
        with self._lock:
            self.request = min(self.request, accepted)
