"""Handing something over to a running export: a question is a file in a folder of the home, and so is its
answer. Whoever exports has the desk, which is a lock that dies with its process."""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tailrace.errors import NotExporting, StateError
from tailrace.oslock import release, try_acquire

FOLDER = "queue"
PATIENCE = 10.0
"""Seconds to wait for an answer."""
OLD = 60.0
"""Seconds after which nobody waits any more for what is in a file."""

_POLL = 0.02
"""Seconds between two looks for a file that another process writes: nothing tells of it everywhere."""
_TAKING = 1.0
_MOST = 4096
_NAME = re.compile(r"([0-9a-f]{32})\.(ask|answer)")


def queue_folder(home: Path, activation_id: str) -> Path:
    return home / FOLDER / activation_id


class Desk:
    """Where others ask the process that exports an activation. Held until `close`."""

    def __init__(self, folder: Path) -> None:
        """The folder exists. Raises OSError."""
        self._folder = folder
        self._lock: int | None = os.open(folder / "desk", os.O_RDWR | os.O_CREAT, 0o600)
        until = time.monotonic() + _TAKING
        while True:
            try:
                try_acquire(self._lock)
                break
            except OSError:  # somebody may be looking at this moment whether anybody has it
                if time.monotonic() > until:
                    self.close()
                    raise
            time.sleep(_POLL)

    def look(self) -> list[tuple[str, str]]:
        """What is asked: an id for the answer, and a word. What nobody waits for is removed, as is what is no
        question; what is somebody else's is left alone."""
        asked = []
        for path, id, kind, status in self._files():
            old = abs(time.time() - status.st_mtime) > OLD
            if kind == "ask" or old:
                word = None if old else _word(path, status)
                with suppress(OSError):
                    path.unlink()
                if word is not None:
                    asked.append((id, word))
        return asked

    def answer(self, id: str, answer: Mapping[str, Any]) -> None:
        """Answer what was asked. Raises OSError."""
        _put(self._folder, f"{id}.answer", answer)

    def close(self) -> None:
        """May be called again."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _files(self) -> Iterator[tuple[Path, str, str, os.stat_result]]:
        with suppress(OSError):
            for path in [*self._folder.iterdir()]:
                named = _NAME.fullmatch(path.name)
                if named is None:
                    continue
                with suppress(OSError):
                    status = path.lstat()
                    if _is_own(status):
                        yield path, named[1], named[2], status


def ask(folder: Path, activation: str, word: str, *, patience: float = PATIENCE) -> dict[str, Any]:
    """What the process that exports the activation answers. Raises NotExporting, or StateError where it does
    not answer."""
    id = secrets.token_hex(16)
    asked, answered = folder / f"{id}.ask", folder / f"{id}.answer"
    if not _has_desk(folder):
        raise _not_exporting(activation)
    try:
        _put(folder, asked.name, {"ask": word})
        until = time.monotonic() + patience
        while time.monotonic() < until:
            served = _has_desk(folder)
            with suppress(FileNotFoundError):
                answer: dict[str, Any] = json.loads(answered.read_bytes())
                return answer
            if not served:
                raise _not_exporting(activation)
            time.sleep(_POLL)
    except OSError as error:
        raise StateError(
            f"the folder {folder} cannot be used: {error.strerror}",
            hint="it must belong to the user who runs tailrace",
        ) from None
    finally:
        for path in (asked, answered):
            with suppress(OSError):
                path.unlink()
    raise StateError(
        f"the process that exports activation {activation!r} does not answer",
        hint="it may be stopped, or wait for an iterable: try again later",
    )


def _not_exporting(activation: str) -> NotExporting:
    return NotExporting(
        f"activation {activation!r} is not being exported",
        hint=f"only a running export can be asked; start one: tailrace export {activation} SOURCE",
    )


def _has_desk(folder: Path) -> bool:
    """Whether somebody has the desk."""
    try:
        lock = os.open(folder / "desk", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        try_acquire(lock)
    except OSError:
        return True
    else:
        release(lock)
        return False
    finally:
        os.close(lock)


def _put(folder: Path, name: str, value: Mapping[str, Any]) -> None:
    """Write a file that is whole as soon as it has its name."""
    draft = folder / f".{name}.tmp"
    with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        json.dump(value, file)
    os.replace(draft, folder / name)


def _word(path: Path, status: os.stat_result) -> str | None:
    """What a file asks; None where that is no question."""
    if status.st_size > _MOST:
        return None
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        word = json.loads(path.read_bytes())["ask"]
        return word if isinstance(word, str) else None
    return None


def _is_own(status: os.stat_result) -> bool:
    """A regular file of this user."""
    own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return own and stat.S_ISREG(status.st_mode)
