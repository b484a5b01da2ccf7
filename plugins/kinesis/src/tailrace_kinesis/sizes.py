"""What is known of the sizes a stream takes. Limits start high, or as the stream reports them, and are
only ever lowered, by what the server refused."""

from __future__ import annotations

import threading

MEBIBYTE = 1 << 20
MAX_RECORDS = 500
MAX_BYTES = 10 * MEBIBYTE
MAX_KEY_BYTES = 256
EVERY_STREAM_TAKES = MEBIBYTE
"""The smallest record limit that a stream can have. A refusal of a record up to this size has another
reason, whatever it says."""


class Sizes:
    """Shared by the threads of one export; lasts as long as the export."""

    def __init__(self, record: int | None = None) -> None:
        """`record` is the limit that the stream reports."""
        self._lock = threading.Lock()
        self.record = min(record or MAX_BYTES, MAX_BYTES)
        self.request = MAX_BYTES
        self._refused: int | None = None
        self._fine = EVERY_STREAM_TAKES

    def accepted(self, largest_record: int) -> None:
        """A record of this size was accepted while a culprit was looked for."""
        with self._lock:
            self._fine = max(self._fine, largest_record)

    def refused_record(self, size: int) -> bool:
        """A record of this size was refused alone, for its size as the server says. Whether that can
        be true: not where every stream takes as much, or a larger record was accepted."""
        with self._lock:
            if size <= self._fine:
                return False
            if size <= self.record:
                self._refused, self.record = size, size - 1
            return True

    def why_not(self, size: int) -> str:
        """What is known against a record of this size, which is over the limit."""
        known = (
            f"the limit of the stream is {self.record:,} bytes"
            if self._refused is None
            else f"the stream refused one of {self._refused:,} bytes"
        )
        return f"the record is {size:,} bytes with its key; {known}"

    def refused_request(self, accepted: int) -> None:
        """A request was refused for its size although none of its records was to blame; `accepted` is
        the size of the largest part of it that was accepted."""
        with self._lock:
            self.request = min(self.request, accepted)
