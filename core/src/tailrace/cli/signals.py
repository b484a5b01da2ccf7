"""Ctrl-C, SIGTERM and SIGHUP during an export: the first drains, a second Ctrl-C or SIGTERM ends at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from tailrace.errors import Interrupted

DRAINING = b"stopping: settling what was read; once more to end at once\n"
SHOW_CURSOR = b"\x1b[?25h\n"
HANGUP: int | None = getattr(signal, "SIGHUP", None)
NUMBERS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def ending_like_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, by KeyboardInterrupt, so that a command has the
    same exit code however early or late one comes. Only the main thread can say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in NUMBERS if number != signal.SIGINT and not _nohup(number)]
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            # A hangup that an export was told of stays ignored (`stop_on_signals`).
            if signal.getsignal(number) is signal.default_int_handler:
                signal.signal(number, handler)


@contextmanager
def stop_on_signals(stop: threading.Event, *, live: bool) -> Iterator[None]:
    """Set `stop` on one of the signals while the block runs; the handlers before it come back. A
    hangup that is ignored, as under nohup, stays ignored.

    A hangup is never a second signal: nobody is there to have asked twice. The shell and the kernel
    both tell of a terminal that is gone, the later one perhaps when the block has ended, so that
    after the first they are ignored for good.

    `live` says that a display owns the terminal: it shows the state itself, and hides the cursor,
    which a second signal has to show again.
    """

    gone = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal gone
        hangup = number == HANGUP
        gone = gone or hangup
        if stop.is_set():
            if hangup:
                return
            _write(SHOW_CURSOR if live else b"")
            os._exit(Interrupted.exit_code)
        stop.set()
        if not live:
            _write(DRAINING)

    before = {number: signal.signal(number, handle) for number in NUMBERS if not _nohup(number)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if gone and number == HANGUP else handler)


def _nohup(number: int) -> bool:
    return number == HANGUP and signal.getsignal(number) == signal.SIG_IGN


def _write(text: bytes) -> None:
    """Straight to the descriptor: the signal may have come in the middle of a buffered write."""
    with suppress(OSError):
        os.write(2, text)
