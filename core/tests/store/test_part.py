"""One store: all or nothing, and damage is refused or does not matter, never read wrong."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace import StateDamaged, StateError
from tailrace.store import part as module
from tailrace.store import verify
from tailrace.store.part import Part, check
from tailrace.store.runs import Runs

VALUES = {b"k%05d" % number: b"value %d " % number * (number % 7 + 1) for number in range(3000)}


def made(path: Path) -> Path:
    part = Part(path)
    part.commit(dict(VALUES))
    part.close()
    return path


def read(path: Path, *, whole: bool | None = None) -> dict[bytes, bytes]:
    for error in verify.find_damaged([path], whole=whole).values():
        raise error
    part = Part(path)
    try:
        return part.items(b"k")
    finally:
        part.close()


def test_what_was_committed_is_there_after_it_was_opened_again(tmp_path: Path) -> None:
    path = made(tmp_path / "a.mdb")
    assert read(path) == VALUES
    part = Part(path)
    assert part.get(b"k00001") == VALUES[b"k00001"]
    assert part.get(b"unknown") is None
    part.commit({b"k00001": None, b"k00002": b"new"})
    assert part.get(b"k00002") == VALUES[b"k00002"]  # as of the last refresh
    part.refresh()
    assert part.get(b"k00001") is None
    assert part.get(b"k00002") == b"new"
    part.close()
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_process_that_dies_leaves_all_that_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "a.mdb"
    program = (
        "import os, sys; from pathlib import Path; from tailrace.store.part import Part\n"
        "part = Part(Path(sys.argv[1]))\n"
        "for n in range(50): part.commit({b'k%d' % n: b'v', b'last': b'%d' % n})\n"
        "os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", program, path], check=False, timeout=60)
    assert ended.returncode == -9
    part = Part(path)
    assert part.get(b"last") == b"49"
    assert len(part.items(b"k")) == 50
    part.close()


def test_a_file_that_was_not_closed_well_is_checked_in_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path / "a.mdb")
    checked: list[Path] = []

    def seen(paths: list[Path]) -> dict[Path, StateDamaged]:
        checked.extend(paths)
        return {}

    monkeypatch.setattr(verify, "verify", seen)
    read(path)
    assert checked == []
    path.with_suffix(".note").unlink()
    read(path)
    assert checked == [path]
    os.utime(path)
    read(path)
    assert checked == [path, path]


@pytest.mark.parametrize("left", [0, 1, 4095, 4096, 20_000, 100_000])
def test_a_file_that_was_cut(tmp_path: Path, left: int) -> None:
    path = made(tmp_path / "a.mdb")
    os.truncate(path, left)
    if left == 0:  # LMDB takes it for a new one; the note says that it is not
        with pytest.raises(StateDamaged, match="damaged"):
            read(path)
        return
    with pytest.raises(StateDamaged, match=r"a\.mdb is damaged"):
        read(path)


def test_a_page_of_zeros_and_a_file_of_noise(tmp_path: Path) -> None:
    path = made(tmp_path / "a.mdb")
    whole = path.read_bytes()
    for page in range(2, len(whole) // 4096):
        path.write_bytes(whole[: page * 4096] + bytes(4096) + whole[(page + 1) * 4096 :])
        try:
            assert read(path) == VALUES  # a page that nothing uses
        except StateDamaged:
            continue
    path.write_bytes(random.Random(7).randbytes(100_000))
    with pytest.raises(StateDamaged):
        read(path)


def test_one_flipped_byte_is_refused_or_does_not_matter(tmp_path: Path) -> None:
    """Checked in this process, with the check that runs in another one: a thousand places, and the
    few of them that would end the process are left to the test above."""
    path = made(tmp_path / "a.mdb")
    whole = path.read_bytes()
    draw = random.Random(11)
    program = (
        "import sys; from pathlib import Path; from tailrace.store.part import check\n"
        "from tailrace.errors import StateError\n"
        "path, places = Path(sys.argv[1]), [int(p) for p in sys.argv[2].split(',')]\n"
        "whole = path.read_bytes()\n"
        "for place in places:\n"
        "    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1:])\n"
        "    print(place, flush=True)\n"
        "    try: check(path)\n"
        "    except StateError: print('refused', flush=True)\n"
        "    else: print('right', flush=True)\n"
    )
    # The last two pages of metadata decide which page is the root: all of their bytes are of interest.
    places = [draw.randrange(len(whole)) for _ in range(1000)]
    seen = {"refused": 0, "right": 0, "died": 0}
    while places:
        path.write_bytes(whole)
        given = ",".join(map(str, places))
        ended = subprocess.run(
            [sys.executable, "-c", program, path, given],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        words = ended.stdout.split()
        for word in words[1::2]:
            seen[word] += 1
        done = (len(words) + 1) // 2
        if len(words) % 2:
            seen["died"] += 1  # only the checking process does
        for place, word in zip(words[::2], words[1::2], strict=False):
            if word == "right":
                flipped = bytearray(whole)
                flipped[int(place)] ^= 1 << int(place) % 8
                path.write_bytes(flipped)
                assert read(path, whole=False) == VALUES  # checked above, in the other process
        places = places[done:]
    assert sum(seen.values()) == 1000
    assert seen["refused"] > 100
    assert seen["right"] > 100


def test_a_full_map_grows(tmp_path: Path) -> None:
    part = Part(tmp_path / "a.mdb", map_size=64 * 1024)
    part.commit({b"first": b"1"})
    part.commit({b"k%d" % n: bytes(1000) for n in range(200)})
    part.refresh()
    assert part.get(b"k199") == bytes(1000)
    assert (len(part.items(b"k")), len(part.keys(b"k")), part.count()) == (200, 200, 201)
    part.close()
    part.close()
    check(tmp_path / "a.mdb")


@settings(max_examples=50)
@given(
    commits=st.lists(
        st.dictionaries(st.sampled_from([b"k", b"k1", b"k12", b"k2"]), st.none() | st.binary(max_size=9)),
        max_size=6,
    )
)
def test_the_sum_fits_whatever_is_set_and_removed(
    tmp_path_factory: pytest.TempPathFactory, commits: list[dict[bytes, bytes | None]]
) -> None:
    path = tmp_path_factory.mktemp("part") / "a.mdb"
    part = Part(path)
    kept: dict[bytes, bytes | None] = {}
    for changes in commits:
        part.commit(changes)
        kept |= changes
    there = {key: value for key, value in kept.items() if value is not None}
    assert (part.items(b"k"), part.count()) == (dict(sorted(there.items())), len(there))
    part.close()
    check(path)


def test_a_large_change_is_applied_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 7)
    path = made(tmp_path / "a.mdb")
    part = Part(path)
    part.commit({**dict.fromkeys(list(VALUES)[::2]), b"k": b"new"})
    assert list(part.items(b"k")) == [b"k", *list(VALUES)[1::2]]
    part.close()
    check(path)


def test_a_store_of_a_newer_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mdb"
    monkeypatch.setattr(module, "FORMAT", 2)
    part = Part(path)
    part.commit({b"a": b"b"})
    part.close()
    monkeypatch.setattr(module, "FORMAT", 1)
    with pytest.raises(StateError, match="newer Tailrace"):
        Part(path)


@settings(max_examples=200)
@given(numbers=st.sets(st.integers(0, 60)))
def test_runs_hold_what_they_were_made_of(numbers: set[int]) -> None:
    runs = Runs.of(numbers)
    assert {number for number in range(62) if number in runs} == numbers
    assert len(runs) == sum(number - 1 not in numbers for number in numbers)
    assert all(a < b for a, b in zip(runs.ends, runs.starts[1:], strict=False))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to a limit of address space")
def test_a_limit_of_address_space_is_said(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from tailrace.store.part import Part\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**26, 2**26)); Part(Path(sys.argv[1]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.mdb"], capture_output=True, text=True, check=False
    )
    assert "TooLittleMemory" in ended.stderr
    assert "the system allows too little address space" in ended.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to a limit of address space")
@pytest.mark.parametrize("limit", [2**25, 2**26], ids=["too little to start with", "too little for the map"])
def test_too_little_address_space_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Or the remedy would be to forget all that is remembered."""
    part = Part(tmp_path / "a.mdb")
    part.commit({b"k": b"v"})
    part.close()
    program = (
        f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}));"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    run = subprocess.run
    monkeypatch.setattr(
        "tailrace.store.verify.subprocess.run",
        lambda command, **more: run([command[0], "-c", program, *command[1:]], **more),
    )
    with pytest.raises(StateError) as raised:
        verify.find_damaged([tmp_path / "a.mdb"], whole=True)
    assert not isinstance(raised.value, StateDamaged)
    assert "ulimit -v" in (raised.value.hint or "")
