"""With an SDK whose inside is another one, the public client sends: it works, and says what it may do."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.eventhub import EventHubProducerClient
from azure.eventhub._pyamqp import _encode, utils
from azure.eventhub._pyamqp._connection import Connection
from azure.eventhub._pyamqp.client import AMQPClient

from plugins.eventhubs.tests.writing import HUB, batch, by_key, emulator, exporting, kinds, numbers
from tailrace import Batch, BatchResult, NotConnected, TailraceError
from tailrace_eventhubs.emulator import Emulator
from tailrace_eventhubs.sending import filling, public, selfcheck

MODES = ["key", "client-hash", "round-robin"]


@pytest.fixture
def server() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""The public client forgets to close the socket of a connection that was lost."""


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    selfcheck.why_not.cache_clear()
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("eventhubs"):
            thread.join(10)
    gc.collect()  # now, while its warnings are ignored
    selfcheck.why_not.cache_clear()
    filling.can_fill.cache_clear()


@pytest.fixture(params=[True, False], ids=["filled", "added"])
def changed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the SDK had another inside: a name that the fast way needs has another meaning, and in the second
    case those of its batches have, too."""
    if not request.param:
        monkeypatch.setattr(public, "can_fill", lambda: False)
    monkeypatch.delattr(Connection, "_process_incoming_frame")
    monkeypatch.setattr(Connection, "_take_frame", _process, raising=False)
    monkeypatch.setattr(Connection, "_read_frame", _read)


_process = Connection._process_incoming_frame


def _read(self: Connection, wait: bool | float = True, **options: object) -> bool:
    return _process(self, *self._transport.receive_frame(**options))


def test_the_installed_sdk_is_sent_below() -> None:
    assert selfcheck.why_not() is None
    assert filling.can_fill()


def test_a_batch_of_another_inside_is_not_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    filling.can_fill.cache_clear()
    _other_bytes(monkeypatch)
    assert not filling.can_fill()


def _no_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(AMQPClient, "auth_complete")


def _no_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(EventHubProducerClient, "_create_producer")


def _other_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(output: bytearray, message: object) -> None:
        _encode.encode_payload(output, message)  # type: ignore[arg-type]
        output += b"\x40"

    monkeypatch.setattr(utils, "encode_payload", encode)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_no_method, "has no SendClient.auth_complete"),
        (_no_producer, "has no EventHubProducerClient._create_producer"),
        (_other_bytes, "encodes batches in another way"),
    ],
)
def test_what_changed_is_named(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None], said: str
) -> None:
    change(monkeypatch)
    assert said in str(selfcheck.why_not())


@pytest.mark.usefixtures("changed")
@pytest.mark.parametrize("mode", MODES)
def test_every_record_is_stored_once(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with emulator(2) as server, exporting(server, partitioning=mode) as exporter:
        assert exporter.write(batch(40, keys=8)) == BatchResult(40)
    assert sorted(numbers(server)) == list(range(40))
    assert [record.message for record in caplog.records if "may be stored twice" in record.message]
    if mode == "key":
        assert all(order == sorted(order) for order in by_key(server).values())
    assert not [thread for thread in threading.enumerate() if thread.name == "eventhubs-sender"]


@pytest.mark.usefixtures("changed")
def test_content_type_and_event_id_go_along(server: Emulator) -> None:
    data = [b'{"specversion":"1.0","id":"abc","data":{"n":1}}']
    with exporting(
        server, format="cloudevents", event_id_property="event-id", content_type="application/cloudevents+x"
    ) as exporter:
        assert not exporter.write(Batch(["a"], data)).failures
    (event,) = server.accepted(HUB)
    assert event.properties == {"event-id": "abc"}
    assert event.system["content-type"] == "application/cloudevents+x"


@pytest.mark.usefixtures("changed")
def test_an_event_over_the_limit_is_rejected_alone() -> None:
    with emulator(tier="basic") as server, exporting(server, partitioning="round-robin") as exporter:
        written = batch(3)
        data = [*written.data[:1], b"x" * 262_145, *written.data[2:]]
        result = exporter.write(Batch(written.keys, data))
        assert [(i, f.kind, f.code) for i, f in result.failures.items()] == [(1, "rejected", "EventTooLarge")]
        assert sorted(numbers(server)) == [0, 2]


@pytest.mark.usefixtures("changed")
@pytest.mark.parametrize(
    ("fault", "kind"), [("server-busy", "throttled"), ("internal-error", "retry"), ("drop", "ambiguous")]
)
def test_a_batch_that_failed_was_sent_twice_by_the_sdk(server: Emulator, fault: str, kind: str) -> None:
    server.faults.add(fault)
    with exporting(server) as exporter:
        result = exporter.write(batch(3, keys=1))
        assert kinds(result) == [kind]
    assert len(server.attempts(HUB)) == 2  # why the fast way exists


@pytest.mark.usefixtures("changed")
def test_a_write_ends_in_time(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "SEND_SECONDS", 1.0)
    server.faults.add("no-answer")
    with exporting(server, write_timeout=1) as exporter:
        began = time.monotonic()
        result = exporter.write(batch(3, keys=1))
        assert time.monotonic() - began < 1
        assert kinds(result) == ["ambiguous"]


@pytest.mark.usefixtures("changed")
def test_nobody_there_is_told(server: Emulator) -> None:
    server.stop()
    with exporting(server) as exporter, pytest.raises(TailraceError) as caught:
        exporter.write(batch(3))
    assert caught.value.exit_code == 6


@pytest.mark.usefixtures("changed")
def test_nothing_opens_again_after_close(server: Emulator) -> None:
    with exporting(server) as exporter:
        exporter.write(batch(4))
    before = server.connections
    with pytest.raises(NotConnected):
        exporter.write(batch(4))
    assert server.connections == before


@pytest.mark.usefixtures("changed")
def test_threads_write_side_by_side(server: Emulator) -> None:
    with exporting(server) as exporter, ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda n: exporter.write(batch(10, first=10 * n)), range(16))
        assert all(result == BatchResult(10) for result in results)
    assert sorted(numbers(server)) == list(range(160))
