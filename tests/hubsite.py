"""The same home and command as in `endtoend.py`, with an event hub of the emulator."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from unittest import mock

from tailrace_eventhubs.emulator import Config, Emulator, Hub, Key
from tailrace_eventhubs.emulator.publisher import Publisher
from tests.endtoend import SECRET, Arrival, Site, copied

HUB = "hot-leads"
SENDER = Key("sender", SECRET, ["Send"])
EVENTHUBS: Mapping[str, object] = {
    "namespace": "crm",
    "sas_key_name": SENDER.name,
    "sas_key": "env:SITE_SECRET",
    "endpoint": "amqp://127.0.0.1:9",
}
AMONG = 500
"""A trigger counts in so many batches, of one key each, where a Kinesis server counts in requests."""


@dataclass(frozen=True)
class Event:
    key: str
    data: bytes
    sequence: str


class HubSite(Site):
    """Its server is an emulator."""

    server: Any

    def stream(self) -> Sequence[Arrival]:
        return [Event(e.key or "", e.body, str(e.sequence)) for e in self.hub.accepted(HUB)]

    @property
    def hub(self) -> Emulator:
        server: Emulator = self.server
        return server

    def attempts(self) -> Counter[str]:
        """How often each event was tried: a batch has one key here, and a key one event."""
        found: Counter[str] = Counter()
        for attempt in self.hub.attempts(HUB):
            found[attempt.key or ""] += attempt.events
        return found

    @contextmanager
    def striking(self, trigger: str, number: int, strike: Callable[[], None]) -> Iterator[None]:
        calls, taken = itertools.count(1), itertools.count(1)
        deliver, store = Publisher._deliver, Publisher._store
        at = number * AMONG

        def struck_deliver(publisher: Publisher, delivery: Any) -> None:
            call = next(calls)
            if trigger == "received" and call == at:
                strike()
            if trigger == "answered" and call == at + AMONG:
                strike()  # those before were answered, but for the last ones on their way
            deliver(publisher, delivery)

        def struck_store(publisher: Publisher, *given: Any) -> None:
            store(publisher, *given)
            if trigger == "withheld" and next(taken) == at:
                strike()

        with mock.patch.multiple(Publisher, _deliver=struck_deliver, _store=struck_store):
            yield


def make_hub_site(folder: Path, prepared: Path, server: Emulator) -> HubSite:
    environ = copied(folder, prepared, endpoint=f"amqp://127.0.0.1:{server.port}")
    return HubSite(folder, cast("Any", server), environ)


def new_emulator() -> Emulator:
    return Emulator(Config(hubs=[Hub(HUB, partitions=4)], keys=[SENDER]))
