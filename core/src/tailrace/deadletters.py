"""Dead letters: profile updates and records that can never be delivered as they are.

One file a run under the home, `dead-letters/<run>.jsonl`, mode 0600; a JSON object a line. A letter
is written and synced before its update counts as settled.
"""

from __future__ import annotations

import base64
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tailrace import arguments
from tailrace.errors import NotFound
from tailrace.syncing import make_folder, sync_folder

log = logging.getLogger("tailrace.deadletters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter on its way to the file. `original` is the update as it was read."""

    reason: str
    message: str
    source: str
    source_number: int
    offset: int
    line: int
    original: bytes
    event_id: str | None = None
    code: str | None = None
    size: int | None = None
    """Bytes of the original, where they were too many to be held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A dead letter read back. `id` is RUN-NUMBER. `original` holds personal data."""

    id: str
    run: int
    activation: str
    reason: str
    message: str
    code: str | None
    source: str
    offset: int
    line: int
    size: int
    event_id: str | None
    time: datetime
    original: bytes
    source_number: int = 0
    """The number of the source within the activation."""


class DeadLetterFile:
    """The letters of one run. Safe for threads; the file is made with the first letter."""

    def __init__(self, folder: Path, run: int, activation: str) -> None:
        self._path = folder / f"{run}.jsonl"
        self._activation = activation
        self._run = run
        self._descriptor: int | None = None
        self._lock = threading.Lock()

    def write(self, letters: Sequence[Letter], now: float) -> None:
        """Append and sync. When it returns, the letters survive a power cut."""
        import json

        if not letters:
            return
        time = datetime.fromtimestamp(now).astimezone().isoformat(timespec="milliseconds")
        text = "".join(
            json.dumps(self._entry(letter, time), ensure_ascii=False, separators=(",", ":")) + "\n"
            for letter in letters
        )
        data = memoryview(text.encode("utf-8", "surrogatepass"))
        with self._lock:
            descriptor = self._open()
            before = os.fstat(descriptor).st_size
            try:
                while data:
                    data = data[os.write(descriptor, data) :]
                os.fsync(descriptor)
            except OSError:  # half a letter would spoil the next one
                os.ftruncate(descriptor, before)
                raise

    def _open(self) -> int:
        if self._descriptor is None:
            folder = self._path.parent
            make_folder(folder)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                sync_folder(folder)
            except OSError:  # once more with the next letter: one that is written survives
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        return self._descriptor

    def _entry(self, letter: Letter, time: str) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "reason": letter.reason,
            "message": letter.message,
            "source": letter.source,
            "source_number": letter.source_number,
            "position": {"offset": letter.offset, "line": letter.line},
            "activation": self._activation,
            "run": self._run,
            "time": time,
            "size": len(letter.original) if letter.size is None else letter.size,
        }
        if letter.event_id is not None:
            entry["event_id"] = letter.event_id
        if letter.code is not None:
            entry["code"] = letter.code
        try:
            entry["original"] = letter.original.decode()
        except UnicodeDecodeError:
            entry["original_base64"] = base64.b64encode(letter.original).decode()
        return entry

    def close(self) -> None:
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None


class DeadLetters:
    """What a user may ask of the letters in a home."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list(self, *, activation: str | None = None, run: int | None = None) -> list[DeadLetter]:
        """All letters, oldest run first, or those of one activation or run. Their `original` is
        empty, as there may be many: `get` has it."""
        return [
            replace(letter, original=b"")
            for number in sorted(self._runs())
            if run is None or number == run
            for letter in self._read(number)
            if activation is None or letter.activation == activation
        ]

    def get(self, id: str) -> DeadLetter:
        """One letter by its id. Raises NotFound."""
        run = arguments.text("the id of a dead letter", id).partition("-")[0]
        if run.isdigit() and int(run) in self._runs():
            for letter in self._read(int(run)):
                if letter.id == id:
                    return letter
        raise NotFound(f"there is no dead letter {id!r}", hint="see: tailrace dead-letters list")

    def positions(self, run: int) -> set[tuple[int, int]]:
        """Source number and offset of the letters of one run, and none where it left none."""
        if run not in self._runs():
            return set()
        return {(letter.source_number, letter.offset) for letter in self._read(run)}

    @property
    def last_run(self) -> int:
        """The highest run that has letters; 0 where there are none."""
        return max(self._runs(), default=0)

    def _runs(self) -> set[int]:
        if not self._folder.is_dir():
            return set()
        return {int(p.stem) for p in self._folder.glob("*.jsonl") if p.stem.isdigit()}

    def _read(self, run: int) -> Iterator[DeadLetter]:
        import json

        with open(self._folder / f"{run}.jsonl", "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return  # torn by a crash before it was synced, so never counted
                try:
                    letter = _dead_letter(
                        f"{run}-{number}", run, json.loads(line.decode("utf-8", "surrogatepass"))
                    )
                except (ValueError, KeyError, TypeError, AttributeError):
                    log.warning("dead letters of run %d: line %d cannot be read", run, number)
                    continue
                yield letter


def _dead_letter(id: str, run: int, entry: dict[str, Any]) -> DeadLetter:
    if "original_base64" in entry:
        original = base64.b64decode(entry["original_base64"])
    else:
        original = entry["original"].encode("utf-8", "surrogatepass")
    return DeadLetter(
        id=id,
        run=run,
        activation=entry["activation"],
        reason=entry["reason"],
        message=entry["message"],
        code=entry.get("code"),
        source=entry["source"],
        source_number=entry.get("source_number", 0),
        offset=entry["position"]["offset"],
        line=entry["position"]["line"],
        size=entry["size"],
        event_id=entry.get("event_id"),
        time=datetime.fromisoformat(entry["time"]),
        original=original,
    )
