"""`--follow` and compressed files that are broken, or end too early: each is told once, the rest is read."""

from __future__ import annotations

import gzip
import os
import signal
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest

from core.tests.engine import rig
from core.tests.engine.rig import Fickle
from core.tests.updates import keys, updates
from tailrace.errors import Interrupted
from tailrace.pipeline import breaks
from tailrace.pipeline.following import Following
from tests.endtoend import Ended, Site

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")

WAIT = 30.0
MANY = updates(3000)
OTHER_SUM = gzip.compress(MANY)[:-8] + b"\0" * 8
PACKED = zstd.compress(MANY)
EARLY = gzip.compress(MANY)[:-200]

BROKEN = {
    "another-sum.gz": OTHER_SUM,
    "in-the-middle.gz": OTHER_SUM + gzip.compress(updates(5, 9000)),
    "something-behind.gz": gzip.compress(MANY) + b"nonsense",
    "no.gz": MANY,
    "no.zst": MANY,
    "overwritten.zst": PACKED[: len(PACKED) // 2] + b"\xa5" * (len(PACKED) // 2),
}
NOTHING_SETTLED = ["another-sum.gz", "in-the-middle.gz", "no.gz", "no.zst", "overwritten.zst"]
"""What came before may have been wrong, or there is nothing."""


class Follower:
    """An export that follows a path, under a command."""

    def __init__(self, site: Site, path: Path) -> None:
        self._site = site
        self.process = site.start("export", "hot", path, "--follow", "--json", "--quiet")

    def arrives(self, key: str) -> None:
        end = time.monotonic() + WAIT
        while key not in self._site.arrived():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end, "it did not arrive"
            self._site.server.wait_for_more(len(self._site.server.accepted()), 0.1)

    def stop(self) -> Ended:
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def end(self) -> Ended:
        return self._site.end(self.process)


def folder_of(site: Site) -> Path:
    folder = site.folder / "files"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(updates(1, 8000))
    return folder


def last_of(content: bytes) -> str:
    """The key of the last update that is whole; it leaves when there is no more to read."""
    return "id-" + str(content.count(b"\n") - 1)


def error_of(ended: Ended) -> str:
    """What the run ended with; it comes behind what was logged."""
    [error] = [line for line in ended.err.decode().splitlines() if line.startswith("error: ")]
    return error.removeprefix("error: ")


def told(ended: Ended, *paths: Path, what: str = "") -> None:
    """These files, and no other ones, are in the warnings and were logged, each once."""
    warnings = ended.ledger["warnings"]
    assert [warning.partition(" broke behind byte ")[0] for warning in warnings] == [
        f"source {path}" for path in sorted(paths)
    ]
    assert all(what in warning for warning in warnings)
    logged = [line for line in ended.err.decode().splitlines() if "WARNING tailrace.export: " in line]
    assert [line.partition("tailrace.export: ")[2] for line in logged] == warnings


def test_broken_files_are_told_and_the_others_are_read(site: Site) -> None:
    folder = folder_of(site)
    for name, content in BROKEN.items():
        (folder / name).write_bytes(content)
    follower = Follower(site, folder)
    follower.arrives("id-8000")
    (folder / "x.jsonl").write_bytes(updates(1, 8001))
    follower.arrives("id-8001")
    with open(folder / "no.gz", "ab") as file:  # it is read once more
        file.write(b"more")
    (folder / "y.jsonl").write_bytes(updates(1, 8002))
    follower.arrives("id-8002")
    ended = follower.stop()
    assert ended.code == 130
    told(ended, *(folder / name for name in BROKEN))
    at = {Path(each["source"]).name: each["offset"] for each in ended.ledger["sources"]}
    assert [name for name in BROKEN if at[name] == 0] == NOTHING_SETTLED


@pytest.mark.parametrize("name", ["another-sum.gz", "no.zst"])
def test_the_only_file_is_broken(site: Site, name: str) -> None:
    path = site.file(name, BROKEN[name])
    ended = Follower(site, path).end()
    assert ended.code == 8
    told(ended, path)
    assert error_of(ended).startswith(f"source {path} broke behind byte ")


@pytest.mark.parametrize("name", ["alone.gz", "last.zst"])
def test_a_file_that_ends_early_waits_for_more(site: Site, name: str) -> None:
    zipped = name.endswith(".gz")
    content = gzip.compress(MANY) if zipped else zstd.compress(MANY)
    unpack = zlib.decompressobj(31) if zipped else zstd.ZstdDecompressor()
    alone = name.startswith("alone")
    folder = folder_of(site)
    path = folder / name
    path.write_bytes(content[:-200])
    if alone:
        (folder / "a.jsonl").unlink()
    follower = Follower(site, path if alone else folder)
    follower.arrives(last_of(unpack.decompress(content[:-200])))
    with open(path, "ab") as file:
        file.write(content[-200:])
    follower.arrives("id-2999")
    ended = follower.stop()
    assert ended.code == 130
    assert ended.ledger["warnings"] == []
    assert site.arrived() == sorted(keys(3000) + ([] if alone else keys(1, 8000)))


@pytest.mark.parametrize("alone", [True, False])
def test_a_file_that_ends_early_is_told_at_the_stop(site: Site, alone: bool) -> None:
    folder = folder_of(site)
    path = folder / "b.jsonl.gz"
    path.write_bytes(EARLY)
    follower = Follower(site, path if alone else folder)
    follower.arrives(last_of(zlib.decompressobj(31).decompress(EARLY)))
    ended = follower.stop()
    assert ended.code == 130
    told(ended, path, what="end too early")


def test_a_file_that_ends_early_is_told_when_a_later_one_comes(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """While the run goes on, which stops when it is told."""
    folder, stop = folder_of(site), threading.Event()
    (folder / "b.jsonl.gz").write_bytes(EARLY)
    seen: list[bool] = []
    end = time.monotonic() + WAIT

    def on_progress(progress: object) -> None:
        logged = "end too early" in caplog.text
        if "id-500" in site.arrived() and not seen:
            seen.append(logged)
            (folder / "c.jsonl").write_bytes(updates(1, 8001))
        if (logged and "id-8001" in site.arrived()) or time.monotonic() > end:
            stop.set()

    with site.client() as t, pytest.raises(Interrupted) as caught:
        t.export("hot", folder, follow=True, stop=stop, on_progress=on_progress)
    assert seen == [False]
    assert time.monotonic() < end
    assert caught.value.ledger is not None
    [warning] = caught.value.ledger.warnings
    assert "b.jsonl.gz broke" in warning


def test_another_file_at_the_name_of_one_that_ended_early(site: Site) -> None:
    path = site.file("in.jsonl.gz", EARLY)
    follower = Follower(site, path)
    follower.arrives("id-500")
    other = site.file("other", gzip.compress(updates(1, 8000)))
    path.rename(site.folder / "in.jsonl.gz.1")
    other.rename(path)
    follower.arrives("id-8000")
    ended = follower.stop()
    assert ended.code == 130
    told_of = [warning for warning in ended.ledger["warnings"] if "end too early" in warning]
    assert len(told_of) == 1


def test_a_directory_that_goes_is_what_ends_the_run(site: Site) -> None:
    folder = folder_of(site)
    (folder / "b.jsonl.gz").write_bytes(OTHER_SUM)
    (folder / "c.jsonl").write_bytes(updates(1, 8001))
    follower = Follower(site, folder)
    follower.arrives("id-8001")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    ended = follower.end()
    assert ended.code == 8
    assert error_of(ended).startswith(f"directory {folder}")
    told(ended, folder / "b.jsonl.gz")


def test_many_broken_files_are_not_all_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaks, "MOST", 3)
    for number in range(9):
        (tmp_path / f"{number}.gz").write_bytes(b"nonsense")
    (tmp_path / "last.jsonl").write_bytes(updates(1))
    end = time.monotonic() + WAIT
    stop, notes, taken = threading.Event(), list[str](), Fickle()

    def on_progress(progress: object) -> None:
        if taken.taken or time.monotonic() > end:
            stop.set()

    following = Following(tmp_path, 2**20, notes)
    outcome = rig.export(taken, following, stop=stop, on_progress=on_progress)
    assert isinstance(outcome.error, Interrupted)
    assert [Path(note.split()[1]).name for note in notes[:3]] == ["0.gz", "1.gz", "2.gz"]
    assert notes[3:] == ["6 more files broke; the log names them"]


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    (tmp_path / "a.jsonl").write_bytes(updates(1))

    def refuse(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tailrace.pipeline.sources._open_without_waiting", refuse)
    stop, end = threading.Event(), time.monotonic() + WAIT

    def on_progress(progress: object) -> None:
        if notes or time.monotonic() > end:
            stop.set()

    following = Following(tmp_path, 2**20, notes)
    outcome = rig.export(Fickle(), following, stop=stop, on_progress=on_progress)
    assert isinstance(outcome.error, Interrupted)
    assert notes == [f"source {tmp_path / 'a.jsonl'} cannot be opened: Permission denied"]
