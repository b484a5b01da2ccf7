"""The sample is the same everywhere, and holds what the demo promises to show."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

from tailrace import sample

DIGEST = "c87fb25340073bbb64296100eedcef4752bf9f9b1e072f1113933aa43ae5284f"


def test_the_lines_are_the_same_on_every_machine() -> None:
    assert hashlib.sha256(b"\n".join(sample.lines())).hexdigest() == DIGEST


def test_written_file_holds_the_lines(tmp_path: Path) -> None:
    path = tmp_path / "profiles.jsonl"
    size = sample.write(path)
    assert path.stat().st_size == size
    assert path.read_bytes().splitlines() == list(sample.lines())


def test_a_few_lines_are_bad_and_the_rest_is_not() -> None:
    bad = 0
    statuses: Counter[str] = Counter()
    for line in sample.lines():
        try:
            update = json.loads(line)
            entries = update.get("segmentMembership", {}).get("ups", {}).values()
            statuses.update(entry["status"] for entry in entries)
        except (ValueError, AttributeError):
            bad += 1
    assert 0 < bad <= len(sample.BAD)
    assert statuses["realized"] > statuses["exited"] > 100
