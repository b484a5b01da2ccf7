"""Repair: what is whole is kept, what is not begins anew, and nothing old is ever taken for new."""

from __future__ import annotations

import random
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from core.tests.store.journals import (
    PROFILES,
    RULE,
    place,
    shares,
    sixteen,
)
from tailrace import StateDamaged
from tailrace.store import layout, repair
from tailrace.store.journal import PARTS, Journal, part_of
from tailrace.store.layout import part_file
from tailrace.store.notes import remove
from tailrace.store.part import Part
from tailrace.store.repair import repair_parts

PAGE = 4096


def state(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    sixteen(folder).close()
    return folder


def assert_repaired(folder: Path, *numbers: int) -> None:
    """Those parts are empty, and the others are as they were."""
    with closing(Journal(folder, "hot", whole=True)) as journal:
        assert journal.layout == RULE
        assert journal.setting("salt") == b"pepper"
        for profile in PROFILES:
            assert journal.get(profile) == (None if part_of(profile) in numbers else b"state" + profile)
        stands = journal.checkpoints(1)
        assert stands == tuple(None if n in numbers else place(n) for n in range(PARTS))
        journal.begin(2, RULE)
        journal.commit(2, shares(b"new"))
        journal.refresh()
        assert journal.get(PROFILES[0]) == b"new" + PROFILES[0]


def test_damaged_parts_begin_anew_and_the_others_are_kept(tmp_path: Path) -> None:
    """Also those behind a file that ends the process which reads it."""
    state(tmp_path)
    cut = part_file(tmp_path, 2)
    content = cut.read_bytes()
    cut.write_bytes(content[: 2 * PAGE])  # LMDB maps what is not there
    part_file(tmp_path, 11).write_bytes(b"noise" * 3000)
    told: list[str] = []
    parts = repair_parts(tmp_path, about_to=lambda: told.append(cut.name if cut.exists() else "gone"))
    assert told == [cut.name]
    assert [part.number for part in parts] == list(range(PARTS))
    assert {part.number: part.damage for part in parts if part.damage} == {
        2: "it cannot be read",
        11: "its checksums do not fit",
    }
    for part in parts:
        lost = part.number in (2, 11)
        of_it = [profile for profile in PROFILES if part_of(profile) == part.number]
        assert part.profiles == (None if lost else len(of_it))
    assert_repaired(tmp_path, 2, 11)


def test_what_is_whole_is_left_as_it_is(tmp_path: Path) -> None:
    state(tmp_path)
    before = {path: path.read_bytes() for path in layout.part_files(tmp_path)}
    told: list[str] = []
    parts = repair_parts(tmp_path, about_to=lambda: told.append("changed"))
    assert told == []
    assert sum(part.profiles or 0 for part in parts) == len(PROFILES)
    assert {path: path.read_bytes() for path in before} == before
    assert_repaired(tmp_path)


def test_nothing_is_kept_where_part_0_is_damaged(tmp_path: Path) -> None:
    state(tmp_path)
    part_file(tmp_path, 0).write_bytes(b"noise" * 3000)
    part_file(tmp_path, 7).write_bytes(b"noise" * 3000)
    parts = repair_parts(tmp_path)
    assert [part.damage for part in parts] == [
        "its checksums do not fit" if part.number in (0, 7) else "journal.mdb is damaged" for part in parts
    ]
    assert layout.part_files(tmp_path) == []
    with closing(Journal(tmp_path, "hot", whole=True)) as journal:
        assert (journal.layout, journal.profiles(), journal.checkpoint(1)) == ("", 0, None)


def test_what_an_older_layout_left_is_no_damage(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, "hot")) as journal:
        journal.begin(1)
    part_file(tmp_path, 3).write_bytes(b"noise" * 3000)
    (part,) = repair_parts(tmp_path)
    assert (part.number, part.damage, part.profiles) == (0, None, 0)
    assert layout.part_files(tmp_path) == [part_file(tmp_path, 0)]


def test_a_kill_leaves_a_part_damaged_or_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = state(tmp_path / "a")
    part_file(folder, 5).write_bytes(b"noise" * 3000)
    moments: list[Path] = []

    def copied() -> None:
        moments.append(tmp_path / f"copy-{len(moments)}")
        shutil.copytree(folder, moments[-1])

    def removed(path: Path) -> None:
        copied()
        path.unlink()
        copied()
        remove(path)
        copied()

    commit = Part.commit

    def committed(self: Part, changes: dict[bytes, bytes | None]) -> None:
        copied()
        commit(self, changes)
        copied()

    monkeypatch.setattr(repair, "remove", removed)
    monkeypatch.setattr(Part, "commit", committed)
    repair_parts(folder)
    monkeypatch.undo()
    assert len(moments) > 4
    with pytest.raises(StateDamaged, match=r"journal-05\.mdb is damaged"):
        Journal(moments[0], "hot")
    for moment in moments[1:]:
        assert_repaired(moment, 5)


def test_an_old_page_is_never_believed(tmp_path: Path) -> None:
    """Its values fit their checksums. After a repair each profile is as it is, or forgotten."""
    state(tmp_path)
    path = part_file(tmp_path, 6)
    told = [b"turn%d" % turn * 200 for turn in range(4)]  # several pages of them
    contents: list[list[bytes]] = []
    for words in told:
        with closing(Journal(tmp_path, "hot")) as journal:
            journal.commit(1, shares(words, received=3))
        whole = path.read_bytes()
        contents.append([whole[at : at + PAGE] for at in range(0, len(whole), PAGE)])
    pages = contents[-1]
    newest = [number for number, page in enumerate(pages) if told[3][:50] in page]
    stale = [
        page for page in sorted({*contents[1], *contents[2]}) if told[1][:50] in page or told[2][:50] in page
    ]
    assert len(newest) > 2
    draw, damaged = random.Random(5), 0
    for number in newest:
        for old in draw.sample(stale, 2):
            # Under its own number, as a disk would leave it that lost one write.
            path.write_bytes(b"".join([*pages[:number], pages[number][:8] + old[8:], *pages[number + 1 :]]))
            damaged += repair_parts(tmp_path)[6].damage is not None
            with closing(Journal(tmp_path, "hot", whole=True)) as journal:
                for profile in PROFILES:
                    allowed = (told[3] + profile, None) if part_of(profile) == 6 else (told[3] + profile,)
                    assert journal.get(profile) in allowed
    assert damaged
