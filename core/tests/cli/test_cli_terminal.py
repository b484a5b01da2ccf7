"""On a real terminal: questions, a hidden secret, and colours."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.tests.cli.kit import Run, update

pytest.importorskip("termios", reason="needs a pseudo-terminal")

TIMEOUT = 20.0


class Terminal:
    """A command on a pseudo-terminal; a stream that is given is not on it."""

    def __init__(
        self, *arguments: str | Path, columns: int = 80, stdin: int | None = None, stderr: int | None = None
    ) -> None:
        import pty

        self._ours, theirs = pty.openpty()
        self._shown = b""
        command = Path(sys.executable).with_name("tailrace")
        self.process = subprocess.Popen(
            [command, *arguments],
            stdin=theirs if stdin is None else stdin,
            stdout=theirs,
            stderr=theirs if stderr is None else stderr,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "24"},
        )
        os.close(theirs)

    def read_until(self, text: str) -> str:
        """What is shown up to the text, which has to come."""
        deadline = time.monotonic() + TIMEOUT
        while text.encode() not in self._shown:
            assert time.monotonic() < deadline, self._shown
            if not self._read():
                raise AssertionError(self._shown)
        before, _, self._shown = self._shown.partition(text.encode())
        return before.decode()

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C until it is answered: Python misses one that comes just before it blocks to read."""
        deadline = time.monotonic() + TIMEOUT
        self._shown = b""
        while not self._shown:
            assert time.monotonic() < deadline
            self.process.send_signal(signal.SIGINT)
            self._read(timeout=0.2)

    def end(self) -> tuple[int, str]:
        """The exit code and the rest of what is shown."""
        while self._read():
            pass
        return self.process.wait(TIMEOUT), self._shown.decode()

    def _read(self, timeout: float = TIMEOUT) -> bool:
        ready, _, _ = select.select([self._ours], [], [], timeout)
        try:
            data = os.read(self._ours, 65536) if ready else b""
        except OSError:  # the other side is closed
            return False
        self._shown += data
        return bool(data)

    def vanish(self) -> None:
        """Close the window: from now on the command's writes fail."""
        os.close(self._ours)
        self._ours = -1

    def goes_on(self, seconds: float = 0.5) -> bool:
        """Whether the command has not ended after that long."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        if self._ours >= 0:
            os.close(self._ours)


@pytest.fixture
def opened() -> Iterator[list[Terminal]]:
    terminals: list[Terminal] = []
    yield terminals
    for terminal in terminals:
        terminal.close()


def test_missing_fields_are_asked_for_and_a_secret_is_not_echoed(opened: list[Terminal], run: Run) -> None:
    terminal = Terminal("account", "add", "prod")
    opened.append(terminal)
    terminal.read_until("Destination [box]: ")
    terminal.type("bocks\n")
    terminal.read_until("one of: box")
    terminal.read_until("Destination [box]: ")
    terminal.type("box\n")
    assert "Where the box stands.\r\n" in terminal.read_until("Region: ")
    terminal.type("here\n")
    terminal.read_until("Secret key (secret_key): ")
    terminal.type("canary-secret\n")
    code, rest = terminal.end()
    assert (code, rest.strip()) == (0, "account prod added")
    assert "canary" not in rest
    settings = run("account", "show", "prod", "--json").json["account"]["settings"]
    assert settings == {"region": "here", "secret_key": "sealed:…"}


def test_no_input_asks_nothing_on_a_terminal(opened: list[Terminal]) -> None:
    terminal = Terminal("account", "add", "prod", "--no-input", "--destination", "box")
    opened.append(terminal)
    code, shown = terminal.end()
    assert code == 2
    assert "missing: region, secret_key" in shown
    assert "\x1b[31;1merror:\x1b[0m" in shown


def test_control_c_at_a_question_ends_with_130(opened: list[Terminal]) -> None:
    terminal = Terminal("account", "add", "prod", "--destination", "box")
    opened.append(terminal)
    terminal.read_until("Region: ")
    terminal.interrupt()
    code, shown = terminal.end()
    assert code == 130
    assert "interrupted" in shown
    assert "Traceback" not in shown


def test_segments_are_asked_for_until_an_empty_answer(opened: list[Terminal], run: Run, box: Path) -> None:
    terminal = Terminal("activation", "add", "hot", "--connection", "leads")
    opened.append(terminal)
    for answer in ("", "a=", "crm/a=Name", "b", ""):
        terminal.read_until("Segment [NAMESPACE/]ID[=NAME]")
        terminal.type(answer + "\n")
    assert terminal.end()[0] == 0
    found = run("activation", "show", "hot", "--json").json["activation"]["segments"]
    assert [(each["namespace"], each["id"], each["name"]) for each in found] == [
        ("crm", "a", "Name"),
        ("ups", "b", None),
    ]


@pytest.mark.parametrize("options", [(), ("--no-input",)])
def test_a_line_of_a_secret_is_asked_for_hidden(
    opened: list[Terminal], run: Run, account: None, options: tuple[str, ...]
) -> None:
    terminal = Terminal("account", "update", "prod", "--set", "secret_key=-", *options)
    opened.append(terminal)
    terminal.read_until("secret_key: ")
    terminal.type("canary-secret\n")
    code, rest = terminal.end()
    assert (code, rest.strip()) == (0, "account prod is at version 2")


@pytest.mark.usefixtures("activation")
@pytest.mark.parametrize("columns", [40, 140])
def test_the_progress_display_and_its_end(
    opened: list[Terminal], run: Run, profiles: Path, columns: int
) -> None:
    assert run("connection", "update", "leads", "--set", "mode=hangs").code == 0
    terminal = Terminal("export", "hot", profiles, columns=columns)
    opened.append(terminal)
    terminal.read_until("\x1b[?25l")  # the cursor is hidden
    shown = terminal.read_until("dead letters")
    for label in ("hot", "read", "exported", "rate", "in flight", "retries"):
        assert label in shown
    terminal.process.send_signal(signal.SIGINT)
    terminal.read_until("hot (stopping)")
    terminal.process.send_signal(signal.SIGINT)
    code, rest = terminal.end()
    assert code == 130
    assert rest.endswith("\x1b[?25h\r\n")


@pytest.mark.usefixtures("activation")
def test_nothing_of_the_display_stays(opened: list[Terminal], profiles: Path) -> None:
    terminal = Terminal("export", "hot", profiles)
    opened.append(terminal)
    terminal.read_until("\x1b[?25h")  # the cursor is back
    code, rest = terminal.end()
    assert code == 5
    assert "=  4 delivered" in rest
    assert "in flight" not in rest


@pytest.mark.usefixtures("activation")
def test_a_terminal_is_not_shown_what_it_would_obey(opened: list[Terminal], run: Run, tmp_path: Path) -> None:
    source = tmp_path / "odd.jsonl"
    source.write_bytes(b"canary\x1b[2J\n")
    run("export", "hot", source)
    terminal = Terminal("dead-letters", "show", "1-1", "--reveal")
    opened.append(terminal)
    code, shown = terminal.end()
    assert code == 0
    assert "canary\\x1b[2J" in shown
    assert "\x1b" not in shown
    assert run("dead-letters", "show", "1-1", "--reveal").out.endswith("canary\x1b[2J\n")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[int]:
    """Where a connection in mode `waits` reads whether it may go on: a byte for each write."""
    os.mkfifo(tmp_path / "go")
    descriptor = os.open(tmp_path / "go", os.O_RDWR)
    yield descriptor
    os.close(descriptor)


@pytest.mark.usefixtures("activation")
@pytest.mark.parametrize("others", [(signal.SIGHUP,), (signal.SIGHUP, signal.SIGHUP)])
@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGTERM])
def test_a_closed_terminal_settles_however_often_it_hangs_up(
    opened: list[Terminal], run: Run, gate: int, first: signal.Signals, others: tuple[signal.Signals, ...]
) -> None:
    assert run("connection", "update", "leads", "--set", "mode=waits").code == 0
    source, sink = os.pipe()
    terminal = Terminal("export", "hot", "-", stdin=source)
    opened.append(terminal)
    os.close(source)
    os.write(sink, "".join(update(number) for number in range(3)).encode())
    terminal.read_until("in flight \x1b[0m\x1b[1m2")  # what was given was read
    terminal.vanish()
    for number in (first, *others):
        terminal.process.send_signal(number)
        assert terminal.goes_on()
    os.write(gate, b"go" * 10)
    assert terminal.process.wait(TIMEOUT) == 130
    os.close(sink)
    ended = run("runs", "show", "1", "--json").json["run"]
    ledger = ended["ledger"]
    assert (ended["status"], ended["exit_code"]) == ("interrupted", 130)
    assert ledger["received"] == ledger["delivered"] == 3
    assert ledger["sources"][0]["line"] == 4


@pytest.mark.usefixtures("activation")
def test_after_a_hangup_control_c_ends_at_once(opened: list[Terminal], run: Run, profiles: Path) -> None:
    assert run("connection", "update", "leads", "--set", "mode=hangs").code == 0
    terminal = Terminal("export", "hot", profiles)
    opened.append(terminal)
    terminal.read_until("in flight")
    terminal.process.send_signal(signal.SIGHUP)
    terminal.read_until("hot (stopping)")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end()[0] == 130


@pytest.mark.usefixtures("activation")
@pytest.mark.parametrize("json", [(), ("--json",)])
def test_an_export_outlives_its_terminal(
    opened: list[Terminal], run: Run, profiles: Path, gate: int, json: tuple[str, ...]
) -> None:
    assert run("connection", "update", "leads", "--set", "mode=waits").code == 0
    terminal = Terminal("export", "hot", profiles, *json)
    opened.append(terminal)
    terminal.read_until("in flight")
    terminal.vanish()
    assert terminal.goes_on()
    os.write(gate, b"go" * 10)
    assert terminal.process.wait(TIMEOUT) == 5
    assert run("runs", "show", "1", "--json").json["run"]["status"] == "finished"


@pytest.mark.usefixtures("activation")
def test_a_result_that_a_closed_terminal_does_not_take_is_a_warning(
    opened: list[Terminal], profiles: Path
) -> None:
    read, write = os.pipe()
    for arguments, code, text in (
        (("export", "hot", profiles), 5, b"warning: standard output cannot be written: "),
        (("account", "list"), 1, b"error: standard output cannot be written: "),
    ):
        terminal = Terminal(*arguments, stderr=write)
        opened.append(terminal)
        terminal.vanish()
        assert terminal.process.wait(TIMEOUT) == code
        assert text in os.read(read, 65536)
    os.close(read)
    os.close(write)
