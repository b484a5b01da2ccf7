"""The parts of an activation: shares, one layout in place of another, and what is left of both by
whoever is killed meanwhile."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from core.tests.store.journals import ONE, OTHER, PROFILES, RULE, TOGETHER, one, place, shares, sixteen
from tailrace import StateError
from tailrace.store import layout
from tailrace.store.journal import (
    PARTS,
    Checkpoint,
    Journal,
    Share,
    journal_size,
    part_of,
    remove_journal,
)
from tailrace.store.notes import remove
from tailrace.store.part import Part, check


def test_each_part_keeps_its_share(tmp_path: Path) -> None:
    with closing(sixteen(tmp_path)) as journal:
        assert {part_of(profile) for profile in PROFILES} == set(range(PARTS))
    with closing(Journal(tmp_path, "hot")) as journal:
        assert journal.layout == RULE
        assert journal.checkpoints(1) == tuple(map(place, range(PARTS)))
        assert journal.checkpoint(1) == TOGETHER
        assert journal.checkpoints(2) == (None,) * PARTS
        assert journal.checkpoint(2) is None
        assert all(journal.get(profile) == b"state" + profile for profile in PROFILES)
        assert journal.get(bytes(16)) is None
        assert journal.profiles() == len(PROFILES)
        assert (journal.setting("salt"), journal.setting("sugar")) == (b"pepper", None)
        journal.begin(2, RULE)
        assert journal.profiles() == len(PROFILES)
        assert (journal.counts(1), journal.counts(2)) == (None, {})
    assert len(list(tmp_path.glob("journal*.mdb"))) == PARTS
    assert journal_size(tmp_path) == sum(path.stat().st_size for path in tmp_path.glob("*.mdb"))
    remove_journal(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_reader_sees_it_after_a_refresh(tmp_path: Path) -> None:
    with closing(sixteen(tmp_path)) as journal:
        journal.commit(1, shares(b"new"), forget=PROFILES[:1])
        assert journal.get(PROFILES[0]) == b"state" + PROFILES[0]
        journal.refresh()
        assert journal.get(PROFILES[0]) == b"new" + PROFILES[0]
        journal.commit(
            1, [Share({}, {}, {p: None for p in PROFILES if part_of(p) == n}) for n in range(PARTS)]
        )
        journal.refresh()
        assert journal.get(PROFILES[0]) is None
        assert journal.profiles() == 0


def test_counts_add_up(tmp_path: Path) -> None:
    with closing(sixteen(tmp_path)) as journal:
        given = [
            Share({"n": number, "s": 0.5, "reasons": {"r": 1, str(number): 2}}, {}) for number in range(PARTS)
        ]
        given[0] = Share({"n": 0, "reasons": {}, "words": ["a"], "yes": True, "mixed": "x"}, {})
        given[3] = Share({"words": ["b"], "yes": True, "mixed": 4}, {})
        journal.commit(1, given)
        counts = journal.counts(1)
        assert counts == {
            "n": sum(range(PARTS)) - 3,
            "s": 7.0,
            "reasons": {"r": 14, **{str(number): 2 for number in range(1, PARTS) if number != 3}},
            "words": ["a"],
            "yes": True,
            "mixed": "x",
        }


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[bytes]]]:
    """The name of the file and the keys of each commit to a part; an empty list of keys in a place
    named `fail` makes that file fail."""
    done: list[tuple[str, list[bytes]]] = []
    real = Part.commit

    def commit(self: Part, changes: dict[bytes, bytes | None]) -> None:
        if ("fail", [self.path.name.encode()]) in done:
            raise StateError("full")
        real(self, changes)
        done.append((self.path.name, list(changes)))

    monkeypatch.setattr(Part, "commit", commit)
    return done


def test_what_is_forgotten_is_forgotten_before_any_share(
    tmp_path: Path, commits: list[tuple[str, list[bytes]]]
) -> None:
    with closing(sixteen(tmp_path)) as journal:
        commits.clear()
        forgotten = [
            next(profile for profile in PROFILES if part_of(profile) == number) for number in (15, 2)
        ]
        journal.commit(1, shares(received=4), forget=forgotten)
        assert [name for name, _ in commits[:3]] == ["journal-02.mdb", "journal-15.mdb", "journal.mdb"]
        assert sorted(commits[0][1]) == [b"e" + forgotten[1], b"p" + forgotten[1]]
        assert len(commits) == 2 + PARTS


def test_what_changes_nothing_is_not_written(tmp_path: Path, commits: list[tuple[str, list[bytes]]]) -> None:
    with closing(sixteen(tmp_path)) as journal:
        commits.clear()
        again = [Share({"received": 3}, {1: place(number)}) for number in range(PARTS)]
        again[4] = Share({"received": 5}, {1: place(4)})
        journal.commit(1, again)
        assert [name for name, _ in commits] == ["journal-04.mdb"]


def test_a_part_that_fails_stops_those_behind_it(
    tmp_path: Path, commits: list[tuple[str, list[bytes]]]
) -> None:
    with closing(sixteen(tmp_path)) as journal:
        commits.append(("fail", [b"journal-05.mdb"]))
        with pytest.raises(StateError, match="full"):
            journal.commit(1, shares(b"new", received=10))
        commits.clear()
        journal.refresh()
        for profile in PROFILES:
            assert journal.get(profile) == (b"new" if part_of(profile) < 5 else b"state") + profile
        assert journal.counts(1) == {"received": 5 * 10 + 11 * 3}
        journal.commit(1, shares(b"new", received=10))
        assert journal.counts(1) == {"received": PARTS * 10}


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Copies of the folder `a`, one for each step that is taken: what a kill would leave."""
    copies: list[Path] = []
    numbers = count()

    def watched(step: Callable[..., object]) -> Callable[..., object]:
        def watching(*given: object) -> object:
            done = step(*given)
            copies.append(tmp_path / f"copy-{next(numbers)}")
            shutil.copytree(tmp_path / "a", copies[-1])
            return done

        return watching

    monkeypatch.setattr(Part, "commit", watched(Part.commit))
    monkeypatch.setattr(layout, "remove", watched(remove))
    monkeypatch.setattr(layout, "Part", watched(Part))
    (tmp_path / "a").mkdir()
    return copies


