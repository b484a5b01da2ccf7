"""Reading stores whole before they are believed, in a process of its own: LMDB ends the process that
meets some kinds of damage. One such process reads all the files of an activation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tailrace.errors import StateDamaged, StateError
from tailrace.store.files import TooLittleMemory, damaged
from tailrace.store.notes import left_well
from tailrace.store.part import check

_PATIENCE = 600.0
_WHOLE = "whole"
_UNFIT = "unfit"


def find_damaged(paths: Sequence[Path], *, whole: bool | None = None) -> dict[Path, StateDamaged]:
    """Those of the files that cannot be used, and why. Each that was not left well is read; with
    `whole` all are, with False none. Nobody may have them open."""
    doubtful = [path for path in paths if (not left_well(path) if whole is None else whole)]
    return verify(doubtful) if doubtful else {}


def verify(paths: Sequence[Path]) -> dict[Path, StateDamaged]:
    """Read these files and compare their sums. Where the reading process is ended by one of them, those
    behind it count as damaged too. Raises StateError where it is not the files that keep it from that."""
    late = False
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "tailrace.store.verify", *paths],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        )
        said = ended.stdout
        if ended.returncode > 0:
            raise StateError(
                "the stores of the activation cannot be read to see whether they are whole",
                hint="the system allows too little memory or address space; see ulimit -v",
            )
    except subprocess.TimeoutExpired as error:
        late, said = True, error.stdout or b""
    words = said.decode("ascii", "replace").split()
    unread = f"reading it took more than {_PATIENCE:.0f} s" if late else "it cannot be read"
    whys = {_WHOLE: None, _UNFIT: "its checksums do not fit"}
    found: dict[Path, StateDamaged] = {}
    for number, path in enumerate(paths):
        why = whys.get(words[number], unread) if number < len(words) else unread
        if why is not None:
            found[path] = damaged(path, why)
    return found


def main(paths: Sequence[str]) -> None:
    """Say of each file how it is, as soon as it is known. Raises where that has other reasons."""
    for path in paths:
        try:
            check(Path(path))
        except TooLittleMemory:
            raise
        except StateError:
            word = _UNFIT
        else:
            word = _WHOLE
        sys.stdout.write(word + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
