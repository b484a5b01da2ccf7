"""An Event Hubs of one's own for the demo: the embedded emulator, on loopback, inside this process. What
arrived is read back as anybody would, with the consumer of the SDK."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tailrace import DemoPlace, Transient
from tailrace_eventhubs.connections import quiet_sdk
from tailrace_eventhubs.emulator import Config, Emulator, Hub, Key
from tailrace_eventhubs.machine import this_machine_alone

HUB = "hot-leads"
PARTITIONS = 4
READ_SECONDS = 30.0

Records = list[tuple[str | None, bytes]]


@contextmanager
def demo_place() -> Iterator[DemoPlace]:
    """Start the server, with an event hub and a key that may send; stop it at the end."""
    sender, listener = (Key(name, secrets.token_urlsafe(), [name]) for name in ("Send", "Listen"))
    config = Config(hubs=[Hub(HUB, partitions=PARTITIONS)], keys=[sender, listener])
    with (
        this_machine_alone(),
        Emulator(config) as server,
        TemporaryDirectory(prefix="tailrace-demo-") as folder,
    ):
        # A reference, so that nothing has to be encrypted with the user's own key.
        secret = Path(folder, "secret")
        secret.write_text(sender.value)
        yield DemoPlace(
            about=f"event hub {HUB!r} with {PARTITIONS} partitions, on the emulator at {server.endpoint}",
            account={
                "namespace": "demo",
                "sas_key_name": sender.name,
                "sas_key": f"file:{secret}",
                "endpoint": f"amqp://127.0.0.1:{server.port}",
            },
            connection={"event_hub_name": HUB},
            read=lambda: _read(server.connection_string(HUB, key=listener)),
            in_flight=4,
        )


def _read(connection_string: str) -> Sequence[tuple[str | None, bytes]]:
    """Every event of every partition, from the oldest. Raises Transient where they do not come."""
    quiet_sdk()
    client = _consumer(connection_string)
    try:
        lasts = {each: _last(client, each) for each in client.get_partition_ids()}
    finally:
        client.close()
    found: dict[str, Records] = {each: [] for each, last in lasts.items() if last >= 0}
    readers = [
        threading.Thread(target=_read_partition, args=(connection_string, each, lasts[each], records))
        for each, records in found.items()
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    if any(len(records) <= lasts[each] for each, records in found.items()):
        raise Transient("the demo: events did not come back in time")
    return [record for records in found.values() for record in records]


def _consumer(connection_string: str) -> Any:
    from azure.eventhub import EventHubConsumerClient

    return EventHubConsumerClient.from_connection_string(connection_string, "$Default")


def _last(client: Any, partition: str) -> int:
    """The sequence number of its newest event; they are counted from 0. Less than that where it is empty."""
    properties = client.get_partition_properties(partition)
    return -1 if properties["is_empty"] else int(properties["last_enqueued_sequence_number"])


def _read_partition(connection_string: str, partition: str, last: int, records: Records) -> None:
    """Until its last event."""
    client = _consumer(connection_string)
    late = threading.Timer(READ_SECONDS, client.close)

    def take(context: Any, events: Sequence[Any]) -> None:
        for event in events:
            records.append((_text(event.partition_key), b"".join(event.body)))
        if events and events[-1].sequence_number >= last:
            client.close()

    late.start()
    try:
        client.receive_batch(take, partition_id=partition, starting_position="-1", max_wait_time=1)
    finally:
        late.cancel()
        late.join()
        client.close()


def _text(key: Any) -> str | None:
    return key.decode() if isinstance(key, bytes) else key