CHANGES = [("", RULE), (RULE, ""), (RULE, OTHER)]


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_a_kill_leaves_the_old_layout_or_the_new_one(
    tmp_path: Path, moments: list[Path], monkeypatch: pytest.MonkeyPatch, before: str, after: str
) -> None:
    """Each with the positions that count; and the change that was cut off is made by the next run."""
    with closing((sixteen if before else one)(tmp_path / "a")) as journal:
        moments.clear()
        journal.begin(2, after)
        assert_changed(journal, TOGETHER if before else ONE, after)
    monkeypatch.undo()
    seen: list[str] = []
    for moment in moments:
        with closing(Journal(moment, "hot", whole=False)) as journal:
            seen.append(journal.layout)
            assert journal.checkpoint(1) == (TOGETHER if before else ONE)
            remembered = before and journal.layout == before
            assert journal.profiles() == (len(PROFILES) if remembered else 0)
            assert journal.setting("salt") == b"pepper"
            assert journal.counts(2) == {}
            journal.begin(3, after)
            assert_changed(journal, TOGETHER if before else ONE, after)
    stages = [text for place, text in enumerate(seen) if text != seen[place - 1] or not place]
    assert stages == [before, "", after] if before and after else [before, after]
    assert len(seen) > PARTS


def assert_changed(journal: Journal, stands: Checkpoint, after: str) -> None:
    assert journal.layout == after
    assert journal.checkpoints(1) == (stands,) * (PARTS if after else 1)
    assert journal.profiles() == 0
    assert [profile for profile in PROFILES if journal.get(profile) is not None] == []
    assert journal.setting("salt") == b"pepper"


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_a_change_that_fails_leaves_a_journal_to_work_with(
    tmp_path: Path, commits: list[tuple[str, list[bytes]]], before: str, after: str
) -> None:
    for broken in (b"journal-07.mdb", b"journal.mdb"):
        with closing((sixteen if before else one)(tmp_path)) as journal:
            commits.append(("fail", [broken]))
            with suppress(StateError):
                journal.begin(2, after)
            commits.clear()
            assert journal.checkpoint(1) == (TOGETHER if before else ONE)
            journal.begin(3, after)
            assert_changed(journal, TOGETHER if before else ONE, after)
        remove_journal(tmp_path)


