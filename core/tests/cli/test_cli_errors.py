"""From any ending to a message and an exit code."""

from __future__ import annotations

import errno
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tailrace
from core.tests.cli.kit import Run
from tailrace.errors import TailraceError


def every(kind: type[TailraceError]) -> list[type[TailraceError]]:
    return [kind, *(each for sub in kind.__subclasses__() for each in every(sub))]


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make the client's first call fail."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(tailrace, "open", fail)


@pytest.mark.parametrize(
    "kind", [each for each in every(TailraceError) if each.__module__ == "tailrace.errors"]
)
def test_each_error_of_the_tree_has_its_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch, kind: type[TailraceError]
) -> None:
    raising(monkeypatch, kind("it broke", hint="mend it"))
    ended = run("account", "list", "--json")
    assert (ended.code, ended.err) == (kind.exit_code, "error: it broke\nhint: mend it\n")
    assert ended.json["error"] == {
        "code": kind.code,
        "message": "it broke",
        "hint": "mend it",
        "exit_code": kind.exit_code,
    }


def test_an_unexpected_exception_is_named_and_nothing_it_says_is_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(monkeypatch, ValueError("canary-body"))
    ended = run("account", "list")
    assert (ended.code, ended.out) == (1, "")
    assert ended.first.startswith("error: unexpected: ValueError at test_cli_errors.py:")
    assert "TAILRACE_LOG=debug" in ended.err
    assert "canary" not in ended.err


def test_the_limit_of_open_files_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, OSError(errno.EMFILE, os.strerror(errno.EMFILE), "canary"))
    ended = run("account", "list", "--json")
    assert (ended.code, ended.first) == (3, "error: too many open files")
    assert "ulimit -n" in ended.json["error"]["hint"]
    assert "canary" not in ended.err


