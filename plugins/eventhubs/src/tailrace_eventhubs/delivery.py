"""Delivering one write: cut into batches, send them side by side, and tell each record's fate.

Batches of one key or partition go out one after the other, each when the one before was accepted: so order is
kept whatever is refused. Where a batch is refused for what is in it, it is halved down to the record that is
to blame.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tailrace import Batch, BatchResult, Failure, Misconfigured, TailraceError
from tailrace_eventhubs.client import HubClient
from tailrace_eventhubs.deadlines import Attempt
from tailrace_eventhubs.errors import code_of, rule_of
from tailrace_eventhubs.outcomes import DOING, Busy, Verdict, result_of, verdict
from tailrace_eventhubs.partitioning import Group, Grouping
from tailrace_eventhubs.sending.senders import Senders
from tailrace_eventhubs.sending.submissions import Item, Outcome, Packed, Sends, Submission

SUSPICIOUS = 8
"""So many records refused, for whatever is said, and never one accepted: then it is not the records."""

LATE = Failure("retry", "late", "the time of the write ended before it was its turn")
BEHIND = Failure("retry", "behind", "a record before it, of its key or partition, was not accepted")


class Shared:
    """What the writes of one export have in common."""

    def __init__(self, client: HubClient, senders: Senders, *, ordered: bool) -> None:
        self.client = client
        self.senders = senders
        self.ordered = ordered
        self.busy = Busy()
        self.accepted_any = False
        self._lock = threading.Lock()
        self._refused = 0

    def suspicious(self) -> bool:
        """One more record was refused alone. Whether it is the server that is to blame."""
        with self._lock:
            self._refused += 1
            return self._refused >= SUSPICIOUS and not self.accepted_any


@dataclass(slots=True)
class Lane:
    """Batches of one key or partition, which go out one after the other."""

    group: Group
    batches: list[Packed]


class Sending(NamedTuple):
    """Batches that were handed to one connection, each with its lane."""

    sender: Sends
    submission: Submission
    parts: list[tuple[Lane, Packed]]


class Delivery:
    """One write."""

    def __init__(self, shared: Shared, batch: Batch, attempt: Attempt) -> None:
        self._shared = shared
        self._batch = batch
        self._attempt = attempt
        self._failures: dict[int, Failure] = {}
        self._errors: dict[int, TailraceError] = {}
        self._unopened: dict[int, TailraceError] = {}
        self._verdicts: dict[Outcome, Verdict] = {}

    def run(self, group: Grouping) -> BatchResult:
        """Raises only where every record met an error, and none another fate."""
        lanes = [lane for each in group(self._batch.keys) for lane in self._lanes(each)]
        while lanes and self._attempt.left:
            self._send(lanes)
            lanes = [lane for lane in lanes if lane.batches]
        for lane in lanes:
            self._fail_all(lane, LATE)
        return result_of(len(self._batch), self._failures, self._errors)

    def _lanes(self, group: Group) -> Iterable[Lane]:
        """Cut by what the link takes; a record that is larger is rejected without being sent."""
        try:
            sender = self._sender(group.sender)
            packed, over = sender.batches(self._batch.data, group)
        except UnicodeEncodeError:
            self._fail(group.indices, Failure("rejected", "InvalidKey", "the key is no Unicode text"))
            return
        except TailraceError as error:
            self._fail(group.indices, error)
            return
        for index, size in over:
            limit = f"the limit of the event hub is {sender.max_bytes:,} bytes"
            said = f"the event is {size:,} bytes with its key and properties; {limit}"
            self._failures[index] = Failure("rejected", "EventTooLarge", said)
        if self._shared.ordered and packed:
            yield Lane(group, packed)
        elif packed:
            for each in packed:
                yield Lane(group, [each])

    def _sender(self, number: int) -> Sends:
        """A connection that did not open is not tried again by this write, which may hold records of a
        thousand keys: each would take its time."""
        if number in self._unopened:
            raise self._unopened[number]
        try:
            return self._shared.senders.get(number, self._attempt)
        except TailraceError as error:
            self._unopened[number] = error
            raise

    def _send(self, lanes: Sequence[Lane]) -> None:
        """The first batch of each lane."""
        parts: dict[int, list[tuple[Lane, Packed]]] = {}
        for lane in lanes:
            parts.setdefault(lane.group.sender, []).append((lane, lane.batches.pop(0)))
        under_way = [sending for number, each in parts.items() for sending in self._submit(number, each)]
        for sending in under_way:
            self._await(sending)
            self._shared.accepted_any |= None in sending.submission.outcomes
        for sending in under_way:  # now that it is known whether anything was accepted
            for (lane, packed), outcome in zip(sending.parts, sending.submission.outcomes, strict=True):
                if outcome is not None:
                    self._refused(lane, packed, outcome)

    def _submit(self, number: int, parts: list[tuple[Lane, Packed]]) -> Iterable[Sending]:
        try:
            sender = self._sender(number)
        except TailraceError as error:
            for lane, packed in parts:
                self._stop(lane, packed, error)
            return
        items = [Item(lane.group.partition, packed.payload) for lane, packed in parts]
        yield Sending(sender, sender.submit(items), parts)

    def _await(self, sending: Sending) -> None:
        if not sending.submission.done.wait(self._attempt.sending()):
            sending.sender.give_up(sending.submission)

    def _refused(self, lane: Lane, packed: Packed, outcome: Outcome) -> None:
        known = code_of(outcome.code) is not None
        if known and rule_of(outcome.code).action == "bisect" and outcome.fate in ("rejected", "detached"):
            self._bisect(lane, packed, outcome)
        else:
            self._stop(lane, packed, self._verdict(outcome))

    def _verdict(self, outcome: Outcome) -> Verdict:
        """Found once, as it may take a look at what stands in the way."""
        if outcome not in self._verdicts:
            self._verdicts[outcome] = verdict(outcome, self._shared.client, self._shared.busy)
        return self._verdicts[outcome]

    def _bisect(self, lane: Lane, packed: Packed, outcome: Outcome) -> None:
        """The batch was refused for what is in it: its halves go before what is behind it. One record alone
        is rejected where it was alone on its link, else it goes once more."""
        indices = packed.indices
        if len(indices) > 1:
            middle = len(indices) // 2
            try:
                lane.batches[:0] = self._again(lane, indices[:middle]) + self._again(lane, indices[middle:])
            except TailraceError as error:
                self._stop(lane, packed, error)
        elif outcome.fate == "rejected":
            if self._shared.suspicious():
                raise _nothing_accepted(outcome)
            self._fail(indices, self._verdict(outcome))
        else:
            self._alone(lane, packed)

    def _again(self, lane: Lane, indices: Sequence[int]) -> list[Packed]:
        sender = self._sender(lane.group.sender)
        return sender.batches(self._batch.data, lane.group._replace(indices=indices))[0]

    def _alone(self, lane: Lane, packed: Packed) -> None:
        """A link was ended for a record that is too large or not valid, which may be this one: send it with
        nothing beside it."""
        for sending in self._submit(lane.group.sender, [(lane, packed)]):
            self._await(sending)
            (outcome,) = sending.submission.outcomes
            if outcome is None:
                self._shared.accepted_any = True
            elif outcome.fate == "detached":
                self._bisect(lane, packed, outcome._replace(fate="rejected"))
            else:
                self._refused(lane, packed, outcome)

    def _stop(self, lane: Lane, packed: Packed, said: Verdict) -> None:
        """A batch was not accepted, so that nothing of its lane may go out before it does."""
        self._fail(packed.indices, said)
        if isinstance(said, Failure) and said.kind == "rejected":
            return
        self._fail_all(lane, said if isinstance(said, TailraceError) else BEHIND)

    def _fail_all(self, lane: Lane, said: Verdict) -> None:
        while lane.batches:
            self._fail(lane.batches.pop().indices, said)

    def _fail(self, indices: Iterable[int], said: Verdict) -> None:
        if isinstance(said, TailraceError):
            self._errors.update(dict.fromkeys(indices, said))
        else:
            self._failures.update(dict.fromkeys(indices, said))


def _nothing_accepted(outcome: Outcome) -> Misconfigured:
    code = code_of(outcome.code)
    return Misconfigured(
        f"{DOING}: {code}: {rule_of(code).meaning}; {SUSPICIOUS} records were refused alone, none was ever "
        "accepted",
        hint="check the endpoint and the event hub; what is pending can be exported again",
    )