def test_a_source_that_one_part_does_not_know_is_read_from_its_beginning(tmp_path: Path) -> None:
    with closing(sixteen(tmp_path)) as journal:
        journal.commit(1, [Share({}, {2: ONE} if number != 9 else {}) for number in range(PARTS)])
        assert journal.checkpoint(2) is None
        journal.begin(2)
        assert (journal.checkpoints(1), journal.checkpoints(2)) == ((TOGETHER,), (None,))


def test_what_an_older_layout_left_is_removed(tmp_path: Path) -> None:
    """Damaged or not, it is nothing that was promised."""
    with closing(sixteen(tmp_path)):
        pass
    left = {path.name: path.read_bytes() for path in tmp_path.glob("journal-*.mdb")}
    with closing(Journal(tmp_path, "hot")) as journal:
        journal.begin(2)
    for name, content in left.items():
        (tmp_path / name).write_bytes(content if name < "journal-08" else b"noise" * 2000)
    with closing(Journal(tmp_path, "hot")) as journal:
        assert list(tmp_path.glob("journal-*")) == []
        assert journal.checkpoint(1) == TOGETHER


def test_a_part_of_another_generation_holds_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(sixteen(tmp_path)):
        pass
    old = (tmp_path / "journal-06.mdb").read_bytes()
    with closing(Journal(tmp_path, "hot")) as journal:
        journal.begin(2)
        journal.begin(3, RULE)
        journal.commit(3, shares(b"new"))
    (tmp_path / "journal-06.mdb").write_bytes(old)
    (tmp_path / "journal-09.mdb").unlink()
    with closing(Journal(tmp_path, "hot")) as journal:
        for profile in PROFILES:
            lost = part_of(profile) in (6, 9)
            assert journal.get(profile) == (None if lost else b"new" + profile)
        assert [journal.checkpoints(1)[number] for number in (5, 6, 9)] == [place(5), None, None]
        assert journal.checkpoint(1) is None
    named = [Path(message.split()[0]).name for message in caplog.messages]
    assert named == ["journal-06.mdb", "journal-09.mdb"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that have to grow."""
    monkeypatch.setattr(layout, "Part", partial(Part, map_size=64 * 1024))


@pytest.mark.usefixtures("small")
def test_one_thread_reads_while_another_commits(tmp_path: Path) -> None:
    """Of each part it sees one commit or the next, none twice in the wrong order, and all of the last."""
    turns, wrong = 40, []
    with closing(sixteen(tmp_path)) as journal:

        def commit() -> None:
            for turn in range(1, turns + 1):
                journal.commit(1, shares(b"%04d" % turn * (turn * 40), received=turn))

        thread = threading.Thread(target=commit)
        thread.start()
        newest = [0] * PARTS
        while thread.is_alive():
            journal.refresh()
            for profile in PROFILES:
                value = journal.get(profile) or b""
                turn = 0 if value.startswith(b"state") else int(value[:4])
                if turn < newest[part_of(profile)] or not value.endswith(profile):
                    wrong.append(value)
                newest[part_of(profile)] = turn
            assert journal.checkpoint(1) == TOGETHER
        thread.join()
        journal.refresh()
        assert wrong == []
        assert all((journal.get(profile) or b"").startswith(b"%04d" % turns) for profile in PROFILES)
        assert journal.counts(1) == {"received": turns * PARTS}
    for path in layout.part_files(tmp_path):
        assert path.stat().st_size > 64 * 1024
        check(path)
