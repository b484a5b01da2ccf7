"""Committing from a process of its own."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tailrace.store.journal import Journal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")

PROGRAM = """
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from tailrace import StateError
from tailrace.store import layout
from tailrace.store.apart import CommitProcess
from tailrace.store.journal import PARTS, Checkpoint, Journal, Share
from tailrace.store.part import Part

layout.Part = partial(Part, map_size=64 * 1024)  # so that the files outgrow their maps
folder = Path(sys.argv[1])
numbers = [(part, number) for part in range(PARTS) for number in range(2000)]
profiles = [bytes([part << 4, number >> 8, number & 255]) + bytes(13) for part, number in numbers]


def share(part, turn):
    changes = {profile: b"%d" % turn * 40 for profile in profiles if profile[0] >> 4 == part}
    return Share({"received": turn}, {1: Checkpoint(turn, 1, 1)}, changes)


with closing(CommitProcess(folder)) as apart, closing(Journal(folder, "hot")) as journal:
    journal.begin(1, "rule")
    for turn in range(3):
        apart.commit(1, [share(part, turn) for part in range(PARTS)])
        journal.refresh()
        assert {journal.get(profile) for profile in profiles} == {b"%d" % turn * 40}
    assert (journal.profiles(), journal.counts(1)["received"]) == (32000, 32)
    assert journal.checkpoint(1).offset == 2
    apart.commit(1, [Share({}, {})] * PARTS, forget=profiles[:5])
    journal.refresh()
    assert journal.profiles() == 31995
    (folder / "journal-03.mdb").rename(folder / "away")
    try:
        apart.commit(1, [Share({"received": 9}, {})] * PARTS)
    except StateError as error:
        assert "journal-03.mdb was removed or replaced" in error.message
    else:
        raise AssertionError
    (folder / "away").rename(folder / "journal-03.mdb")
"""


def test_what_another_process_commits_is_seen_from_the_next_refresh_on(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    with closing(Journal(tmp_path, "hot", whole=True)) as journal:
        assert journal.profiles() == 31995
