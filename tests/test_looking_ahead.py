"""The process that looks ahead in a large file: what is exported is what is exported without it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from core.tests.updates import OTHER, update
from tailrace.pipeline.ahead import LEAST
from tests.endtoend import Ended, Site, children
from tests.test_robustness import on_call

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the process is a fork, on Linux")

COUNT, SIZE = 9000, 1000
LOOKER = 2
"""Its place among the processes of an export."""


def content(seed: int, changed: float) -> bytes:
    """Profiles that come again, in states that differ and come back; some lines are not valid, some of
    another segment."""
    draw = Random(seed)
    lines = []
    for number in range(COUNT):
        again = draw.randrange(number + 1) if draw.random() < 0.2 else number
        state = draw.randrange(3) if draw.random() < changed else 0
        person = {"name": {"firstName": f"s{state}" + "x" * SIZE}}
        kind = draw.random()
        if kind < 0.01:
            lines.append(b"nonsense")
        elif kind < 0.02:
            lines.append(update(again, {"identityMap": None}))
        else:
            segment = OTHER if kind < 0.2 else ("7841ba61-23c1-4bb3-a495-00d695fe1e93")
            fields: dict[str, Any] = {"person": person}
            if kind > 0.9:  # two that may have been profiles of their own
                fields["identityMap"] = {"crm": [{"id": f"c-{again}"}], "ecid": [{"id": f"id-{again + 1}"}]}
            lines.append(update(again, fields, segment=segment))
    return b"\n".join(lines)


def export(site: Site, path: Path, number: int, act: Callable[[int], None]) -> Ended:
    """Export with the command, and act on its process in the middle of its request of that number."""
    process: list[Any] = []

    def step() -> None:
        act(process[0].pid)

    on_call(site, number, step)
    process.append(site.start("export", "hot", path, "--json", "--quiet"))
    ended = site.end(process[0])
    site.server.always("PutRecords", None)
    return ended


def arrived(site: Site, since: int) -> dict[str, list[str]]:
    """The states that arrived of each profile, in order."""
    found: dict[str, list[str]] = {}
    for record in site.stream()[since:]:
        name = json.loads(record.data)["person"]["name"]["firstName"]
        found.setdefault(record.key, []).append(name.rstrip("x"))
    return found


@pytest.mark.parametrize("killed", [False, True], ids=["whole", "killed"])
def test_what_is_exported_is_the_same(site: Site, killed: bool) -> None:
    seen: list[int] = []

    def act(pid: int) -> None:
        seen.append(len(children(pid)))
        if killed and len(children(pid)) > LOOKER:
            os.kill(children(pid)[LOOKER], signal.SIGKILL)

    alone = site.client()  # in this process nobody looks ahead
    paths = [site.file(f"{n}.jsonl", content(n, changed)) for n, changed in ((1, 0.0), (2, 0.05), (3, 0.9))]
    with alone as t:
        for path in paths:
            assert path.stat().st_size > LEAST
            since = len(site.stream())
            ended = export(site, path, 2, act)
            assert ended.code == 5
            with_it = arrived(site, since)
            site.run("state", "show", "hot")
            t.state.reset("hot")
            for before in paths[: paths.index(path)]:
                t.export("hot", [before], from_start=True)
            since = len(site.stream())
            ledger = t.export("hot", [path], from_start=True)
            assert arrived(site, since) == with_it
            assert {
                name: ended.ledger[name] for name in ("received", "filtered", "unchanged", "delivered")
            } == {name: getattr(ledger, name) for name in ("received", "filtered", "unchanged", "delivered")}
            assert ended.ledger["reasons"] == ledger.reasons
            assert tuple(ended.ledger["warnings"]) == ledger.warnings
    assert seen == [3, 3, 3]
