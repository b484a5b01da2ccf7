"""The outermost frame of a command: from any ending to a message and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import TextIO

from tailrace.cli.console import Console
from tailrace.errors import Interrupted, TailraceError, UsageError
from tailrace.oserrors import too_many_files

PROGRAM = "tailrace"

_OF_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EPIPE, errno.EIO)
"""What standard output fails with. A file that cannot be written fails by its name, or in words of
its own."""

_PLAIN = {
    "Input should be a valid integer, unable to parse string as an integer": "it is not a whole number",
    "Input should be a valid number, unable to parse string as a number": "it is not a number",
    "Input should be": "it must be",
    "Value error, ": "",
}
"""What the validator of the options says for programmers."""


class Unexpected(TailraceError):
    """An exception outside the tree. Its message may hold anything, so only its type is named."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return the exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    sys.stdout, sys.stderr = _never_none(sys.stdout), _never_none(sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        _never_fail_to_encode(stream)
    console = Console(json=_wants_json(arguments))
    try:
        code = _invoke(arguments, console)
    except KeyboardInterrupt:  # a second one, while the first was being reported
        code = Interrupted.exit_code
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    return code


def report(console: Console, error: TailraceError) -> int:
    """Show an error in the form the user asked for; return its exit code."""
    console.keeps_code = True
    console.error(error)
    if console.json:
        console.result({}, error)
    return error.exit_code


def _invoke(arguments: Sequence[str], console: Console) -> int:
    import typer

    from tailrace.cli import complete
    from tailrace.cli.app import app

    try:
        if complete.asked_for(arguments):
            console.print(complete.answer(arguments, PROGRAM))
            return 0
        code = typer.main.get_command(app).main(arguments, PROGRAM, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SystemExit as ended:
        lost = ended.__context__
        if not isinstance(lost, BrokenPipeError):
            raise
        console.lost_output(lost)  # typer's own answer to a reader that had enough is 1
        return 0
    except TailraceError as error:
        return report(console, error)
    except typer.TyperException as error:
        return _report_usage(console, error, arguments)
    except (typer.Abort, KeyboardInterrupt):
        return report(console, Interrupted("interrupted"))
    except OSError as error:
        limit = too_many_files(error)
        if limit is not None:
            return report(console, limit)
        if error.errno not in _OF_OUTPUT or error.filename is not None:
            return _report_unexpected(console, error)
        console.lost_output(error)  # help and the like, which do not go through the console
        return 0 if isinstance(error, BrokenPipeError) else 1
    except Exception as error:
        return _report_unexpected(console, error)


def _report_usage(console: Console, error: Exception, arguments: Sequence[str]) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        console.note(str(error))
        return UsageError.exit_code
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    message = " ".join(error.format_message().split())  # type: ignore[attr-defined]
    for said, plain in _PLAIN.items():
        message = message.replace(said, plain)
    for name, equals, value in (argument.partition("=") for argument in arguments):
        if value:  # NAME=VALUE without its --set: it may be a secret
            message = message.replace(f"{name}{equals}{value}", f"{name}=…")
    return report(
        console, UsageError(message[:1].lower() + message[1:].rstrip("."), hint=f"see: {path} --help")
    )


def _report_unexpected(console: Console, error: Exception) -> int:
    place = _place(error.__traceback__)
    code = report(
        console,
        Unexpected(
            f"unexpected: {type(error).__name__}{place}",
            hint="run it again with TAILRACE_LOG=debug to see the traceback",
        ),
    )
    if os.environ.get("TAILRACE_LOG", "").lower() == "debug":
        console.note("".join(_frames(error)).rstrip())
    return code


def _frames(error: BaseException) -> list[str]:
    """A traceback of places only: no local variables, and no message, for it may quote data."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = _frames(before) if before is not None else []
    lines.append("traceback (most recent call last):\n")
    lines += traceback.format_list(traceback.extract_tb(error.__traceback__))
    lines.append(f"{type(error).__module__}.{type(error).__qualname__}\n")
    return lines


def _place(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace, limit=-1)
    return f" at {os.path.basename(frames[0].filename)}:{frames[0].lineno}" if frames else ""


def _wants_json(arguments: Sequence[str]) -> bool:
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def _never_none(stream: TextIO | None) -> TextIO:
    """A stream that was closed before the start is None."""
    return stream if stream is not None else open(os.devnull, "w")


def _never_fail_to_encode(stream: TextIO) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
