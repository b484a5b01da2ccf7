"""What happens in the row `damaged-state`: what is remembered of profiles is damaged in many ways, one
after the other, and the same updates come again each time. None of them changes anything, so whatever is
sent was told from something that was read wrong."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from tailrace.errors import StateError
from tailrace.pipeline.remembering import STANDINGS
from tailrace.selftest.engine_places import Started, place
from tailrace.selftest.running import ACTIVATION
from tailrace.selftest.scripted import Scripted
from tailrace.selftest.updates import key_of, update

if TYPE_CHECKING:
    from tailrace.client import Tailrace

PAGE = 4096
UNDERNEATH = 16
"""So many values change without a trace in the time or the length of their file."""
OPENLY = 2
"""So many bytes, and as many pages, change so that the next export sees that somebody was there."""
NEW = 9000
"""The number of the first of the updates that are read while the disk is full."""


class Files:
    """The files of an activation's state, as they were."""

    def __init__(self, home: Path) -> None:
        self._whole = {path: self._look(path) for path in sorted(home.glob("journal/*/*.mdb"))}
        notes = sorted(home.glob("journal/*/*.note"))
        self._notes = {path: path.read_bytes() for path in notes}
        self.values = [*self._values()]
        """File and place of what is remembered of each profile."""

    def put_back(self) -> None:
        for path, (content, times) in self._whole.items():
            self._write(path, content)
            os.utime(path, ns=times)
        for path, content in self._notes.items():
            path.write_bytes(content)

    def change(self, path: Path, at: int, new: Callable[[bytes], bytes], size: int, *, openly: bool) -> None:
        """Change so many bytes; unless it is done `openly` the file looks as if nobody had."""
        content, times = self._whole[path]
        self._write(path, content[:at] + new(content[at : at + size]) + content[at + size :])
        if not openly:
            os.utime(path, ns=times)

    def _values(self) -> Iterator[tuple[Path, int]]:
        from tailrace.store.layout import PROFILE
        from tailrace.store.part import Part

        for path, (content, _) in self._whole.items():
            part = Part(path)
            try:
                for key, value in part.items(PROFILE).items():
                    at = content.rfind(key + value)  # an older page may hold it, too
                    while at >= 0:
                        yield path, at + len(key)
                        at = content.rfind(key + value, 0, at)
            finally:
                part.close()
        self.put_back()

    @staticmethod
    def _look(path: Path) -> tuple[bytes, tuple[int, int]]:
        status = path.stat()
        return path.read_bytes(), (status.st_atime_ns, status.st_mtime_ns)

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        """In its place, so that it stays the same file."""
        with open(path, "r+b") as file:
            file.write(content)
            file.truncate()


class Trials:
    """The same lines again and again; `met` counts damages, `wrong` says what was read wrong."""

    def __init__(self, client: Tailrace, exporter: Scripted, lines: Sequence[bytes]) -> None:
        self._client = client
        self._exporter = exporter
        self._lines = lines
        self._sent = len(exporter.read())
        self.met = 0
        self.wrong = 0

    def look(self) -> None:
        """Refused, or read right."""
        self.met += 1
        with suppress(StateError):
            self._client.export(ACTIVATION, list(self._lines), in_flight=1)
        sent = len(self._exporter.read())
        self.wrong += sent != self._sent
        self._sent = sent

    def fill_the_disk(self) -> None:
        """In the middle of a commit; with room again the same updates are delivered, and then known."""
        new = [update(NEW + number) for number in range(len(self._lines))]
        with _full_disk():
            try:
                self._client.export(ACTIVATION, new, in_flight=1)
            except StateError:
                self.met += 1
            else:
                self.wrong += 1
        self._client.export(ACTIVATION, new, in_flight=1)
        keys = {key for key, _ in self._exporter.read()}
        self.wrong += not keys.issuperset(key_of(NEW + number) for number in range(len(new)))
        self.wrong += self._client.export(ACTIVATION, new, in_flight=1).unchanged != len(new)


@contextmanager
def _full_disk() -> Iterator[None]:
    """The disk takes a few parts of a commit, and then nothing."""
    import lmdb

    from tailrace.store.part import Part

    write, left = Part._write, [24]

    def limited(part: Part, *given: Any) -> bool:
        left[0] -= 1
        if left[0] < 0:
            raise lmdb.DiskError("mdb_txn_commit: No space left on device")
        return write(part, *given)

    with mock.patch.object(Part, "_write", limited):
        yield


def _flipped(old: bytes) -> bytes:
    return bytes([old[0] ^ 1])


def _torn(old: bytes) -> bytes:
    """The second half of a page did not arrive."""
    return old[: PAGE // 2].ljust(len(old), b"\0")


def _damages(files: Files) -> Iterator[tuple[Path, int, Callable[[bytes], bytes], int, bool]]:
    """File, place, change, length, and whether it shows. The same each time."""
    draw = random.Random(11)
    for _ in range(UNDERNEATH):
        path, at = draw.choice(files.values)
        yield path, at + draw.randrange(STANDINGS), _flipped, 1, False
    for _ in range(OPENLY):
        path, at = draw.choice(files.values)
        yield path, at + draw.randrange(STANDINGS), _flipped, 1, True
        yield path, at - at % PAGE, _torn, PAGE, True


@contextmanager
def damaged_state(broken: bool) -> Started:
    from tailrace.store import part, verify

    trials: list[Trials] = []
    exporter = Scripted(lambda exporter, batch, turn: exporter.accept(batch))

    def prepare(client: Tailrace, lines: list[bytes]) -> list[bytes]:
        client.export(ACTIVATION, lines, in_flight=1)
        trial = Trials(client, exporter, lines)
        trials.append(trial)
        files = Files(client.home)
        for path, at, new, size, openly in _damages(files):
            files.change(path, at, new, size, openly=openly)
            trial.look()
            files.put_back()
        trial.fill_the_disk()
        path, at = files.values[0]
        Files(client.home).change(path, at, _flipped, 1, openly=True)
        return lines

    def met() -> int:
        return sum(trial.met for trial in trials)

    def check() -> str | None:
        wrong = sum(trial.wrong for trial in trials)
        return f"{wrong} of {met()} damages were read wrong" if wrong else None

    with ExitStack() as stack:
        if broken:
            stack.enter_context(mock.patch.object(verify, "left_well", return_value=True))
            stack.enter_context(mock.patch.object(part, "crc32", return_value=part._FITS))
        yield exporter, place(exporter, prepare=prepare, check=check, injected=met)
