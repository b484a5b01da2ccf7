"""From what became of a batch to what is told of its records."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import Literal

from tailrace import BatchResult, Failure, Misconfigured, NotConnected, TailraceError, Transient
from tailrace_eventhubs.answers import Said, error_of, failure_for
from tailrace_eventhubs.client import HubClient
from tailrace_eventhubs.errors import BUSY_SECONDS, code_of, rule_of
from tailrace_eventhubs.sending.submissions import Outcome

DOING = "sending a batch"
_KEPT = frozenset({"detached", "lost", "unanswered"})
"""Fates of what was sent and may be on the event hub."""

Verdict = Failure | TailraceError
"""A failure of each record, or an error of which all of a write may be told."""


class Busy:
    """When the namespace may be spoken to again. A busy answer opens a pause; those that come while it lasts,
    to batches that were on their way, do not make it longer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends = 0.0

    def seconds(self) -> float:
        """A busy answer came: what is left of its pause."""
        with self._lock:
            now = time.monotonic()
            if self._ends <= now:
                self._ends = now + BUSY_SECONDS
            return self._ends - now


def verdict(outcome: Outcome, client: HubClient, busy: Busy) -> Verdict:
    """What became of a batch that was not accepted; one that was refused for what is in it, and could be
    cut, was cut before."""
    rule = rule_of(outcome.code)
    sent = outcome.fate in _KEPT
    if rule.action == "throttled" and code_of(outcome.code) is not None:
        kind: Literal["ambiguous", "throttled"] = "ambiguous" if sent else "throttled"
        code = code_of(outcome.code) or "busy"
        return Failure(kind, code, rule.meaning, retry_after=busy.seconds(), domain=client.namespace)
    if outcome.fate in ("released", "modified"):
        return failure_for(outcome.fate)
    if outcome.fate == "rejected":
        if rule.action in ("misconfigured", "authentication"):
            return _error(outcome, client)
        return failure_for(outcome.code)
    if sent:
        return _ambiguous(outcome, client)
    return _unsent(outcome, client)


def _ambiguous(outcome: Outcome, client: HubClient) -> Failure:
    code = code_of(outcome.code)
    if code is not None:
        return Failure("ambiguous", code, f"{rule_of(code).meaning} before it answered")
    if outcome.fate == "unanswered":
        return Failure("ambiguous", "NoAnswer", "the service did not answer in time")
    return Failure("ambiguous", "ConnectionLost", "the connection was lost before the service answered")


def _unsent(outcome: Outcome, client: HubClient) -> Verdict:
    if code_of(outcome.code) is not None:
        return _error(outcome, client)
    if outcome.error is not None and not isinstance(outcome.error, OSError):
        return client.error(outcome.error, DOING)
    return NotConnected(f"{DOING}: the connection ended, or its time, before the batch was sent")


def _error(outcome: Outcome, client: HubClient) -> TailraceError:
    code = code_of(outcome.code) or "UnlistedCondition"
    said = Said(code, rule_of(outcome.code))
    if said.rule.action == "authentication":
        client.doubt()
    return error_of(said, doing=DOING, hub=client.hub)


def result_of(size: int, failures: dict[int, Failure], errors: Mapping[int, TailraceError]) -> BatchResult:
    """Raises an error where that is the fate of all records. Once that of another is known an error would
    hide it, so each record gets its own failure; the next write meets the error again."""
    if errors and len(errors) == size:
        raise _worst_of(errors.values())
    return BatchResult(size, failures | {index: _failure_of(error) for index, error in errors.items()})


def _failure_of(error: TailraceError) -> Failure:
    """An error as what is told of one record, where others of the write met another fate."""
    if isinstance(error, Transient):
        if error.ambiguous:
            return Failure("ambiguous", error.code, error.message, retry_after=error.retry_after)
        slower: Literal["throttled", "retry"] = "throttled" if error.retry_after else "retry"
        return Failure(slower, error.code, error.message, retry_after=error.retry_after)
    return Failure("retry", error.code, error.message)


def _worst_of(errors: Iterable[TailraceError]) -> TailraceError:
    """The one to tell, where all records of a write have errors: what somebody has to mend, first."""

    def rank(error: TailraceError) -> int:
        if isinstance(error, Transient):
            return 2 if error.ambiguous else 4
        return 3 if isinstance(error, NotConnected) else 1 if isinstance(error, Misconfigured) else 0

    return min(errors, key=rank)
