"""A whole export while five in a hundred batches are answered with busy: nothing is lost, order holds, and it
ends in the time that is promised."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

import tailrace
from plugins.eventhubs.tests.writing import HUB, emulator
from tailrace_eventhubs import outcomes

SEGMENT = "0b7f4c1e-53d6-4e0e-9d2a-6c1f0a9be301"
UPDATES, KEYS = 3000, 300
PAUSE = 0.4
IDEAL = 6.0
"""Seconds that the export may take by itself, on a machine that does much else."""


def updates() -> str:
    lines = []
    for number in range(UPDATES):
        status = {"lastQualificationTime": "2026-01-01T00:00:00Z", "status": "realized"}
        update = {
            "identityMap": {"crm": [{"id": f"key-{number % KEYS}", "primary": True}]},
            "segmentMembership": {"ups": {SEGMENT: status}},
            "loyalty": {"points": number},
        }
        lines.append(json.dumps(update))
    return "\n".join(lines)


@pytest.mark.parametrize("partitioning", ["key", "client-hash"])
def test_busy_answers_cost_pauses_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, partitioning: str
) -> None:
    monkeypatch.setattr(outcomes, "BUSY_SECONDS", PAUSE)
    source = tmp_path / "updates.jsonl"
    source.write_text(updates())
    with emulator() as server, tailrace.open(tmp_path / "home", database_url="") as t:
        monkeypatch.setenv("EVENTHUBS", server.connection_string(HUB))
        t.accounts.add("hub", destination="eventhubs", settings={"connection_string": "env:EVENTHUBS"})
        settings = {"event_hub_name": HUB, "partitioning": partitioning}
        t.connections.add("hub", account="hub", settings=settings)
        t.activations.add(
            "hot", connection="hub", segments=(SEGMENT,), attributes=("loyalty.points",), every_update=True
        )
        server.faults.add("server-busy", fraction=0.05, seed=5)
        began = time.monotonic()
        ledger = t.export("hot", [str(source)])
        took = time.monotonic() - began
        events = sorted(server.accepted(HUB), key=lambda event: (event.partition, event.sequence))
    assert (ledger.delivered, ledger.pending, ledger.dead_lettered) == (UPDATES, 0, 0)
    assert ledger.ambiguous_resends == 0
    assert server.faults.fired["server-busy"] > (50 if partitioning == "key" else 0)
    # What is refused waits for the end of the pause, together, and about a thousand records may be sent again
    # then; one in twenty of them is refused once more.
    assert took < IDEAL + PAUSE * (ledger.retries / 1000 + 6)
    found: dict[int, list[int]] = {}
    for event in events:
        (number,) = map(int, re.findall(rb'"points": ?(\d+)', event.body))
        found.setdefault(number % KEYS, []).append(number)
    assert sorted(n for order in found.values() for n in order) == list(range(UPDATES))
    assert all(order == sorted(order) for order in found.values())
