"""`tailrace demo both`: the same updates to both destinations of the project, side by side."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_both_hold_the_same_records(tmp_path: Path) -> None:
    ended = subprocess.run(
        [Path(sys.executable).with_name("tailrace"), "demo", "both", "--json"],
        env={"TAILRACE_HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "config")},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    shape = json.loads(ended.stdout)
    assert (shape["ok"], shape["alike"]) == (True, True)
    eventhubs, kinesis = shape["destinations"]
    assert [eventhubs["destination"], kinesis["destination"]] == ["eventhubs", "kinesis"]
    for each in shape["destinations"]:
        assert (each["missing"], each["unexpected"]) == (0, 0)
        assert each["arrived"] == eventhubs["ledger"]["delivered"] > 1000
    assert list(tmp_path.iterdir()) == []
