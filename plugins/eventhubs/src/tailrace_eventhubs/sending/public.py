"""The public client of the SDK, for a version of it that cannot be sent below: slower, one batch at a time.

It sends a batch a second time by itself when the first attempt fails, whatever it is told of retries. So an
outcome that is not `accepted` says less here, and an event may be stored twice without anybody's telling.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageProperties
from azure.eventhub.exceptions import EventDataSendError

from tailrace_eventhubs.client import HubClient
from tailrace_eventhubs.partitioning import Group
from tailrace_eventhubs.sending.encoding import Encoding
from tailrace_eventhubs.sending.filling import can_fill, fill
from tailrace_eventhubs.sending.shape import Shape
from tailrace_eventhubs.sending.submissions import WAITING, Item, Outcome, Packed, Submission
from tailrace_eventhubs.waiting import within

SEND_SECONDS = 12.0
"""For one attempt; there may be two, each with the opening of a connection."""
CLOSE_SECONDS = 5.0
"""The SDK looks once a second whether it is to end."""
STRIKES = 2


class PublicSender:
    """One public client, used by a thread of its own, since nothing can interrupt it."""

    def __init__(self, client: HubClient, shape: Shape, seconds: float) -> None:
        """Raises an error of the tree where the client cannot connect in time."""
        self.broken: Outcome | None = None
        self._shape = shape
        self._encoding = Encoding(shape)
        self._sdk = client.sdk()
        self._strikes = 0
        self._lock = threading.Lock()
        self._work: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        try:
            self.max_bytes: int = within(seconds, lambda: self._sdk.create_batch().max_size_in_bytes)
        except Exception as error:
            threading.Thread(target=self._close, name="eventhubs-closing", daemon=True).start()
            raise client.error(error, "opening a sender link") from None
        self._thread = threading.Thread(target=self._run, name="eventhubs-sender", daemon=True)
        self._thread.start()

    def batches(self, data: Sequence[bytes], group: Group) -> tuple[list[Packed], list[tuple[int, int]]]:
        group.key.encode()
        where: dict[str, Any] = {"partition_id": group.partition, "partition_key": group.key or None}
        events, add = self._events(data, group)
        packed: list[Packed] = []
        over: list[tuple[int, int]] = []
        indices: list[int] = []
        batch = None
        for index, event in zip(group.indices, events, strict=True):
            if batch is None or not add(batch, event):
                batch, indices = self._sdk.create_batch(**where), []
                if not add(batch, event):
                    over.append((index, batch.size_in_bytes + len(data[index])))
                    batch = None
                    continue
                packed.append(Packed(batch, indices))
            indices.append(index)
        return packed, over

    def _events(self, data: Sequence[bytes], group: Group) -> tuple[Iterable[Any], Callable[..., bool]]:
        """The events of a group, and what adds one to a batch."""
        if can_fill():
            return self._encoding.events(data, group.indices, group.key), fill
        return (self._event(data[index]) for index in group.indices), _add

    def submit(self, items: Sequence[Item]) -> Submission:
        submission = Submission(items)
        self._work.put(submission)
        return submission

    def give_up(self, submission: Submission) -> None:
        """What the client does meanwhile nobody can stop; it gets nothing more to do."""
        with self._lock:
            self.broken = self.broken or WAITING
            sending = True
            for place, outcome in enumerate(submission.outcomes):
                if outcome is WAITING:
                    submission.settle(place, Outcome("lost" if sending else "unsent"))
                    sending = False

    def close(self) -> None:
        with self._lock:
            self.broken = self.broken or Outcome("unsent")
        self._work.put(None)
        self._thread.join(CLOSE_SECONDS)

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while (submission := self._work.get()) is not None:
            for place, item in enumerate(submission.items):
                outcome = self._send(item.payload)
                with self._lock:
                    submission.settle(place, outcome)
        self._close()

    def _send(self, batch: Any) -> Outcome | None:
        if self.broken is not None:  # the SDK would open again by itself
            return Outcome("unsent", self.broken.code, self.broken.error)
        try:
            self._sdk.send_batch(batch, timeout=SEND_SECONDS)
        except Exception as error:
            self._strikes += 1
            outcome = _outcome(error)
            if self._strikes >= STRIKES:
                self.broken = outcome
            return outcome
        self._strikes = 0
        return None

    def _close(self) -> None:
        with suppress(Exception):
            self._sdk.close()

    def _event(self, body: bytes) -> AmqpAnnotatedMessage:
        event = self._shape.event(body)
        options: dict[str, Any] = {"annotations": {}}  # the SDK adds the key to them, and needs some
        if event.content_type is not None:
            properties: Any = AmqpMessageProperties  # it comes without types
            options["properties"] = properties(content_type=event.content_type)
        if event.properties:
            options["application_properties"] = event.properties
        return AmqpAnnotatedMessage(data_body=event.body, **options)


def _add(batch: Any, event: AmqpAnnotatedMessage) -> bool:
    try:
        batch.add(event)
    except ValueError:
        return False
    return True


def _outcome(error: Exception) -> Outcome:
    code = getattr(error, "error", None)
    if isinstance(error, EventDataSendError) and code is not None and code != "unknown-error":
        return Outcome("rejected", code, error)
    return Outcome("lost", code, error)
