"""The journal of an activation: what was committed, by whom, and for how long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tailrace import ActivationBusy, StateDamaged, StateError
from tailrace.pipeline.commit import Committer, Group
from tailrace.store import layout
from tailrace.store.journal import Checkpoint, Journal, Share
from tailrace.store.part import Part, check

PLACE = Checkpoint(offset=10, line=2, read_line=5, starts=(3,), ends=(4,))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path, "hot")) as made:
        yield made


def test_what_was_committed_is_seen_at_once_and_later(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, "hot")) as journal:
        assert (journal.checkpoint(1), journal.counts(7)) == (None, None)
        journal.begin(7)
        journal.commit(7, [Share({"received": 3}, {1: PLACE})])
        assert (journal.checkpoint(1), journal.counts(7)) == (PLACE, {"received": 3})
    with closing(Journal(tmp_path, "hot")) as journal:
        journal.begin(8)
        assert (journal.checkpoint(1), journal.counts(7), journal.counts(8)) == (PLACE, None, {})


def test_the_file_does_not_grow_with_the_number_of_commits(tmp_path: Path, journal: Journal) -> None:
    """A reader that stays in the past would keep every page that was written since."""
    sizes = []
    for turn in range(300):
        journal.commit(1, [Share({"received": turn}, {1: PLACE})])
        journal.refresh()
        sizes.append((tmp_path / "journal.mdb").stat().st_size)
    assert sizes[-1] <= sizes[20]


def test_a_full_journal_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "Part", partial(Part, map_size=64 * 1024))
    with closing(Journal(tmp_path, "hot")) as journal:
        for number in range(20):
            journal.commit(1, [Share({"text": "x" * 1000}, {100 * number + n: PLACE for n in range(100)})])
        assert journal.checkpoint(1999) == PLACE
    check(tmp_path / "journal.mdb")


def test_threads_share_a_journal_until_it_is_closed(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "hot")
    wrong: list[object] = []

    def commit() -> None:
        for turn in range(50):
            journal.commit(1, [Share({"received": turn}, {1: PLACE})])
            wrong.extend(found for found in [journal.checkpoint(1)] if found != PLACE)

    threads = [threading.Thread(target=commit) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert wrong == []
    check(tmp_path / "journal.mdb")


def test_one_holds_it_at_a_time(tmp_path: Path, journal: Journal) -> None:
    with pytest.raises(ActivationBusy, match=r"'hot' is being exported by process \d+ on "):
        Journal(tmp_path, "hot")
    journal.close()
    Journal(tmp_path, "hot").close()


def test_a_damaged_journal_names_the_way_on(tmp_path: Path) -> None:
    folder = tmp_path / "activation"
    folder.mkdir()
    Journal(folder, "hot").close()
    (folder / "journal.mdb").write_bytes(b"noise" * 5000)
    with pytest.raises(StateDamaged) as caught:
        Journal(folder, "hot")
    assert str(folder) in str(caught.value)
    assert "tailrace state repair keeps the parts that are whole" in str(caught.value.hint)
    for path in folder.iterdir():
        path.unlink()
    Journal(folder, "hot").close()


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic


def test_a_commit_that_fails_is_told_once_and_nothing_follows() -> None:
    clock, tried = Clock(), threading.Event()
    commits: list[int] = []

    def commit(group: Group) -> None:
        commits.append(group.delivered)
        tried.set()
        raise StateError("full")

    committer = Committer(commit, clock)
    committer.start(Group([], (), 1))
    assert tried.wait(10)
    committer.stop()
    clock.now = 1.0
    with pytest.raises(StateError, match="full"):
        committer.due(clock.now, 0)
    assert committer.due(clock.now, 0) is False
    committer.stop()
    committer.finish(Group([], (), 2))
    assert commits == [1]


def test_the_last_commit_waits_for_the_one_under_way() -> None:
    going, begun = threading.Event(), threading.Event()
    commits: list[int] = []

    def commit(group: Group) -> None:
        begun.set()
        going.wait(10)
        commits.append(group.delivered)

    committer = Committer(commit, Clock())
    committer.start(Group([], (), 1))
    assert begun.wait(10)
    going.set()
    committer.stop()
    committer.finish(Group([], (), 2))
    assert commits == [1, 2]


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
def test_a_journal_that_is_taken_away_takes_no_commit(
    tmp_path: Path, journal: Journal, replaced: bool
) -> None:
    """What it would take nobody would find again."""
    file = tmp_path / "journal.mdb"
    file.rename(tmp_path / "away")
    if replaced:
        file.write_bytes((tmp_path / "away").read_bytes())
    with pytest.raises(StateError, match="was removed or replaced while it was in use"):
        journal.commit(1, [Share({}, {1: PLACE})])
