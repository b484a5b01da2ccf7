"""Files that are read whole before they are believed, and damage in them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from core.tests.store.journals import one_of, sixteen
from tailrace import StateDamaged
from tailrace.store import layout, verify
from tailrace.store.journal import Journal


@pytest.mark.parametrize("number", [0, 1, 15])
def test_damage_in_any_part_is_refused_by_name(tmp_path: Path, number: int) -> None:
    with closing(sixteen(tmp_path)):
        pass
    path = layout.part_file(tmp_path, number)
    content = path.read_bytes()
    at = content.rindex(b"state")
    path.write_bytes(content[:at] + b"S" + content[at + 1 :])
    with pytest.raises(StateDamaged, match=rf"{path.name} is damaged: its checksums do not fit"):
        Journal(tmp_path, "hot")
    path.write_bytes(b"noise" * 3000)
    with pytest.raises(StateDamaged, match=rf"{path.name} is damaged"):
        Journal(tmp_path, "hot")


def test_a_value_that_changes_underneath_is_refused(tmp_path: Path) -> None:
    with closing(sixteen(tmp_path)) as journal:
        path = layout.part_file(tmp_path, 4)
        profile = one_of(4)
        with path.open("r+b") as file:
            content = file.read()
            for at in [at for at in range(len(content)) if content.startswith(b"state" + profile, at)]:
                file.seek(at)
                file.write(b"S")
        with pytest.raises(StateDamaged, match=r"journal-04\.mdb is damaged"):
            journal.get(profile)


def test_one_process_reads_all_that_was_not_left_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sixteen(tmp_path)):
        pass
    for number in (0, 3, 8):
        layout.part_file(tmp_path, number).with_suffix(".note").unlink()
    read: list[list[str]] = []
    run: Callable[..., Any] = subprocess.run

    def counted(command: list[object], **given: object) -> object:
        read.append([Path(str(path)).name for path in command[3:]])
        return run(command, **given)

    monkeypatch.setattr(subprocess, "run", counted)
    for whole in (None, None, True):
        Journal(tmp_path, "hot", whole=whole).close()
    everything = [path.name for path in layout.part_files(tmp_path)]
    assert read == [["journal.mdb", "journal-03.mdb", "journal-08.mdb"], everything]


def test_a_file_at_which_the_reading_process_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It and those behind it are not believed; those before it are."""
    paths = [tmp_path / name for name in "abc"]
    said = subprocess.CompletedProcess([], -11, stdout=b"whole\n")
    monkeypatch.setattr(subprocess, "run", lambda *given, **more: said)
    found = verify.find_damaged(paths, whole=True)
    assert {path: str(error).rpartition(": ")[2] for path, error in found.items()} == {
        paths[1]: "it cannot be read",
        paths[2]: "it cannot be read",
    }

    def late(*given: object, **more: object) -> object:
        raise subprocess.TimeoutExpired([], 1, output=b"unfit\nwhole\n")

    monkeypatch.setattr(subprocess, "run", late)
    found = verify.find_damaged(paths, whole=True)
    assert {path: str(error).rpartition(": ")[2] for path, error in found.items()} == {
        paths[0]: "its checksums do not fit",
        paths[2]: "reading it took more than 600 s",
    }
