"""The fault matrix: every row passes, and every row that can be broken fails when it is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tailrace.registry import Registry
from tailrace.selftest import matrix
from tailrace.selftest.features import lacks
from tailrace.selftest.matrix import Entry

ENTRIES = matrix.select(Registry.scan({}))
BUILT = [entry for entry in ENTRIES if lacks(entry.row.needs) is None]
NEVER_MET = "the fault was never met, so nothing is proved"

pytestmark = pytest.mark.usefixtures("limited")


def name(entry: Entry) -> str:
    return entry.row.name


@pytest.mark.parametrize("entry", BUILT, ids=name)
def test_a_row_passes(entry: Entry) -> None:
    environment = dict(os.environ)
    [verdict] = matrix.run([entry])
    assert (verdict.word, verdict.problems) == ("pass", ())
    assert verdict.injected > 0
    assert dict(os.environ) == environment


@pytest.mark.parametrize("entry", BUILT, ids=name)
def test_a_broken_row_fails(entry: Entry) -> None:
    """For another reason than that the fault did not come; and nothing stays turned off."""
    assert entry.row.broken
    [verdict] = matrix.run([entry], broken=entry.row.name)
    assert verdict.word == "FAIL"
    assert set(verdict.problems) - {NEVER_MET}
    assert not [problem for problem in verdict.problems if re.search(r"(^| )-\d", problem)]


def test_what_is_turned_off_is_on_again() -> None:
    own = [entry for entry in BUILT if entry.row.breaking == "own" and entry.row.updates <= 60][:6]
    for entry in own:
        words = [
            verdict.word
            for broken in (entry.row.name, None)
            for verdict in matrix.run([entry], broken=broken)
        ]
        assert words == ["FAIL", "pass"]


def test_rows_have_names_of_their_own() -> None:
    names = [entry.row.name for entry in ENTRIES]
    assert sorted(names) == sorted(set(names))


def test_rows_of_the_destination_come_before_those_of_the_core() -> None:
    destinations = [entry.destination for entry in ENTRIES]
    assert destinations == sorted(destinations)  # eventhubs, kinesis, scripted
    assert set(destinations) == {"eventhubs", "kinesis", "scripted"}


def test_the_command(tmp_path: Path) -> None:
    """Nothing of it is left, and nothing of the user's own settings has a say."""
    command = Path(sys.executable).with_name("tailrace")
    hostile = {
        "TAILRACE_HOME": str(tmp_path / "home"),
        "TAILRACE_WRITE_TIMEOUT": "nonsense",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_PROFILE": "missing",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "TMPDIR": str(tmp_path),
    }
    rows = ["token-expires", "slow-drip", "killed", "replay-in-live-traffic", "bad-lines"]
    ended = subprocess.run(
        [command, "selftest", "faults", "--json", *(part for row in rows for part in ("--row", row))],
        env={**os.environ, **hostile},
        capture_output=True,
        timeout=60,
        check=False,
    )
    shape = json.loads(ended.stdout)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert (shape["passed"], shape["failed"], shape["not_built"]) == (4, 0, 1)
    assert [row["verdict"] for row in shape["rows"]] == ["pass", "pass", "pass", "not built", "pass"]
    assert list(tmp_path.iterdir()) == []
