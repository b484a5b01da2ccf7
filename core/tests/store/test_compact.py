"""Compaction: the same values in smaller files, whatever happens meanwhile."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from core.tests.store.journals import PROFILES, RULE, shares, sixteen
from tailrace import StateDamaged, StateError
from tailrace.store import compact
from tailrace.store.compact import compact_parts
from tailrace.store.journal import PARTS, Journal, journal_size
from tailrace.store.layout import part_file, part_files
from tailrace.store.notes import copy_of, left_well
from tailrace.store.part import Part, check, rewrite


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of a journal that has had large values."""
    made = tmp_path / "a"
    made.mkdir()
    with closing(sixteen(made)) as journal:
        journal.commit(1, shares(b"large" * 1000))
        journal.commit(1, shares())
    return made


def assert_whole(folder: Path) -> None:
    with closing(Journal(folder, "hot", whole=True)) as journal:
        assert journal.layout == RULE
        assert journal.setting("salt") == b"pepper"
        assert journal.profiles() == len(PROFILES)
        assert all(journal.get(profile) == b"state" + profile for profile in PROFILES)


def test_files_get_smaller_and_hold_the_same(folder: Path) -> None:
    before = journal_size(folder)
    compact_parts(folder)
    assert journal_size(folder) < before / 3
    for path in part_files(folder):
        assert left_well(path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert b"large" not in path.read_bytes()
    assert list(folder.glob("*.copy*")) == []
    assert_whole(folder)
    size = journal_size(folder)
    compact_parts(folder)
    assert journal_size(folder) == size
    with closing(Journal(folder, "hot")) as journal:
        journal.commit(1, shares(b"new"))
        journal.refresh()
        assert journal.get(PROFILES[0]) == b"new" + PROFILES[0]


def test_a_kill_leaves_the_file_or_its_copy(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments: list[Path] = []

    def watched(step: Callable[..., object]) -> Callable[..., object]:
        def watching(*given: object) -> object:
            done = step(*given)
            moments.append(tmp_path / f"copy-{len(moments)}")
            shutil.copytree(folder, moments[-1])
            return done

        return watching

    for name in ("remove_copy", "rewrite", "try_sync_folder", "leave_note", "verify"):
        monkeypatch.setattr(compact, name, watched(getattr(compact, name)))
    monkeypatch.setattr(os, "replace", watched(os.replace))
    compact_parts(folder)
    monkeypatch.undo()
    assert len(moments) > 5 * PARTS
    of_two_parts = moments[: 2 * len(moments) // PARTS]
    for moment in of_two_parts:
        assert_whole(moment)
    left = next(moment for moment in of_two_parts if list(moment.glob("*.copy")))
    compact_parts(left)
    assert list(left.glob("*.copy")) == []
    assert_whole(left)


def test_a_damaged_part_is_refused_before_anything_is_changed(folder: Path) -> None:
    part_file(folder, 9).write_bytes(b"noise" * 3000)
    before = {path: path.read_bytes() for path in part_files(folder)}
    with pytest.raises(StateDamaged, match=r"journal-09\.mdb"):
        compact_parts(folder)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("how", ["no room", "short", "empty", "wrong"])
def test_a_copy_that_is_not_good_takes_no_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def written(path: Path, new: Path) -> None:
        if how == "no room":
            raise OSError(28, "No space left on device")
        rewrite(path, new)
        if how == "short":
            os.truncate(new, 9000)
        elif how == "empty":
            new.unlink()
            Part(new).close()
        else:
            new.write_bytes(new.read_bytes()[:-20] + b"x" * 20)

    monkeypatch.setattr(compact, "rewrite", written)
    with pytest.raises(StateError):
        compact_parts(folder)
    assert list(folder.glob("*.copy")) == []
    assert copy_of(part_file(folder, 1)).name == "journal-01.copy"
    assert_whole(folder)


def test_nothing_of_what_was_forgotten_is_left(tmp_path: Path) -> None:
    """Not even as a key by which pages are told apart, as in a copy that LMDB makes."""
    draw = random.Random(2)
    values = {draw.randbytes(17): draw.randbytes(78) for _ in range(5000)}
    forgotten = draw.sample(sorted(values), 1000)
    path = tmp_path / "journal.mdb"
    with closing(Part(path)) as part:
        part.commit(dict(values))
        part.commit(dict.fromkeys(forgotten))
    compact_parts(tmp_path)
    content = path.read_bytes()
    assert [key for key in forgotten if key in content or values[key] in content] == []
    check(path)
    with closing(Part(path)) as part:
        assert part.count() == 4000
