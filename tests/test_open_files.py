"""Few open files: whatever meets the limit first, the user is told of the limit."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from core.tests.updates import update
from tailrace.deadletters import DeadLetterFile, DeadLetters, Letter
from tests.endtoend import Site

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX limits")


def limited(files: int) -> list[str]:
    program = (
        f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}));"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    return [sys.executable, "-c", program]


@posix
@pytest.mark.parametrize("files", range(6, 14))
def test_too_few_open_files_are_named(site: Site, files: int) -> None:
    """How many are too few depends on the Python; below six it does not start."""
    path = site.file("in.jsonl", b"bad\n" + update(1) + b"\n")
    options = ("--json", "--quiet", "--give-up-after", "1")
    ended = site.end(site.start("export", "hot", path, *options, prefix=limited(files)))
    letters = site.letters()
    if ended.code == 5:  # it was enough
        return
    assert "open files" in ended.json["error"]["message"] + str(ended.json["error"]["hint"])
    assert b"unexpected" not in ended.err
    assert b"make room" not in ended.err
    if "ledger" in ended.json:
        assert ended.ledger["dead_lettered"] == len(letters)


@posix
def test_a_letter_is_not_written_before_its_folder_can_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts as written survives a power cut, and what does not is not there."""
    folder = tmp_path / "dead-letters"
    file = DeadLetterFile(folder, 1, "hot")
    letter = Letter(reason="r", message="m", source="s", source_number=1, offset=0, line=1, original=b"o")
    real = os.open

    def no_folder(path: str, flags: int, mode: int = 0o777) -> int:
        if Path(path) == folder:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", no_folder)
    for _ in range(2):
        with pytest.raises(OSError, match="open files"):
            file.write([letter], 0.0)
        assert DeadLetters(folder).list() == []
    monkeypatch.undo()
    file.write([letter], 0.0)
    file.close()
    assert [each.id for each in DeadLetters(folder).list()] == ["1-1"]
