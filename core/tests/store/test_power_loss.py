"""Power loss: what a process wrote is rebuilt from what it synced, at every moment, and is whole."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import pytest

from core.tests.store.disk import Event, build_recorder, power_cuts, recorded
from tailrace.deadletters import DeadLetters
from tailrace.store.journal import PARTS, Checkpoint, Share, part_of
from tailrace.store.layout import (
    PROFILE,
    checkpoints_of,
    close_parts,
    layout_of,
    open_parts,
    part_file,
    part_files,
    source_key,
)
from tailrace.store.part import Part
from tailrace.store.verify import verify

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or not Path("/proc/self/fd").exists(),
    reason="recording writes needs Linux and gcc",
)

TURNS = 12
BEGIN = """
import os, sys
from pathlib import Path
folder = Path(sys.argv[1])
marks = os.open(folder / "marks", os.O_WRONLY | os.O_CREAT)
def done(turn): os.write(marks, b"%d" % turn)
"""


def changes(turn: int) -> dict[bytes, bytes | None]:
    """What is committed: values that come, change and go; some of them fill pages of their own."""
    made: dict[bytes, bytes | None] = {b"turn": b"%d" % turn}
    for number in range(turn % 5 * 20, turn % 5 * 20 + 50):
        made[b"k%03d" % number] = None if number % 7 == turn % 7 else b"%d " % turn * (number % 30)
    made[b"large"] = b"%d " % turn * 5000 if turn % 3 else None
    return made


def states() -> list[dict[bytes, bytes]]:
    """All that there is after each turn; the last one is before the first turn."""
    found: list[dict[bytes, bytes]] = []
    now: dict[bytes, bytes] = {}
    for turn in range(TURNS):
        for key, value in changes(turn).items():
            if value is None:
                now.pop(key, None)
            else:
                now[key] = value
        found.append(dict(now))
    return [*found, {}]


COMMITS = (
    BEGIN
    + f"""
from core.tests.store.test_power_loss import changes
from tailrace.store.part import Part
part = Part(folder / "a.mdb", map_size=64 * 1024)
for turn in range({TURNS}):
    part.commit(changes(turn))
    part.refresh()
    done(turn)
part.close()
"""
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_recorder(tmp_path_factory.mktemp("recorder"))


def record(library: Path, folder: Path, program: str) -> list[Event]:
    folder.mkdir()
    return recorded(library, folder, program)


@pytest.fixture(scope="module")
def commits(library: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """What a part writes in a series of commits."""
    return record(library, tmp_path_factory.mktemp("part") / "a", COMMITS)


def rebuilt(events: list[Event], folder: Path, *, syncs: bool = True) -> list[tuple[int, Path]]:
    """The file of the part after each power cut, and what its process had said before."""
    found = []
    for number, (told, left) in enumerate(power_cuts(events, syncs=syncs)):
        path = folder / f"{number}" / "a.mdb"
        path.parent.mkdir(parents=True)
        for name, content in left.items():
            if Path(name).suffix != ".mdb-lock":
                path.with_name(Path(name).name).write_bytes(content)
        found.append((told, path))
    return found


def wrong(cuts: list[tuple[int, Path]]) -> list[str]:
    """What of them is damaged, or neither what was committed last nor what was being committed."""
    there = [path for _, path in cuts if path.exists()]
    damaged = verify(there)
    found = [f"{path}: {error}" for path, error in damaged.items()]
    all_states = states()
    for told, path in cuts:
        if path in damaged or (told == -1 and not path.exists()):
            continue
        part = Part(path)
        content = {**part.items(b"k"), **part.items(b"large"), **part.items(b"turn")}
        part.close()
        if content not in (all_states[told], all_states[told + 1]):
            found.append(f"{path} after turn {told}")
    return found


def test_what_was_committed_survives_a_power_cut_at_any_moment(commits: list[Event], tmp_path: Path) -> None:
    cuts = rebuilt(commits, tmp_path)
    assert {told for told, _ in cuts} == {*range(-1, TURNS)}
    assert len(cuts) > 20 * TURNS
    assert wrong(cuts) == []


def test_a_disk_that_does_not_sync_is_found_out(commits: list[Event], tmp_path: Path) -> None:
    """Else nothing would be shown above."""
    assert len(wrong(rebuilt(commits, tmp_path, syncs=False))) > TURNS


PROFILES = [bytes([number]) * 16 for number in range(0, 256, 4)]
RULE = "identity"


def stands(turn: int) -> Checkpoint:
    return Checkpoint(offset=turn * 10, line=turn, read_line=turn)


def shares(turn: int) -> list[Share]:
    """What sixteen parts are given in a turn: positions, and profiles that belong to them."""
    value = b"%d " % turn * (300 if turn == 3 else 30)
    return [
        Share({"received": turn}, {1: stands(turn)}, {p: value for p in PROFILES if part_of(p) == number})
        for number in range(PARTS)
    ]


JOURNAL = (
    BEGIN
    + """
