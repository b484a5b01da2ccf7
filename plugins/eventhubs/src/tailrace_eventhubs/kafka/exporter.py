"""The export step over the Kafka endpoint of a namespace, with librdkafka.

Two things are otherwise than over AMQP. A key is Kafka's: the client hashes it (murmur2, as Kafka's own
clients do), consumers see it as the Kafka key and not as the partition key, and it may lead to another
partition than over AMQP. And librdkafka sends again by itself, within the time of a write, as an idempotent
producer: the service drops what it has stored already, so that this neither doubles events nor changes their
order. What is not answered in that time is told as ambiguous, and sent again by the core under a new number.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from tailrace import Batch, BatchResult, Failure, HookContext, NotConnected, TailraceError
from tailrace_eventhubs.answers import Said, error_of
from tailrace_eventhubs.client import HubClient
from tailrace_eventhubs.deadlines import Attempt
from tailrace_eventhubs.errors import Rule
from tailrace_eventhubs.hashing import partition_of
from tailrace_eventhubs.kafka.config import import_kafka, kafka_options
from tailrace_eventhubs.kafka.errors import kafka_said
from tailrace_eventhubs.kafka.look import partitions
from tailrace_eventhubs.outcomes import Busy, result_of
from tailrace_eventhubs.sending.shape import Shape

DOING = "sending an event"
LIMIT = 1_000_000
"""Bytes of an event. The service closes the connection at a request a little larger."""
SPARE_SECONDS = 0.5
"""Before the end of a write librdkafka gives up, so that it can still tell."""
POLL_SECONDS = 0.1
CLOSED = Said("closed", Rule((), "retry", "the export is over"))


class Answers:
    """What became of the events of one write. Told by the thread that polls."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.errors: dict[int, Any] = {}
        self.waiting: set[int] = set()
        self._expected: int | None = None
        self._answered = 0

    def delivered(self, index: int, error: Any, message: Any) -> None:
        if error is not None:
            self.errors[index] = error
        self.waiting.discard(index)
        self._answered += 1
        if self._answered == self._expected:
            self.done.set()

    def expect(self, count: int) -> None:
        """So many were handed over, and no more will be."""
        self._expected = count
        if self._answered == count:
            self.done.set()


class KafkaProducer:
    """One producer of librdkafka and the thread that polls it. `broken` says why it is good for no more."""

    def __init__(self, client: HubClient, seconds: float, attempt: Attempt) -> None:
        """Raises an error of the tree where the event hub cannot be looked at in time."""
        self.broken: Said | None = None
        found = partitions(client, attempt.began + attempt.opening())
        if isinstance(found, Said):
            raise error_of(found, doing="looking at the event hub", hub=client.hub)
        self.partitions: int = found
        options = {
            **kafka_options(client, self._on_error),
            "enable.idempotence": True,
            "linger.ms": 5,
            "compression.type": "none",
            "message.max.bytes": LIMIT,
            "message.timeout.ms": int(1000 * max(seconds - SPARE_SECONDS, seconds / 2)),
            "queue.buffering.max.kbytes": 1 << 16,
            "partitioner": "murmur2_random",
            "topic.metadata.propagation.max.ms": 5000,
        }
        self._producer: Any = import_kafka().Producer(options)
        self.produce: Callable[..., None] = self._producer.produce
        self._over = False
        self._thread = threading.Thread(target=self._poll, name="eventhubs-kafka", daemon=True)
        self._thread.start()

    def give_up(self) -> None:
        """What waits is not sent, and each event of it is told so."""
        self._producer.purge(in_queue=True, in_flight=False, blocking=False)

    def close(self) -> None:
        self.broken = self.broken or CLOSED
        self._over = True
        self._producer.purge()
        self._thread.join(2.0)

    def _poll(self) -> None:
        while not self._over:
            self._producer.poll(POLL_SECONDS)
        self._producer.poll(0)

    def _on_error(self, error: Any) -> None:
        """What happens to connections. What will not pass by itself, or leaves nobody to send to, is not
        waited for: the core waits."""
        said = kafka_said(error)
        if error.fatal() or said.rule.action in ("authentication", "misconfigured"):
            self.broken = said
        if self.broken is not None or said.code == "_ALL_BROKERS_DOWN":
            self.give_up()


