"""Committing from a process of its own.

LMDB lets other threads have the interpreter at each value it is given, so a commit of thousands beside a
thread that reads costs both of them more than the commit itself. The process has the files open a second
time; who reads sees what it committed from the next `refresh` on.
"""

from __future__ import annotations

import pickle
import socket
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

import msgspec

from tailrace.errors import StateError, TailraceError
from tailrace.forking import Child, pack_error, receive, send
from tailrace.store.commits import Commits, Share
from tailrace.store.layout import open_parts
from tailrace.store.part import Part

AT_ONCE = 2
"""So many parts are committed to at a time."""

_Work = tuple[int, list[Share], list[bytes]]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Work).decode


class CommitProcess:
    """Commits to the journal in a folder, whose layout does not change meanwhile. For one thread at a
    time."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError where the system allows no more processes or open files."""
        self._child = Child(partial(_serve, folder), sockets=1)
        (self._socket,) = self._child.sockets

    def commit(self, run: int, shares: Sequence[Share], forget: Collection[bytes] = ()) -> None:
        """See `Journal.commit`."""
        try:
            send(self._socket, _encode((run, list(shares), list(forget))))
            answer = receive(self._socket)
        except OSError:
            answer = None
        if answer is None:
            how = self._child.how_it_ended()
            raise StateError(
                f"the process that keeps the state ended {how}",
                hint="what was sent since the last commit is sent again by the next run",
            )
        if answer:
            error: TailraceError = pickle.loads(answer)
            raise error

    def close(self) -> None:
        """Nobody may be committing. May be called again."""
        self._child.kill()


def _serve(folder: Path, sockets: list[socket.socket]) -> None:
    (to_and_fro,) = sockets
    parts: list[Part] = []
    commits = Commits(parts)
    while (frame := receive(to_and_fro)) is not None:
        answer = b""
        try:
            if not parts:
                parts += open_parts(folder, whole=False)
                commits = Commits(parts, AT_ONCE)
            commits.commit(*_decode(frame))
            for part in parts:  # or each would keep all pages that were in use when it was opened
                part.refresh()
        except TailraceError as error:
            answer = pack_error(error)
        except Exception as error:
            answer = pack_error(StateError(f"the commit failed: unexpected {type(error).__name__}"))
        del frame
        send(to_and_fro, answer)