from core.tests.store.test_power_loss import RULE, shares, stands
from tailrace.opening import journal_folder
from tailrace.store.compact import compact_parts
from tailrace.store.journal import Journal, Share
folder = journal_folder(folder, "id")
journal = Journal(folder, "hot")
journal.begin(1)
journal.commit(1, [Share({"received": 1}, {1: stands(1)})])
done(1)
journal.begin(2, RULE)
for turn in (2, 3, 4):
    journal.commit(2, shares(turn))
    journal.refresh()
    done(turn)
journal.close()
compact_parts(folder)
done(5)
journal = Journal(folder, "hot")
journal.begin(3, RULE)
journal.commit(3, shares(6))
done(6)
"""
)


def looked_at(told: int, folder: Path, damaged: Collection[Path]) -> str | None:
    """What is wrong with a journal whose process had said that it was done with that turn."""
    if part_file(folder, 0) in damaged:
        return "part 0 is damaged"
    parts = open_parts(folder, whole=False)
    try:
        if not layout_of(parts[0]):
            return "it is not what it was" if told > 1 or latest(parts[0]) < told else None
        for number, part in enumerate(parts):
            if part_file(folder, number) in damaged:
                return f"part {number} is damaged"
            turn = latest(part)
            remembered = {key[1:]: int(value.split()[0]) for key, value in part.items(PROFILE).items()}
            of_it = [profile for profile in PROFILES if part_of(profile) == number]
            if turn < (4 if told == 5 else told):
                return f"part {number} is behind"
            if remembered != (dict.fromkeys(of_it, turn) if turn > 1 else {}):
                return f"part {number} remembers what does not belong to its position"
    finally:
        close_parts(parts)
    return None


def latest(part: Part) -> int:
    """The turn that a part stands at."""
    (checkpoint,) = checkpoints_of([part], source_key(1))
    return -1 if checkpoint is None else checkpoint.line


def test_a_journal_survives_a_power_cut_at_any_moment(library: Path, tmp_path: Path) -> None:
    """While its files are made, shared among sixteen, committed to and compacted."""
    events = record(library, tmp_path / "a", JOURNAL)
    cuts, found = list(power_cuts(events, every=17)), []
    assert {told for told, _ in cuts} == {-1, 1, 2, 3, 4, 5}
    for first in range(0, len(cuts), 40):
        some = {tmp_path / f"{first}-{n}": cut for n, cut in enumerate(cuts[first : first + 40])}
        for folder, (_, left) in some.items():
            folder.mkdir()
            for name, content in left.items():
                if not name.endswith("-lock"):
                    (folder / Path(name).name).write_bytes(content)
        damaged = verify([path for folder in some for path in part_files(folder)])
        for folder, (told, _) in some.items():
            found.append(looked_at(told, folder, damaged))
            shutil.rmtree(folder)
    assert len(found) > 120
    assert [each for each in found if each is not None] == []


LETTERS = (
    BEGIN
    + """
from tailrace.deadletters import DeadLetterFile, Letter
file = DeadLetterFile(folder / "dead-letters", 7, "hot")
for turn in range(12):
    file.write(
        [
            Letter(
                reason="no-key", message="", source="s", source_number=1,
                offset=turn, line=line, original=b"x" * 400,
            )
            for line in range(turn % 3 + 1)
        ],
        1e9,
    )
    done(turn)
file.close()
"""
)


def test_dead_letters_survive_a_power_cut_at_any_moment(library: Path, tmp_path: Path) -> None:
    events = record(library, tmp_path / "a", LETTERS)
    cuts = list(power_cuts(events))
    assert len(cuts) > 40
    folder = tmp_path / "left"
    folder.mkdir()
    for told, left in cuts:
        (folder / "7.jsonl").write_bytes(b"".join(left.values()))
        found = [(letter.offset, letter.line) for letter in DeadLetters(folder).list()]
        written = [(turn, line) for turn in range(told + 1) for line in range(turn % 3 + 1)]
        assert found[: len(written)] == written
        assert set(found) - set(written) <= {(told + 1, line) for line in range(3)}
