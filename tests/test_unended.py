"""A last line without an end is read if it is valid JSON; half a line is left for the next export, so that
every line has one fate."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from core.tests.engine import rig
from core.tests.engine.rig import Fickle
from core.tests.updates import keys, update, updates
from tailrace import Ledger
from tailrace.store.journal import Checkpoint
from tests.endtoend import Site
from tests.test_following import Follower, append, until
from tests.test_restarts import fresh

REST = b',"pair":"\\ud83d\\ude00","more":"\xe2\x82\xac"}'
LINE = update(1, {"other": ["é", -1.5e3, True, None]})[:-1] + REST


def warning(path: Path, line: int) -> str:
    return f"{path}: its last line, {line}, has no end and is not valid; it is left for the next export"


def commits() -> tuple[list[Checkpoint], Callable[[Ledger, Mapping[int, Checkpoint]], None]]:
    """What is committed of the first source, and who writes it down."""
    made: list[Checkpoint] = []
    return made, lambda ledger, checkpoints: made.append(checkpoints[1])


def test_wherever_a_line_is_cut_it_is_read_once(tmp_path: Path) -> None:
    """Also within a character, half of a surrogate pair, a number or a word."""
    path = tmp_path / "in.jsonl"
    for cut in range(1, len(LINE)):
        path.write_bytes(updates(1) + LINE[:cut])
        made, keep = commits()
        first = rig.export(Fickle(), path, commit=keep)
        assert first.error is None
        assert (first.ledger.received, first.letters) == (1, [])
        assert first.ledger.warnings == (warning(path, 2),)
        assert (made[-1].offset, made[-1].line, made[-1].tail) == (len(updates(1)), 2, 0)
        if cut % 20 == 0:
            path.write_bytes(updates(1) + LINE + b"\n")
            exporter = Fickle()
            second = rig.export(exporter, path, checkpoint=made[-1])
            assert (second.ledger.received, second.letters, [*exporter.taken]) == (1, [], ["id-1"])
    path.write_bytes(updates(1) + LINE)
    assert rig.export(Fickle(), path).ledger.delivered == 2


@pytest.mark.parametrize("name", ["in.jsonl", "in.jsonl.gz"])
def test_half_a_line_is_left_and_read_as_one(site: Site, name: str) -> None:
    pack = gzip.compress if name.endswith(".gz") else bytes
    path = site.file(name, pack(updates(3)) + pack(update(3)[:50]))
    ended = site.export(path)
    assert fresh(ended) == 3
    assert ended.ledger["warnings"] == [warning(path, 4)]
    assert ended.err.decode() == f"warning: {warning(path, 4)}\n"
    assert [(each["line"], each["offset"]) for each in ended.ledger["sources"]] == [(4, len(updates(3)))]
    again = site.export(path)
    assert fresh(again) == 0
    assert warning(path, 4) in again.ledger["warnings"]
    append(path, pack(update(3)[50:] + b"\n" + updates(1, 4)))
    assert fresh(site.export(path)) == 2
    assert site.arrived() == keys(5)
    assert site.letters() == []


def test_a_tail_that_was_read_and_grows_by_half_a_line(site: Site) -> None:
    """What was read of it stays settled."""
    path = site.file("in.jsonl", updates(1) + update(1))
    assert fresh(site.export(path)) == 2
    append(path, b"\n" + update(2)[:-1])
    assert fresh(site.export(path)) == 0
    append(path, b"}")
    assert fresh(site.export(path)) == 1
    append(path, b" {")  # no more what was read, and not valid
    ended = site.export(path)
    assert fresh(ended) == 0
    assert warning(path, 3) in ended.ledger["warnings"]
    append(path, b"}\n" + updates(2, 3))
    assert site.export(path).counts == {"received": 3, "delivered": 2, "dead_lettered": 1}
    assert site.arrived() == keys(5)
    assert [(letter.reason, letter.line) for letter in site.letters()] == [("invalid-json", 3)]


def test_what_cannot_be_read_again_is_read_to_its_end(site: Site) -> None:
    ended = site.export("-", stdin=updates(1) + update(1)[:50])
    assert ended.counts == {"received": 2, "delivered": 1, "dead_lettered": 1}
    assert [(letter.reason, letter.line) for letter in site.letters()] == [("invalid-json", 2)]


def test_many_are_not_named_one_by_one(site: Site) -> None:
    paths = [site.file(f"{number}.jsonl", update(number)[:50]) for number in range(8)]
    ended = site.export(*paths)
    assert fresh(ended) == 0
    assert ended.ledger["warnings"] == [*(warning(path, 1) for path in paths[:5]), "the same of 3 more"]


def test_a_preview_leaves_it_out(site: Site) -> None:
    path = site.file("in.jsonl", updates(1) + b"nonsense\n" + update(1)[:50])
    shown = site.run("preview", "hot", path, "--json").json
    assert (len(shown["records"]), shown["filtered"], shown["invalid"]) == (1, 0, {"invalid-json": 1})


def test_half_a_line_in_a_directory_that_is_followed(site: Site) -> None:
    """It is read when its end comes; what never ends is told at last."""
    folder = site.folder / "in"
    folder.mkdir()
    for name, number in (("1", 0), ("2", 2)):
        (folder / name).write_bytes(updates(1, number) + update(number + 1)[:50])
    (folder / "3").write_bytes(updates(1, 4))
    follower = Follower(site, folder)
    until(site, lambda: site.arrived() == ["id-0", "id-2", "id-4"])
    append(folder / "1", update(1)[50:] + b"\n")
    until(site, lambda: site.arrived() == ["id-0", "id-1", "id-2", "id-4"])
    ended = follower.stop()
    assert (ended.code, ended.counts) == (130, {"received": 4, "delivered": 4})
    assert ended.ledger["warnings"] == [warning(folder / "2", 2)]
    assert site.letters() == []
