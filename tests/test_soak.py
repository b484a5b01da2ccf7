"""Soak: an export of standard input that never gets rest. Nothing is lost or turned around, and neither
memory nor open files grow.

Each tenth request meets the next kind of fault, so each kind comes equally often, and each hundredth
update is bad. What arrives is looked at and dropped meanwhile, so that the test may last as long as it likes.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.tests.updates import SEGMENT
from tailrace_kinesis.fakeserver import FailRecords, Fault, Raw, Refuse, Request, Reset
from tests.endtoend import Site, children

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a process what it holds")

KEYS = 20_000
EVERY = 10
FIRED = 20
BAD = 100
THROTTLED = "ProvisionedThroughputExceededException"

UPDATE = json.dumps(
    {
        "identityMap": {"ecid": [{"id": "id-%d"}]},
        "segmentMembership": {
            "ups": {SEGMENT: {"lastQualificationTime": "2026-01-01T00:00:00Z", "status": "realized"}}
        },
        "person": {"name": {"firstName": "%d"}},
    }
)


def some(code: str, share: float) -> FailRecords:
    draw = random.Random(code)
    return FailRecords(lambda index, key, data: code if draw.random() < share else None)


FAULTS: dict[str, Fault] = {
    "records throttled": some(THROTTLED, 0.05),
    "records failed inside": some("InternalFailure", 0.05),
    "most records throttled": some(THROTTLED, 0.8),
    "request throttled": Refuse(THROTTLED),
    "request failed inside": Refuse("InternalFailure", status=500),
    "unavailable": Refuse("ServiceUnavailable", status=503),
    "closed before it was accepted": Reset(),
    "closed after it was accepted": Reset(accept=True),
    "an answer that is none": Raw(b"<html>", accept=True),
}


class Watch:
    """Meets the requests: decides their faults, and looks at what has arrived and at the processes."""

    def __init__(self, site: Site) -> None:
        self.fired: Counter[str] = Counter()
        self.apart: list[list[float]] = []
        """MiB of each process, whenever it was looked at."""
        self.memory: list[float] = []
        """Of all together."""
        self.files: list[int] = []
        self.arrived: Counter[int] = Counter()
        """How often each update has arrived."""
        self.turned = 0
        self.pid = 0
        self._site = site
        self._last: dict[str, int] = {}
        self._requests = 0
        self._lock = threading.Lock()

    def step(self, request: Request) -> Fault | None:
        with self._lock:
            self._requests += 1
            self.look()
            if self._requests % EVERY:
                return None
            name = list(FAULTS)[self._requests // EVERY % len(FAULTS)]
            self.fired[name] += 1
            self._measure()
            return FAULTS[name]

    def look(self) -> None:
        for record in self._site.server.take():
            number = int(json.loads(record.data)["person"]["name"]["firstName"])
            self.arrived[number] += 1
            if self.arrived[number] == 1:
                self.turned += number < self._last.get(record.key, -1)
                self._last[record.key] = number

    def _measure(self) -> None:
        pids = [self.pid, *children(self.pid)]
        self.apart.append([round(anonymous(pid) / 1024, 1) for pid in pids])
        self.memory.append(sum(self.apart[-1]))
        self.files.append(sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids))


def anonymous(pid: int) -> int:
    """KiB that a process holds for itself; what it maps of its state is the system's to keep or drop."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def updates(enough: Callable[[], bool]) -> Iterator[bytes]:
    """Blocks of updates, until there are enough; each key comes again and again."""
    draw = random.Random(1)
    for first in range(0, 10**9, 500):
        if enough():
            return
        yield b"".join(
            b"bad %d\n" % number
            if number % BAD == 0
            else UPDATE.encode() % (draw.randrange(KEYS), number) + b"\n"
            for number in range(first, first + 500)
        )


def soak(site: Site, seconds: float, growth: float, files: int) -> dict[str, Any]:
    """Export for so long, and until each fault has come often enough; what was seen. `growth` is the most
    MiB, and `files` the most open files, by which the last third exceeds the second: mostly, as a connection
    that broke may be there beside the next one for a moment."""
    watch = Watch(site)
    process = site.start("export", "hot", "-", "--json", "--quiet", stdin=subprocess.PIPE)
    watch.pid = process.pid
    site.server.always("PutRecords", watch.step)
    end, limit = time.monotonic() + seconds, time.monotonic() + seconds + 240

    def enough() -> bool:
        often = all(watch.fired[name] >= FIRED for name in FAULTS)
        return process.poll() is not None or time.monotonic() > (end if often else limit)

    sent = 0
    assert process.stdin is not None
    for block in updates(enough):
        process.stdin.write(block)
        sent += 500
    ended = site.end(process)
    watch.look()

    good = sent - len(range(0, sent, BAD))
    assert ended.code == 5, ended.err
    assert set(watch.fired) == set(FAULTS)
    assert min(watch.fired.values()) >= FIRED, watch.fired
    assert ended.counts == {"received": sent, "delivered": good, "dead_lettered": sent - good}
    assert set(watch.arrived) == {number for number in range(sent) if number % BAD}  # nothing is lost
    assert watch.turned == 0
    assert watch.arrived.total() - good <= ended.ledger["ambiguous_resends"]
    third = len(watch.memory) // 3
    before, after = watch.memory[third : 2 * third], watch.memory[2 * third :]
    assert statistics.median(after) - statistics.median(before) < growth, watch.apart[:: third // 10 or 1]
    opened = watch.files[third : 2 * third], watch.files[2 * third :]
    assert statistics.median(opened[1]) - statistics.median(opened[0]) <= files, watch.files
    assert max(opened[1]) - max(opened[0]) <= 32, watch.files
    return {
        "updates": sent,
        "faults": dict(watch.fired),
        "sent again": ended.ledger["retries"],
        "arrived twice": watch.arrived.total() - good,
        "memory": [round(statistics.median(part), 1) for part in (before, after)],
        "files": [(statistics.median(part), max(part)) for part in opened],
    }


def test_half_a_minute_of_faults(site: Site) -> None:
    # The allocator has not settled by then on a slow machine, nor was each connection needed.
    soak(site, 30, growth=5, files=8)


@pytest.mark.slow
def test_half_an_hour_of_faults(site: Site) -> None:
    """Its result, which `pytest -s` shows, is kept in docs/guarantees.md."""
    sys.stdout.write(json.dumps(soak(site, 1800, growth=3, files=3)) + "\n")