class KafkaExporter:
    """Writes to one event hub. `write` may be called from `plan.in_flight` threads at once."""

    def __init__(self, client: HubClient, context: HookContext) -> None:
        self._client = client
        self._seconds = context.write_timeout * 0.9
        self._shape = Shape.of(client.target)
        self._partitioning = client.target.partitioning
        self._busy = Busy()
        self._lock = threading.Lock()
        self._producer: KafkaProducer | None = None
        self._closed = False

    def write(self, batch: Batch, /) -> BatchResult:
        attempt = Attempt.of(self._seconds)
        producer = self._open(attempt)
        failures: dict[int, Failure] = {}
        answers = self._produce(producer, batch, attempt, failures)
        if not answers.done.wait(attempt.left):
            producer.give_up()
        errors: dict[int, TailraceError] = {}
        for index, error in answers.errors.items():
            said = self._verdict(producer, error)
            if isinstance(said, TailraceError):
                errors[index] = said
            else:
                failures[index] = said
        late = Failure("ambiguous", "NoAnswer", "the service did not answer in time")
        failures.update(dict.fromkeys(answers.waiting, late))
        return result_of(len(batch), failures, errors)

    def close(self) -> None:
        self._closed = True
        with self._lock:
            if self._producer is not None:
                self._producer.close()
                self._producer = None
        self._client.close()

    def _open(self, attempt: Attempt) -> KafkaProducer:
        if not self._lock.acquire(timeout=attempt.left):
            raise NotConnected("no connection to Event Hubs came about in time")
        try:
            if self._closed:
                raise NotConnected("the export is over")
            if self._producer is not None and self._producer.broken is not None:
                self._producer.close()
                self._producer = None
            if self._producer is None:
                self._producer = KafkaProducer(self._client, self._seconds, attempt)
            return self._producer
        finally:
            self._lock.release()

    def _produce(
        self, producer: KafkaProducer, batch: Batch, attempt: Attempt, failures: dict[int, Failure]
    ) -> Answers:
        """Hand the events over; those that nobody takes fail at once."""
        kafka = import_kafka()
        answers, count = Answers(), 0
        for index, (key, record) in enumerate(zip(batch.keys, batch.data, strict=True)):
            try:
                options = self._where(producer, key)
                answers.waiting.add(index)
                self._hand_over(producer, record, options, partial(answers.delivered, index))
                count += 1
                continue
            except UnicodeEncodeError:
                failure = Failure("rejected", "InvalidKey", "the key is no Unicode text")
            except BufferError:
                failure = Failure("throttled", "QueueFull", "too many events wait to be sent")
            except kafka.KafkaException as error:
                said = kafka_said(error.args[0])
                failure = Failure("rejected" if said.rule.action == "bisect" else "retry", *_words(said))
                if said.code == "MSG_SIZE_TOO_LARGE":
                    about = f"the event is {len(record):,} bytes; the limit is {LIMIT:,} bytes"
                    failure = Failure("rejected", "EventTooLarge", about)
            answers.waiting.discard(index)
            failures[index] = failure
        answers.expect(count)
        return answers

    def _where(self, producer: KafkaProducer, key: str) -> dict[str, Any]:
        if self._partitioning == "key":
            return {"key": key.encode()}
        if self._partitioning == "client-hash":
            return {"partition": partition_of(key, producer.partitions)}
        return {}

    def _hand_over(
        self, producer: KafkaProducer, record: bytes, options: dict[str, Any], answer: Callable[..., None]
    ) -> None:
        if self._shape.varies or self._shape.content_type is not None:
            event = self._shape.event(record)
            headers: list[tuple[str, bytes]] = [(n, v.encode()) for n, v in event.properties.items()]
            if event.content_type is not None:
                headers.append(("content-type", event.content_type.encode()))
            record, options["headers"] = event.body, headers
        producer.produce(self._client.hub, record, on_delivery=answer, **options)

    def _verdict(self, producer: KafkaProducer, error: Any) -> Failure | TailraceError:
        said = kafka_said(error)
        if said.code == "_PURGE_QUEUE":
            broken = producer.broken
            if broken is None or broken is CLOSED:
                return NotConnected(f"{DOING}: nobody answered, and it was not sent")
            said = broken
        match said.rule.action:
            case "authentication" | "misconfigured" | "unreachable":
                if said.rule.action == "authentication":
                    self._client.doubt()
                return error_of(said, doing=DOING, hub=self._client.hub)
            case "throttled":
                wait, where = self._busy.seconds(), self._client.namespace
                return Failure("throttled", *_words(said), retry_after=wait, domain=where)
            case "bisect":
                return Failure("rejected", *_words(said))
            case "retry":
                return Failure("retry", *_words(said))
            case _:
                return Failure("ambiguous", *_words(said))


def _words(said: Said) -> tuple[str, str]:
    return said.code, said.rule.meaning
