"""A process of its own for a part of the work: a fork, made while this process has a single thread, so
that no lock can be held by a thread that the fork does not have. Frames go to and fro over sockets."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable

from tailrace.errors import TailraceError

SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} if sys.platform != "win32" else set()
"""What a terminal or a service manager sends to all processes is for the first one to act on."""

_PR_SET_PDEATHSIG = 1
_M_ARENA_MAX = -8
_LENGTH = struct.Struct("!I")


def can_fork() -> bool:
    """Whether a fork is safe here: on Linux, and no other thread could hold a lock meanwhile."""
    return sys.platform == "linux" and threading.active_count() == 1


_children: set[Child] = set()
"""Those whose sockets are open. Another child may not keep them open too."""


class Child:
    """The other process, which runs `work` with its ends of the sockets, and never returns from it.
    `sockets` are this one's ends; the last one is closed by the other process when it ends, and only
    then."""

    def __init__(self, work: Callable[[list[socket.socket]], None], sockets: int) -> None:
        """Raises OSError where the system allows no more processes or open files."""
        self.sockets: list[socket.socket] = []
        self._status: int | None = None
        pairs = [socket.socketpair() for _ in range(sockets)]
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        parent = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            for ours in [ours for ours, _ in pairs] + [ours for other in _children for ours in other.sockets]:
                ours.close()
            _run(work, [theirs for _, theirs in pairs], parent, mask)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for _, theirs in pairs:
            theirs.close()
        self.sockets = [ours for ours, _ in pairs]
        _children.add(self)
        self._last = self.sockets[-1]
        self._arrived = select.poll()
        self._arrived.register(self._last, select.POLLIN)

    def has_answered(self, patience: float | None) -> bool:
        """Whether something has come over the last socket, or its end, after so many seconds."""
        return bool(self._arrived.poll(None if patience is None else max(patience, 0.0) * 1000))

    def kill(self) -> None:
        """End it at once, and close the sockets. May be called again."""
        if self._status is None:
            os.kill(self._pid, signal.SIGKILL)
            self.wait(None)
        for ours in self.sockets:
            ours.close()
        _children.discard(self)

    def how_it_ended(self) -> str:
        """In words, for one that has closed its last socket."""
        status = self.wait(1.0) or 0
        return f"by signal {-status}" if status < 0 else f"with {status}"

    def wait(self, patience: float | None) -> int | None:
        """How it ended: an exit code, or a signal as a negative number. None: it still runs, after so
        many seconds."""
        if self._status is None and self._closes(patience):
            try:
                self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
            except ChildProcessError:  # somebody else has waited for it
                self._status = 0
        return self._status

    def _closes(self, patience: float | None) -> bool:
        """Whether its end of the last socket is closed in time. What comes until then is dropped, or the
        process would wait for somebody to take it."""
        until = None if patience is None else time.monotonic() + patience
        while self.has_answered(None if until is None else until - time.monotonic()):
            try:
                if not self._last.recv(65536):
                    return True
            except ConnectionResetError:  # it ended without having read all that it was sent
                return True
        return False


def _run(
    work: Callable[[list[socket.socket]], None], sockets: list[socket.socket], parent: int, mask: set[int]
) -> None:
    """`mask` are the signals to block; more are blocked until they are ignored."""
    code = 1
    try:
        gc.freeze()
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _die_with(parent)
        _allocate_from_one_heap()
        work(sockets)
        code = 0
    finally:
        os._exit(code)  # nothing of the other process may be flushed, closed or rolled back here


def _die_with(parent: int) -> None:
    """Have Linux kill this process when the other one ends, even if it is stopped by then."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _allocate_from_one_heap() -> None:
    """Have the C library keep one heap for all threads, where it has several: one for each thread that
    writes fills with holes, and the process grows for minutes. They allocate one at a time anyway."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def send(target: socket.socket, frame: bytes) -> None:
    """Raises OSError; TimeoutError where the socket has a timeout and nobody takes it."""
    target.sendall(_LENGTH.pack(len(frame)) + frame)


def receive(source: socket.socket) -> bytearray | None:
    """The next frame; None at the end."""
    head = _exactly(source, _LENGTH.size)
    return None if head is None else _exactly(source, _LENGTH.unpack(head)[0])


def _exactly(source: socket.socket, size: int) -> bytearray | None:
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        count = source.recv_into(rest)
        if not count:
            return None
        rest = rest[count:]
    return data


def pack_error(error: TailraceError) -> bytes:
    """An error as bytes, for `pickle.loads`; one whose class does not allow that becomes the nearest of
    Tailrace's own."""
    try:
        packed = pickle.dumps(error)
        pickle.loads(packed)
    except Exception:
        own = next(base for base in type(error).__mro__ if base.__module__ == TailraceError.__module__)
        return pickle.dumps(own(error.message, hint=error.hint))
    return packed
