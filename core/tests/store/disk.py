"""A disk that loses what was not synced: what a process wrote is recorded, and what a power cut would
leave of it is rebuilt.

A write that was not synced may be lost, kept, or kept in part; a sector of 512 bytes is kept or lost as a
whole. Names of files (new, removed, moved) are kept up to any one of them, until their folder is synced.
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
_HEAD = struct.Struct("<BBHIQQQ")
MARKS = "marks"
"""The file to which the recorded program writes how far it has come."""


class Event(NamedTuple):
    kind: str
    synced: bool
    path: str
    inode: int
    offset: int
    data: bytes


def build_recorder(folder: Path) -> Path:
    """The library that is preloaded. Raises OSError where there is no compiler."""
    library = folder / "record.so"
    source = Path(__file__).with_name("record.c")
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl", "-lpthread"],
        check=True,
        timeout=60,
    )
    return library


def recorded(library: Path, folder: Path, program: str) -> list[Event]:
    """What the program writes below that folder, which it is given as its argument."""
    log = folder.with_suffix(".log")
    recording = {"LD_PRELOAD": str(library), "RECORDED_FOLDER": str(folder), "RECORDED_LOG": str(log)}
    subprocess.run(
        [sys.executable, "-c", program, folder],
        env=os.environ | recording,
        cwd=Path(__file__).parents[3],
        check=True,
        timeout=120,
    )
    return list(_events(log.read_bytes()))


def _events(log: bytes) -> Iterator[Event]:
    at = 0
    while at < len(log):
        kind, synced, name, _, inode, offset, size = _HEAD.unpack_from(log, at)
        at += _HEAD.size
        path = log[at : at + name].decode()
        at += name
        yield Event(chr(kind), bool(synced), path, inode, offset, log[at : at + size])
        at += size


@dataclass(eq=False)
class _File:
    kept: bytes = b""
    waiting: list[Event] = field(default_factory=list)


@dataclass
class Disk:
    """What is on it for sure, and what waits to be. With `syncs` False it does not do what it is told."""

    syncs: bool = True
    _files: dict[int, _File] = field(default_factory=dict)
    _names: dict[str, _File] = field(default_factory=dict)
    _folders: set[str] = field(default_factory=set)
    _moves: list[tuple[Event, _File]] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """The event has been begun: what it writes may be on the disk."""
        if event.kind in "nmur":
            if event.kind == "m":
                self._folders.add(event.path)
            if event.kind == "n":
                self._files[event.inode] = _File()
            self._moves.append((event, self._files.get(event.inode, _File())))
        elif event.kind in "wt":
            self._files[event.inode].waiting.append(event)

    def end(self, event: Event) -> None:
        """The event has come to its end: what it syncs is on the disk."""
        if not self.syncs:
            return
        if event.kind == "d":
            ended = [move for move in self._moves if Path(move[0].path).parent == Path(event.path)]
            _move(self._names, ended)
            self._moves = [move for move in self._moves if move not in ended]
        elif event.kind == "s":
            file = self._files[event.inode]
            for each in file.waiting:
                file.kept = _apply(file.kept, each)
            file.waiting.clear()
        elif event.synced:
            file = self._files[event.inode]
            file.kept = _apply(file.kept, event)
            file.waiting.remove(event)

    def left(self, draw: random.Random | None, keep: float) -> dict[str, bytes]:
        """Contents by path that a power cut leaves: each waiting write is kept with that chance, and with
        `draw` half of those in part only. Folders are not named."""
        names = dict(self._names)
        moves = self._moves
        if draw is not None:
            moves = moves[: draw.randint(0, len(moves))]
        elif not keep:
            moves = []
        _move(names, moves)
        lost, found = self._folders - {*names}, {}
        for path, file in names.items():
            if path in self._folders or any(str(folder) in lost for folder in Path(path).parents):
                continue  # a folder that is lost takes what is in it along
            content = file.kept
            for event in file.waiting:
                if keep == 1 or (draw is not None and draw.random() < keep):
                    torn = draw if draw is not None and draw.random() < 0.5 else None
                    content = _apply(content, event, torn)
            found[path] = content
        return found


def _move(names: dict[str, _File], moves: list[tuple[Event, _File]]) -> None:
    for event, file in moves:
        if event.kind in "nm":
            names[event.path] = file
        elif event.path in names:
            moved = names.pop(event.path)
            if event.kind == "r":
                names[event.data.decode()] = moved


def _apply(content: bytes, event: Event, torn: random.Random | None = None) -> bytes:
    """The content after a write; with `torn` some of its sectors are as they were."""
    if event.kind == "t":
        return content[: event.offset].ljust(event.offset, b"\0")
    end = event.offset + len(event.data)
    after = bytearray(content.ljust(end, b"\0"))
    first, last = event.offset // SECTOR, (end - 1) // SECTOR
    for sector in range(first, last + 1):
        if torn is None or torn.random() < 0.5:
            start, stop = max(sector * SECTOR, event.offset), min((sector + 1) * SECTOR, end)
            after[start:stop] = event.data[start - event.offset : stop - event.offset]
    return bytes(after)


def power_cuts(
    events: list[Event], *, syncs: bool = True, every: int = 1, seed: int = 1
) -> Iterator[tuple[int, dict[str, bytes]]]:
    """How far the program had come (-1: nothing was said), and what a power cut leaves then: within each
    event and behind it, with nothing, all, and some of what was not synced."""
    disk, told, draw = Disk(syncs), -1, random.Random(seed)
    seen: set[tuple[int, int]] = set()
    for number, event in enumerate(events):
        if Path(event.path).name == MARKS:
            told = int(event.data) if event.data else told
            continue
        disk.take(event)
        cuts = []
        if number % every == 0:
            cuts = [disk.left(None, 0), disk.left(None, 1), *(disk.left(draw, 0.5) for _ in range(4))]
        disk.end(event)
        if number % every == 0:
            cuts.append(disk.left(None, 0))
        for cut in cuts:
            mark = (told, hash(frozenset(cut.items())))
            if mark not in seen:
                seen.add(mark)
                yield told, cut
