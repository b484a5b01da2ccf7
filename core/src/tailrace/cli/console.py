"""Where a command writes: results to standard output, everything else to standard error.

A reader that went away (`tailrace preview … | head -1`) is no error: the rest of the output is
dropped in silence, and the command ends with the exit code it would have had.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tailrace.client import Tailrace
    from tailrace.errors import TailraceError

RED, YELLOW, BOLD = "31;1", "33;1", "1"

_CONTROLS = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
"""JSON leaves these as they are; a terminal takes some of them as commands."""


@dataclass(slots=True)
class Console:
    """`json`: results are one JSON object. `no_input`: never ask. `closed`: nobody reads any more."""

    json: bool = False
    no_input: bool = False
    closed: bool = False
    unwritable: bool = False
    """Standard output took no more, for another reason than a reader that had enough."""
    keeps_code: bool = False
    """The exit code says what was done, so that losing the output does not change it, and is worth a
    warning only."""

    @property
    def interactive(self) -> bool:
        """Whether a person is there to answer a question."""
        return not self.no_input and sys.stdin.isatty() and sys.stderr.isatty()

    def open(self) -> Tailrace:
        """The client, on the home and database of the environment."""
        import tailrace

        return tailrace.open()

    def line(self, option: str) -> str:
        """The line of standard input that `option` asks for."""
        from tailrace.errors import UsageError

        line = sys.stdin.readline()
        if not line:
            raise UsageError(f"{option}=-: standard input has no line left")
        return line.rstrip("\r\n")

    def print(self, text: str = "") -> None:
        self._write(sys.stdout, text + "\n")

    def print_bytes(self, data: bytes) -> None:
        """Exactly these bytes."""
        if not self.closed:
            try:
                sys.stdout.flush()
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            except OSError as error:
                self._lost(sys.stdout, error)

    def result(self, value: Mapping[str, Any], error: TailraceError | None = None) -> None:
        """One JSON object, in UTF-8 whatever the locale; with the error it ended with, if any."""
        if error is not None:
            value = {**value, "error": error_shape(error)}
        text = json.dumps(value, ensure_ascii=False, indent=2).translate(_CONTROLS) + "\n"
        self.print_bytes(text.encode("utf-8", "backslashreplace"))

    def note(self, text: str) -> None:
        self._write(sys.stderr, text + "\n")

    def warn(self, text: str) -> None:
        self.note(f"{styled('warning:', YELLOW, sys.stderr)} {text}")

    def error(self, error: TailraceError) -> None:
        """The two lines of an error."""
        self.note(f"{styled('error:', RED, sys.stderr)} {error.message}")
        if error.hint:
            self.note(f"hint: {error.hint}")

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except OSError as error:
            self._lost(stream, error)

    def lost_output(self, error: OSError) -> None:
        """Standard output took no more."""
        self._lost(sys.stdout, error)

    def _lost(self, stream: TextIO, error: OSError) -> None:
        to_nothing(stream)
        if stream is not sys.stdout:
            return
        self.closed = True
        if not isinstance(error, BrokenPipeError):
            self.unwritable = True
            why = f"standard output cannot be written: {error.strerror}"
            if self.keeps_code:
                self.warn(why)
            else:
                self.note(f"{styled('error:', RED, sys.stderr)} {why}")


def to_nothing(stream: TextIO) -> None:
    """Point the stream at nothing, so that neither later writes nor the interpreter's last flush meet
    what is broken."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def styled(text: str, style: str, stream: TextIO) -> str:
    """The text in a terminal's colours, where the stream shows them."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{style}m{text}\x1b[0m"


def error_shape(error: TailraceError) -> dict[str, Any]:
    """The documented JSON shape of an error."""
    shape: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }
    fields = getattr(error, "fields", None)
    return shape | {"fields": dict(fields)} if fields else shape
