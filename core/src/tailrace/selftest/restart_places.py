"""What happens in the rows about restarts: an export that ended early, in whatever way, and the same
command again; and two that would work on one activation at the same time."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from unittest import mock

from tailrace.destination import Batch, BatchResult
from tailrace.errors import ActivationBusy, PluginError, TailraceError
from tailrace.selftest.engine_places import Started, place
from tailrace.selftest.running import ACTIVATION
from tailrace.selftest.scripted import Scripted

if TYPE_CHECKING:
    from tailrace.client import Tailrace

KILLS = ((40, "before"), (40, "after"))
"""At which write each process is killed, before or after its records are on the stream."""


@contextmanager
def _forgotten(broken: bool) -> Iterator[None]:
    """Where an earlier run ended is forgotten."""
    from tailrace.opening import Openings

    with mock.patch.object(Openings, "checkpoints", return_value=()) if broken else nullcontext():
        yield


def _saved(lines: list[bytes], folder: Path) -> Path:
    path = folder / "updates.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


@contextmanager
def killed(broken: bool) -> Started:
    """Processes that kill themselves, and then this one goes on."""
    from tailrace.selftest import child

    with TemporaryDirectory(prefix="tailrace-selftest-") as name, _forgotten(broken):
        folder = Path(name)
        stream = folder / "stream"
        ended: list[int] = []
        clients: list[Tailrace] = []

        def prepare(client: Tailrace, lines: list[bytes]) -> Path:
            clients.append(client)
            source = _saved(lines, folder)
            for turn, when in KILLS:
                command = [sys.executable, "-m", "tailrace.selftest.child"]
                command += [str(client.home), str(source), str(stream), str(turn), when]
                done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
                ended.append(done.returncode)
            return source

        def check() -> str | None:
            runs = clients[0].runs.list()
            committed = sum(run.ledger.delivered for run in runs if run.status == "interrupted")
            return None if committed else "nothing was settled before the kills, so nothing is proved"

        exporter = Scripted(child.filed(stream))
        yield (
            exporter,
            place(
                exporter,
                prepare=prepare,
                check=check,
                read=lambda: child.read(stream),
                injected=lambda: ended.count(-signal.SIGKILL),
                before=lambda: len(child.read(stream)),
            ),
        )


@contextmanager
def ended_early(broken: bool) -> Started:
    """The first export ends on a defect of the plugin, after some writes."""
    failed: list[int] = []

    def script(exporter: Scripted, batch: Batch, turn: int) -> BatchResult:
        if turn == 4:
            raise RuntimeError("once")
        return exporter.accept(batch)

    exporter = Scripted(script)
    with TemporaryDirectory(prefix="tailrace-selftest-") as name, _forgotten(broken):

        def prepare(client: Tailrace, lines: list[bytes]) -> Path:
            source = _saved(lines, Path(name))
            try:
                client.export(ACTIVATION, source, in_flight=1)
            except PluginError:
                failed.append(len(exporter.read()))
            return source

        def before() -> int:
            return len(exporter.read())

        yield exporter, place(exporter, prepare=prepare, before=before, injected=lambda: len(failed))


@contextmanager
def two_at_once(broken: bool) -> Started:
    """In the middle of an export somebody starts another."""
    from tailrace.store import hold

    refused: list[type[TailraceError] | None] = []
    clients: list[Tailrace] = []

    def prepare(client: Tailrace, lines: list[bytes]) -> list[bytes]:
        clients.append(client)
        return lines

    def script(exporter: Scripted, batch: Batch, turn: int) -> BatchResult:
        if turn == 1:
            exporter.meet()
            try:
                clients[0].export(ACTIVATION, [])
                refused.append(None)
            except TailraceError as error:
                refused.append(type(error))
        return exporter.accept(batch)

    def check() -> str | None:
        return None if refused == [ActivationBusy] else "the second was not refused by the lock"

    exporter = Scripted(script)
    with mock.patch.object(hold, "try_acquire", return_value=None) if broken else nullcontext():
        yield exporter, place(exporter, prepare=prepare, check=check)


@contextmanager
def damaged_journal(broken: bool) -> Started:
    """A bit of the stored position is flipped after a whole export."""
    from tailrace.store import part, verify

    flipped: list[int] = []
    exporter = Scripted(lambda exporter, batch, turn: exporter.accept(batch))
    with TemporaryDirectory(prefix="tailrace-selftest-") as name:

        def prepare(client: Tailrace, lines: list[bytes]) -> Path:
            source = _saved(lines, Path(name))
            client.export(ACTIVATION, source, in_flight=1)
            position = source.stat().st_size.to_bytes(2, "big")
            for journal in client.home.glob("journal/*/journal*.mdb"):
                flipped.append(_flip(journal, position))
            return source

        believed = (
            mock.patch.object(verify, "left_well", return_value=True),
            mock.patch.object(part, "_checked", lambda path, key, stored: stored[:-4]),
        )
        with believed[0] if broken else nullcontext(), believed[1] if broken else nullcontext():
            yield exporter, place(exporter, prepare=prepare, injected=lambda: sum(flipped))


def _flip(path: Path, wanted: bytes) -> int:
    """Flip the lowest bit of these bytes wherever they follow the key of the first source."""
    content = bytearray(path.read_bytes())
    key, flips, at = b"c" + (1).to_bytes(8, "big"), 0, 0
    while (at := content.find(key, at)) >= 0:
        at += len(key)
        with suppress(ValueError):
            last = content.index(wanted, at, at + 8) + len(wanted) - 1
            content[last] ^= 1
            flips += 1
    path.write_bytes(content)
    return flips