def test_the_traceback_in_debug_holds_places_only(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ValueError("canary-body")
    error.__cause__ = KeyError("canary-key")
    raising(monkeypatch, error)
    monkeypatch.setenv("TAILRACE_LOG", "debug")
    ended = run("account", "list")
    assert "builtins.KeyError\ntraceback (most recent call last):\n" in ended.err
    assert "in fail" in ended.err
    assert ended.err.endswith("builtins.ValueError\n")
    assert "canary" not in ended.err


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("arguments", [("account", "list"), ("export", "hot", "in.jsonl")])
def test_a_signal_before_anything_is_done_ends_with_130(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, arguments: tuple[str, ...]
) -> None:
    """An export that has begun settles first; see the tests of signals."""
    (tmp_path / "in.jsonl").touch()
    before = signal.getsignal(number)
    monkeypatch.setattr(tailrace, "open", lambda: os.kill(os.getpid(), number))
    ended = run(*arguments)
    assert (ended.code, ended.err) == (130, "error: interrupted\n")
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(9)])
def test_an_interrupted_command_ends_with_130_and_an_exit_goes_through(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    raising(monkeypatch, error)
    if isinstance(error, SystemExit):
        with pytest.raises(SystemExit):
            run("account", "list")
    else:
        assert run("account", "list").code == 130


def test_a_closed_pipe_ends_quietly_with_the_code_of_the_command(activation: None, profiles: Path) -> None:
    command = Path(sys.executable).with_name("tailrace")
    for arguments, code in (
        (["account", "list"], 0),
        (["account", "show", "prod", "--json"], 0),
        (["export", "hot", profiles], 5),
        (["--help"], 0),
        (["account", "--help"], 0),
        (["--version"], 0),
    ):
        read, write = os.pipe()
        os.close(read)
        try:
            ended = subprocess.run([command, *arguments], stdout=write, stderr=subprocess.PIPE, check=False)
        finally:
            os.close(write)
        assert ended.returncode == code
        assert b"Broken" not in ended.stderr
        assert b"Traceback" not in ended.stderr


def test_a_setting_without_its_option_is_not_repeated(run: Run) -> None:
    ended = run("account", "add", "prod", "region=here", "secret_key=canary-secret")
    assert (ended.code, ended.first) == (2, "error: got unexpected extra argument(s) (region=… secret_key=…)")


def test_logs_are_of_tailrace_and_its_plugins_only(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def talk() -> None:
        for name in ("tailrace.export", "tailrace_box.exporter", "botocore.hooks", "root"):
            logging.getLogger(name).info("a line of %s", name)
        raise tailrace.NotFound("enough")

    monkeypatch.setattr(tailrace, "open", talk)
    assert "a line of" not in run("account", "list").err
    ended = run("account", "list", "-v", "--json")
    lines = [line.partition(" ")[2] for line in ended.err.splitlines() if "a line of" in line]
    assert lines == [
        "INFO tailrace.export: a line of tailrace.export",
        "INFO tailrace_box.exporter: a line of tailrace_box.exporter",
    ]
    assert ended.json["error"]["code"] == "not-found"
    monkeypatch.setenv("TAILRACE_LOG", "info")
    assert run("account", "list").err.count("a line of") == 2
    assert logging.getLogger("tailrace").handlers == []


def test_a_log_does_not_quote_an_exception(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def talk() -> None:
        try:
            raise ValueError("canary-body")
        except ValueError:
            logging.getLogger("tailrace.x").warning("it failed", exc_info=True)
        raise tailrace.NotFound("enough")

    monkeypatch.setattr(tailrace, "open", talk)
    ended = run("account", "list")
    assert "it failed\n(ValueError)" in ended.err
    assert "canary" not in ended.err


def test_an_unknown_log_level_is_a_usage_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_LOG", "loud")
    ended = run("account", "list")
    assert (ended.code, ended.first) == (2, "error: TAILRACE_LOG=loud is not a level")


def test_colour_only_on_a_terminal_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from tailrace.cli.console import RED, styled

    class Stream:
        def __init__(self, terminal: bool) -> None:
            self.isatty = lambda: terminal

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert styled("x", RED, Stream(True)) == "\x1b[31;1mx\x1b[0m"  # type: ignore[arg-type]
    assert styled("x", RED, Stream(False)) == "x"  # type: ignore[arg-type]
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert styled("x", RED, Stream(True)) == "x"  # type: ignore[arg-type]


def test_json_goes_to_standard_output_whole_whatever_the_locale(account: None, installed: Run) -> None:
    os.environ["PYTHONIOENCODING"] = "ascii"
    try:
        assert installed("account", "update", "prod", "--description", "é…😀", "--json").code == 0
        ended = installed("account", "list", "--json")
        text = installed("account", "list")
    finally:
        del os.environ["PYTHONIOENCODING"]
    assert json.loads(ended.out)["accounts"][0]["description"] == "é…😀"
    assert text.code == 0


def test_json_holds_nothing_that_a_terminal_obeys(account: None, installed: Run) -> None:
    assert installed("account", "update", "prod", "--description", "a\x7fb\x9bc\x1b[2Jd", "--json").code == 0
    ended = installed("account", "list", "--json")
    assert not set("\x7f\x9b\x1b") & set(ended.out)
    assert json.loads(ended.out)["accounts"][0]["description"] == "a\x7fb\x9bc\x1b[2Jd"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="macOS has no device that is full")
@pytest.mark.parametrize(
    ("arguments", "streams", "code"),
    [
        (("export", "hot", "missing"), "2>/dev/full", 2),
        (("export", "hot", "missing"), "2>&-", 2),
        (("export", "hot", "missing", "--json"), ">&-", 2),
        (("export", "hot", "in.jsonl"), ">/dev/full", 5),
        (("export", "hot", "in.jsonl"), ">&-", 5),
        (("export", "hot", "in.jsonl"), "2>/dev/full", 5),
        (("export", "hot", "in.jsonl"), "2>&-", 5),
        (("export", "hot", "good.jsonl"), ">/dev/full", 0),
        (("export", "hot", "good.jsonl", "--json"), ">/dev/full", 0),
        (("export", "hot", "in.jsonl", "--json"), ">/dev/full", 5),
        (("export", "nope", "in.jsonl", "--json"), ">/dev/full", 3),
        (("export", "hot", "good.jsonl"), ">&-", 0),
        (("account", "list"), ">/dev/full", 1),
        (("--help",), ">/dev/full", 1),
        (("--version",), ">/dev/full", 1),
    ],
)
def test_lost_output_does_not_change_what_an_export_says(
    activation: None, profiles: Path, arguments: tuple[str, ...], streams: str, code: int
) -> None:
    lines = profiles.read_bytes().splitlines(keepends=True)
    (profiles.parent / "in.jsonl").write_bytes(b"".join(lines))
    (profiles.parent / "good.jsonl").write_bytes(b"".join(lines[:-1]))
    command = shlex.join([str(Path(sys.executable).with_name("tailrace")), *arguments])
    ended = subprocess.run(
        ["sh", "-c", f"{command} {streams}"], cwd=profiles.parent, capture_output=True, timeout=60
    )
    assert ended.returncode == code
    assert b"Traceback" not in ended.stderr
    assert b"unexpected" not in ended.stderr
    if streams == ">/dev/full":
        label = b"error" if code == 1 else b"warning"  # it is an error where it makes the exit code
        assert label + b": standard output cannot be written: No space left on device" in ended.stderr
