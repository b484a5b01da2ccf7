"""Delivering one batch: send, and where the request is refused for what is in it, halve it down to the
record that is to blame.

One culprit among n records costs at most 2 ceil(log2 n) + 1 requests.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tailrace import (
    AuthenticationFailed,
    Batch,
    BatchResult,
    Failure,
    Misconfigured,
    NotConnected,
    TailraceError,
    Transient,
)
from tailrace_kinesis.answers import (
    Answer,
    blames_size,
    describe,
    error_code,
    read_put_records,
)
from tailrace_kinesis.client import KinesisClient
from tailrace_kinesis.deadlines import Attempt
from tailrace_kinesis.errors import request_rule
from tailrace_kinesis.records import PutRecordsBody, record_size
from tailrace_kinesis.sizes import MAX_BYTES, MAX_KEY_BYTES, Sizes

DOING = "kinesis:PutRecords"
SUSPICIOUS = 8
"""So many records refused, for whatever is said, and never one accepted: then it is not the records."""


class Shared:
    """What the writes of one export have in common."""

    def __init__(self, client: KinesisClient, sizes: Sizes) -> None:
        self.client = client
        self.sizes = sizes
        self.body = PutRecordsBody(client.stream.reference)
        self.accepted_any = False
        self._lock = threading.Lock()
        self._refused = 0

    def suspicious(self, refused: int) -> bool:
        """So many more records were refused alone. Whether it is the server or the proxy that is to
        blame, and not the records."""
        with self._lock:
            self._refused += refused
            return self._refused >= SUSPICIOUS and not self.accepted_any


class Delivery:
    """One write."""

    def __init__(self, shared: Shared, batch: Batch, attempt: Attempt) -> None:
        self._shared = shared
        self._batch = batch
        self._attempt = attempt
        self._failures: dict[int, Failure] = {}
        self._settled = False
        self._accepted_bytes = 0
        self._searching = False

    def run(self) -> BatchResult:
        """Raises only where the fate of every record is the same."""
        for part in self._parts(self._without_oversize(range(len(self._batch)))):
            self._deliver(part)
        return BatchResult(len(self._batch), self._failures)

    def _deliver(self, indices: Sequence[int]) -> bool:
        """Send these records. Whether all went through without anything to blame."""
        try:
            answer = self._send(indices)
        except UnicodeEncodeError:
            return self._bisect(indices, None, "InvalidKey", "the partition key is no Unicode text")
        except TailraceError as error:
            self._fail(indices, error)
            return False
        if answer.status == 200:
            return self._settle(indices, read_put_records(answer, len(indices)))
        code = error_code(answer)
        rule = request_rule(answer.status, code)
        if rule.action != "bisect":
            self._fail(indices, self._shared.client.error(answer, DOING))
            return False
        if self._shared.suspicious(1 if len(indices) == 1 else 0):
            raise _nothing_accepted(answer)
        return self._bisect(indices, answer, code or f"HTTP{answer.status}", describe(answer, DOING))

    def _send(self, indices: Sequence[int]) -> Answer:
        keys, data = self._batch.keys, self._batch.data
        if len(indices) < len(data):
            keys, data = [keys[i] for i in indices], [data[i] for i in indices]
        body = self._shared.body(keys, data)
        if self._attempt.left <= 0:
            raise NotConnected(f"{DOING}: no time left for this part of the batch")
        return self._shared.client.put_records(body, self._attempt)

    def _settle(self, indices: Sequence[int], result: BatchResult) -> bool:
        self._settled = True
        if len(result.failures) < len(indices):
            self._shared.accepted_any = True
        for position, failure in result.failures.items():
            self._failures[indices[position]] = failure
        if self._searching:
            sizes = [self._size(i) for n, i in enumerate(indices) if n not in result.failures]
            self._shared.sizes.accepted(max(sizes, default=0))
            self._accepted_bytes = max(self._accepted_bytes, sum(self._size(i) for i in indices))
        return True

    def _bisect(self, indices: Sequence[int], answer: Answer | None, code: str, message: str) -> bool:
        """The request was refused for what is in it."""
        too_large = answer is not None and blames_size(answer)
        if len(indices) == 1:
            self._reject(indices[0], too_large, code, message)
            return False
        self._searching = True
        middle = len(indices) // 2
        whole = True
        for half in (indices[:middle], indices[middle:]):
            fitting = self._without_oversize(half)
            through = bool(fitting) and self._deliver(fitting)
            whole = whole and through and len(fitting) == len(half)
        if whole and too_large:
            self._shared.sizes.refused_request(self._accepted_bytes)
        return whole

    def _reject(self, index: int, too_large: bool, code: str, message: str) -> None:
        self._settled = True
        if too_large:
            size = self._size(index)
            if self._shared.sizes.refused_record(size):
                code = "RecordTooLarge"
                message = f"the record is {size:,} bytes with its key, refused for its size; {message}"
            else:
                message += f"; the size is not the reason: the record is {size:,} bytes with its key"
        self._failures[index] = Failure("rejected", code, message)

    def _fail(self, indices: Sequence[int], error: TailraceError) -> None:
        """The request failed as a whole. Once the fate of another part is known, an error would hide
        that, so each record gets its own failure; the next write meets the error again."""
        if not self._settled:
            raise error
        ambiguous = isinstance(error, Transient) and error.ambiguous
        slower = isinstance(error, Transient) and not ambiguous
        kept = isinstance(error, (AuthenticationFailed, Misconfigured, NotConnected))
        failure = Failure(
            "ambiguous" if ambiguous else "throttled" if slower and not kept else "retry",
            error.code,
            error.message,
            retry_after=error.retry_after if isinstance(error, Transient) else None,
        )
        for index in indices:
            self._failures[index] = failure

    def _without_oversize(self, indices: Sequence[int]) -> Sequence[int]:
        """Reject what is over the known limit of a record, without a request."""
        limit = self._shared.sizes.record
        if limit >= MAX_BYTES or not indices:
            return indices  # the plan's own limit, which the core keeps
        if max(map(len, self._batch.data)) + MAX_KEY_BYTES <= limit:
            return indices
        fitting = []
        for index in indices:
            size = self._size(index)
            if size <= limit:
                fitting.append(index)
                continue
            self._settled = True
            self._failures[index] = Failure("rejected", "RecordTooLarge", self._shared.sizes.why_not(size))
        return fitting

    def _parts(self, indices: Sequence[int]) -> list[Sequence[int]]:
        """Cut by the known limit of a request."""
        limit = self._shared.sizes.request
        if not indices:
            return []
        if limit >= MAX_BYTES:
            return [indices]
        parts: list[list[int]] = [[]]
        room = limit
        for index in indices:
            size = self._size(index)
            if size > room and parts[-1]:
                parts.append([])
                room = limit
            parts[-1].append(index)
            room -= size
        return list(parts)

    def _size(self, index: int) -> int:
        return record_size(self._batch.keys[index], self._batch.data[index])


def _nothing_accepted(answer: Answer) -> Misconfigured:
    return Misconfigured(
        f"{describe(answer, DOING)}; {SUSPICIOUS} records were refused alone, no record was ever accepted",
        hint="check the endpoint URL, the proxy and the stream; what is pending can be exported again",
    )
