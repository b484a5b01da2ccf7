"""The benchmark of the Event Hubs plugin runs, and every event of every case arrives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_every_case_arrives_whole() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.bench.eventhubs",
        "--events",
        "2000",
        "--delays",
        "0,5",
        "--fallback",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == 0, done.stderr
    for case in ("key", "client-hash", "round-robin", "kafka"):
        for name in (f"{case}, 0 ms", f"{case}, 5 ms"):
            assert [line for line in done.stdout.splitlines() if line.startswith(name)], done.stdout
    assert done.stdout.count("public client") == 3
