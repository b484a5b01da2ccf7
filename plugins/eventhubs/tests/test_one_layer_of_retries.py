"""The core sends again, and nobody below it: a batch is attempted once a write, counted at the server."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from plugins.eventhubs.tests.writing import HUB, batch, emulator, exporting, kinds, numbers
from tailrace import TailraceError
from tailrace_eventhubs.emulator import Emulator

FAULTS = {
    "server-busy": "throttled",
    "internal-error": "retry",
    "timeout": "ambiguous",
    "released": "retry",
    "modified": "retry",
    "detach": "ambiguous",
    "detach-after": "ambiguous",
    "close": "ambiguous",
    "close-after": "ambiguous",
    "drop": "ambiguous",
    "drop-after": "ambiguous",
    "lost-ack": "ambiguous",
    "no-answer": "ambiguous",
    "no-answer-after": "ambiguous",
    "token-expired": "ambiguous",
}
"""What is told of the records of a batch that met the fault."""


@pytest.fixture
def server() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


@pytest.mark.parametrize("mode", ["key", "client-hash", "round-robin"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_batch_is_attempted_once(server: Emulator, fault: str, mode: str) -> None:
    server.faults.add(fault)
    silent = fault.startswith("no-answer")
    with exporting(server, partitioning=mode, write_timeout=1.5 if silent else 20) as exporter:
        began = time.monotonic()
        result = exporter.write(batch(3, keys=1))
        assert time.monotonic() - began < 4
        assert kinds(result) == [FAULTS[fault]]
        assert len(result.failures) == 3
        attempts = server.attempts(HUB)
    assert [(attempt.outcome, attempt.events) for attempt in attempts] == [(fault, 3)]
    assert server.faults.fired[fault] == 1
    assert server.attempts(HUB) == attempts  # nor afterwards, on closing


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_stored_is_told_so_and_goes_through_the_next_time(server: Emulator, fault: str) -> None:
    server.faults.script(fault)
    with exporting(server, write_timeout=1.5 if fault.startswith("no-answer") else 20) as exporter:
        first = exporter.write(batch(3, keys=1))
        assert len(first.failures) == 3
        assert exporter.write(batch(3, keys=1)).failures == {}
    stored = [attempt.stored for attempt in server.attempts(HUB)]
    assert stored[1:] == [True]
    if stored[0]:  # an answer was lost, so it is there twice
        assert kinds(first) == ["ambiguous"]
    assert numbers(server) == [0, 1, 2] * (2 if stored[0] else 1)


def test_a_server_that_cannot_be_reached_is_tried_once_a_write(server: Emulator) -> None:
    server.stop()
    with exporting(server) as exporter:
        began = time.monotonic()
        with pytest.raises(TailraceError) as caught:
            exporter.write(batch(3))
        assert caught.value.exit_code == 6
        assert time.monotonic() - began < 5
