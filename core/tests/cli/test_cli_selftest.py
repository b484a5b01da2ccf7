"""`tailrace selftest faults`, with the rows of the core."""

from __future__ import annotations

import re

import pytest

from core.tests.cli.kit import Run
from core.tests.cli.test_cli_terminal import Terminal, opened
from tailrace.cli import faulttable
from tailrace.cli.console import Console
from tailrace.faults import FaultRow
from tailrace.selftest.matrix import Verdict, Word

__all__ = ["opened"]

ROWS = ("--row", "bad-lines", "--row", "replay-in-live-traffic", "--row", "plugin-raises")


def test_a_table_and_a_sum(run: Run) -> None:
    ended = run("selftest", "faults", *ROWS)
    assert (ended.code, ended.err) == (0, "")
    head, *rows, summary = ended.out.splitlines()
    assert head.split() == ["ROW", "FAULT", "EXPECTED", "SEEN", "VERDICT"]
    assert [re.split(r"  +", row)[0::4] for row in rows] == [
        ["plugin-raises", "pass"],
        ["replay-in-live-traffic", "not built"],
        ["bad-lines", "pass"],
    ]
    assert re.fullmatch(r"2 passed, 0 failed, 1 not built in [\d.]+ s", summary)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_broken_row_ends_with_1(run: Run, form: tuple[str, ...]) -> None:
    ended = run("selftest", "faults", "--break", "plugin-raises", *form)
    assert ended.code == 1
    assert ended.first == "error: 1 of 1 rows failed: plugin-raises"
    if form:
        assert ended.json["error"]["code"] == "selftest"
        assert ended.json["failed"] == 1
        assert ended.json["rows"][0]["problems"]
    else:
        assert "updates lost" in ended.out
        assert "FAIL" in ended.out


def test_json(run: Run) -> None:
    ended = run("selftest", "faults", *ROWS, "--json")
    assert ended.code == 0
    assert (ended.json["passed"], ended.json["failed"], ended.json["not_built"]) == (2, 0, 1)
    assert [row["name"] for row in ended.json["rows"]] == [
        "plugin-raises",
        "replay-in-live-traffic",
        "bad-lines",
    ]
    assert ended.json["rows"][0]["injected"] == 1


def test_a_row_that_does_not_exist(run: Run) -> None:
    ended = run("selftest", "faults", "--row", "bad-line")
    assert ended.code == 2
    assert "hint: did you mean 'bad-lines'?" in ended.err


def test_a_row_that_is_not_built_cannot_be_broken(run: Run) -> None:
    ended = run("selftest", "faults", "--break", "replay-in-live-traffic")
    assert ended.code == 2
    assert "not built yet" in ended.err


@pytest.mark.parametrize("columns", [80, 140])
def test_on_a_terminal(opened: list[Terminal], columns: int) -> None:
    terminal = Terminal("selftest", "faults", *ROWS, columns=columns)
    opened.append(terminal)
    code, shown = terminal.end()
    assert code == 0
    assert "\x1b[32mpass\x1b[0m" in shown
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown).replace("\r", "")
    assert max(map(len, plain.splitlines())) <= columns
    assert "2 passed, 0 failed, 1 not built" in plain


def verdict(word: Word, *problems: str) -> Verdict:
    row = FaultRow(name="row", group="Group", fault="a " * 60, expected="b " * 40, broken="")
    return Verdict(row, "memory", word, "c " * 30, problems, 1, 0.1)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a live table shows at a width of 80, without colours."""
    monkeypatch.setenv("NO_COLOR", "1")
    verdicts = [verdict("pass"), verdict("FAIL", "d " * 30), verdict("not built")]
    table = faulttable.Live(Console(), [each.row for each in verdicts], 80)
    for each in verdicts:
        table.add(each)
    table.end(verdicts, 61.0)
    return capsys.readouterr().out.splitlines()


def test_cells_are_broken_and_nothing_is_cut(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    for letter, times in (("a", 180), ("b", 120), ("c", 90), ("d", 30)):
        assert len(re.findall(rf"\b{letter}\b", text)) == times
    assert [line.rsplit(" ", 1)[1] for line in lines if line.startswith("row ")] == ["pass", "FAIL", "built"]
    assert lines[-1] == "1 passed, 1 failed, 1 not built in 1 min 1 s"
