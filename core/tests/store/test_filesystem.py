"""A store is kept on a local file system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tailrace import StateError
from tailrace.store import filesystem
from tailrace.store.journal import Journal

pytestmark = pytest.mark.skipif(not hasattr(os, "major"), reason="Windows gives devices no numbers")


def mounted(folder: Path, kind: str) -> str:
    """A table of mounts in which the folder's device is of that type, and the root of another."""
    device = os.stat(folder).st_dev
    place = f"{os.major(device)}:{os.minor(device)}"
    return (
        "21 1 0:1 / /other rw - tmpfs tmpfs rw\n"
        f"22 1 {place} / /mnt/with\\040space rw,relatime shared:1 master:2 - {kind} server:/share rw\n"
    )


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_journal_on_a_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(mounted(tmp_path, kind))
    monkeypatch.setattr(filesystem, "MOUNTS", table)
    with pytest.raises(StateError, match=rf"network file system \({kind}\)"):
        Journal(tmp_path, "hot")
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize("text", ["", "nonsense", "1 2 3"], ids=repr)
def test_a_local_or_unknown_place_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    table = tmp_path / "mountinfo"
    monkeypatch.setattr(filesystem, "MOUNTS", table)
    assert filesystem.network_type(tmp_path) is None
    table.write_text(mounted(tmp_path, "ext4"))
    assert filesystem.network_type(tmp_path) is None
    table.write_text(text)
    assert filesystem.network_type(tmp_path) is None
