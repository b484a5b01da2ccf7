"""How fast the embedded Event Hubs takes events, from a client with everything encoded beforehand.

    .venv/bin/python -m tests.bench.emulator            # the emulator in another process, then its figures

The client does as little as can be, so that it is the server that is measured: batches of about 1 MB and
100 B or 1 KB an event, and one event a batch.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass

from plugins.eventhubs.tests.emulator.driver import Driver, batch, data, transfers
from tailrace_eventhubs.emulator.performatives import DISPOSITION, FLOW
from tailrace_eventhubs.emulator.tokens import sas

_BATCH = 1_000_000
_WINDOW = 250  # deliveries without an answer


@dataclass(frozen=True, slots=True)
class Measured:
    name: str
    events: int
    seconds: float
    server_cpu: float
    server_rss: int
    stored: int

    def line(self) -> str:
        return (
            f"{self.name:24} {self.events / self.seconds:>10,.0f} events/s"
            f"  {1e6 * self.server_cpu / self.events:6.2f} us server CPU an event"
            f"  server RSS {self.server_rss >> 20} MiB"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, about")
    asked = parser.parse_args()
    for size, each in ((1000, _BATCH // 1040), (100, _BATCH // 110), (1000, 1), (100, 1)):
        print(measure(size, each, asked.seconds).line(), flush=True)
    return 0


def measure(size: int, each: int, seconds: float) -> Measured:
    command = [sys.executable, "-m", "tailrace_eventhubs.emulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            where = json.loads(server.stdout.readline())
            events, taken = _drive(where, [batch([data(b"x" * size)] * each)], each, seconds)
            cpu, rss = _usage(server.pid)
        finally:
            server.terminate()
            said, _ = server.communicate()
    return Measured(f"{size} B, {each} a batch", events, taken, cpu, rss, json.loads(said)["stored"]["hub"])


def _drive(where: dict[str, str], batches: list[bytes], each: int, seconds: float) -> tuple[int, float]:
    port = int(where["port"])
    with Driver(port) as driver:
        driver.open()
        audience = f"{where['endpoint']}/hub"
        assert driver.authorize(sas(audience, "RootManageSharedAccessKey", "SAS_KEY_VALUE"), audience) == 202
        driver.attach(1, "hub", sender=True)
        driver.until(FLOW)
        group = max(1, 60_000 // len(batches[0]))  # small ones go out together
        sent, answered = 1, 0  # the token was the first delivery of the session
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds:
            out = [transfers(1, sent + n, batches[0]) for n in range(min(group, _WINDOW // 2))]
            driver.socket.sendall(b"".join(out))
            sent += len(out)
            while sent - 1 - answered > _WINDOW // 2:
                answered = _answered(driver)
        while answered < sent - 1:
            answered = _answered(driver)
        return (sent - 1) * each, time.perf_counter() - begin


def _answered(driver: Driver) -> int:
    _, fields, _ = driver.until(DISPOSITION)
    last = fields[2]
    assert isinstance(last, int)
    return last


def _usage(pid: int) -> tuple[float, int]:
    """CPU seconds and resident bytes of another process."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / 100, int(fields[21]) * resource.getpagesize()


if __name__ == "__main__":
    sys.exit(main())
