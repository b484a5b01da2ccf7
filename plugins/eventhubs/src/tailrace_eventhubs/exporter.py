"""The export step: batches to one event hub, from several threads at once."""

from __future__ import annotations

import logging
import threading

from tailrace import Batch, BatchResult, Exporter, HookContext, NotConnected, Plan
from tailrace_eventhubs.client import HubClient
from tailrace_eventhubs.deadlines import Attempt
from tailrace_eventhubs.delivery import Delivery, Shared
from tailrace_eventhubs.partitioning import Grouping, by_hash, by_key, in_turn
from tailrace_eventhubs.sending.encoding import Encoding
from tailrace_eventhubs.sending.selfcheck import RESENDS, unlike, why_not
from tailrace_eventhubs.sending.senders import Senders
from tailrace_eventhubs.sending.shape import Shape
from tailrace_eventhubs.sending.submissions import Sends
from tailrace_eventhubs.target import Target

log = logging.getLogger("tailrace_eventhubs")

SENDERS = 2
"""Connections. Batches are pipelined, so it is credit that more of them bring, not concurrency."""
PUBLIC_SENDERS = 4
"""Where the public client sends, one batch at a time each."""


class EventHubsExporter:
    """Writes to one event hub. `write` may be called from `plan.in_flight` threads at once."""

    def __init__(self, client: HubClient, senders: Senders, seconds: float) -> None:
        self._client = client
        self._senders = senders
        self._seconds = seconds
        self._partitioning = client.target.partitioning
        self._shared = Shared(client, senders, ordered=self._partitioning != "round-robin")
        self._lock = threading.Lock()
        self._grouping: Grouping | None = None

    def write(self, batch: Batch, /) -> BatchResult:
        attempt = Attempt.of(self._seconds)
        return Delivery(self._shared, batch, attempt).run(self._group(attempt))

    def close(self) -> None:
        self._senders.close()
        self._client.close()

    def _group(self, attempt: Attempt) -> Grouping:
        """Which records go together. What the partitions are is asked once: they do not move."""
        if self._grouping is None:
            if not self._lock.acquire(timeout=attempt.left):
                raise NotConnected("the partitions of the event hub were not told in time")
            try:
                self._grouping = self._grouping or self._find_grouping(attempt)
            finally:
                self._lock.release()
        return self._grouping

    def _find_grouping(self, attempt: Attempt) -> Grouping:
        count = len(self._senders)
        if self._partitioning == "client-hash":
            return by_hash(count, self._client.properties(attempt.opening()).partition_ids)
        return by_key(count) if self._partitioning == "key" else in_turn(count)


def open_exporter(plan: Plan, context: HookContext) -> Exporter:
    """Asks nobody: the first write connects, and says what is wrong."""
    target = Target.from_settings(plan.settings)
    client = HubClient(target, context)
    if target.transport == "kafka":
        from tailrace_eventhubs.kafka.exporter import KafkaExporter

        return KafkaExporter(client, context)
    shape = Shape.of(target)
    reason = why_not()
    # A write may need a connection first, so a silent server must not eat all of its time.
    seconds = context.write_timeout * 0.9
    if reason is None:
        from tailrace_eventhubs.sending.sender import Sender

        encoding = Encoding(shape)

        def open_one(opening: float) -> Sends:
            link = client.open_link(opening)
            try:
                return Sender(link, encoding)
            except AttributeError as error:  # what only an open connection shows
                link.close()
                raise unlike(error) from None

        return EventHubsExporter(client, Senders(SENDERS, open_one), seconds)
    from tailrace_eventhubs.sending.public import PublicSender

    log.warning("%s: %s", reason, RESENDS)

    def open_public(opening: float) -> Sends:
        return PublicSender(client, shape, opening)

    return EventHubsExporter(client, Senders(PUBLIC_SENDERS, open_public), seconds)
