"""Text for people: tables, key/value lines, the ledger, and what it shows at which width."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterable, Sequence

import pytest
from rich.cells import cell_len

from tailrace import Ledger, SourcePosition
from tailrace.cli import columns, render
from tailrace.cli.columns import Side
from tailrace.cli.deadletters import HEAD, SHORTEN


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Standard output is a terminal, 40 columns wide."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((40, 24)))
    return monkeypatch


def test_a_table_is_aligned_and_numbers_are_on_the_right() -> None:
    text = render.table(("NAME", "N", "WHAT"), [("a", 1, None), ("long", 1000, True)], right=("N",))
    assert text == "NAME     N  WHAT\na        1\nlong  1000  yes"


def test_a_pipe_gets_whole_lines_and_a_terminal_gets_lines_that_fit(terminal: pytest.MonkeyPatch) -> None:
    rows = [("a", "x" * 60)]
    assert render.table(("NAME", "WHAT"), rows).splitlines()[1] == "a     " + "x" * 33 + "…"
    terminal.setattr(sys.stdout, "isatty", lambda: False)
    assert render.table(("NAME", "WHAT"), rows).splitlines()[1] == "a     " + "x" * 60


def test_a_long_value_goes_on_under_itself(terminal: pytest.MonkeyPatch) -> None:
    text = render.pairs([("name", "one two three four five six seven eight nine"), ("n", 1)])
    assert text == "name  one two three four five six seven\n      eight nine\nn     1"


def test_a_value_that_cannot_be_broken_stays_whole(terminal: pytest.MonkeyPatch) -> None:
    assert "x" * 60 in render.pairs([("name", "x" * 60)])


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert render.pairs([("name", "a\x1b[2Jb\x9bc")]) == "name  a\\x1b[2Jb\\x9bc"


def test_a_name_stays_on_its_line() -> None:
    position = SourcePosition(source="a\n\x1b[2J", number=1, offset=0, line=1)
    assert render.ledger(Ledger(sources=(position,))).endswith(
        "\na\\x0a\\x1b[2J: settled before line 1, byte 0"
    )
    assert render.table(("NAME",), [("a\nb",)]) == "NAME\na\\x0ab"


def test_a_heading_is_not_broken(terminal: pytest.MonkeyPatch) -> None:
    closer = render.table(("A" * 18, "B" * 10, "ACTIVATION"), [("a", "b", "c")])
    assert closer.splitlines()[0] == f"{'A' * 18} {'B' * 10} ACTIVATION"
    cut = render.table(("A" * 19, "B" * 10, "ACTIVATION"), [("a", "b", "x" * 20)])
    assert cut.splitlines()[0] == f"{'A' * 19} {'B' * 10}"
    assert len(cut.splitlines()[1]) == 40


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert render.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**40, "5.0 TiB")]
)
def test_sizes(number: int, text: str) -> None:
    assert render.size(number) == text


def test_one_is_counted_as_one() -> None:
    assert render.counted(1, "retry", "retries") == "1 retry"
    assert [render.counted(number, "line") for number in (0, 1, 2000)] == ["0 lines", "1 line", "2,000 lines"]
    text = render.ledger(Ledger(received=1, delivered=1, writes=1, retries=1, spooled=1, seconds=1.0))
    assert "took 1.0 s, 1 update/s\n1 write, 1 retry\n1 line taken into the spool" in text


def test_the_ledger_is_a_sum() -> None:
    ledger = Ledger(
        run=7, received=5000, delivered=1204, filtered=3790, dead_lettered=6, retries=3, writes=12,
        seconds=2.5, reasons={"no-key": 6},
        sources=(SourcePosition(source="a.jsonl", number=1, offset=123456, line=5001),),
    )  # fmt: skip
    assert render.ledger(ledger) == (
        "  5,000 received\n"
        "= 1,204 delivered\n"
        "+ 3,790 filtered\n"
        "+     6 dead-lettered\n"
        "+     0 pending\n"
        "took 2.5 s, 2,000 updates/s\n"
        "12 writes, 3 retries\n"
        "dead-lettered for no-key: 6\n"
        "a.jsonl: settled before line 5,001, byte 123,456"
    )


def test_no_term_of_the_sum_is_left_out_when_it_counts() -> None:
    """Give every count of the ledger a value of its own: the shown sum holds them all."""
    names = ["received", "generated", *(name for name, _ in render.TERMS)]
    others = {"run", "retries", "ambiguous_resends", "writes", "seconds", "sources", "warnings", "reasons"}
    others.add("spooled")
    assert {field.name for field in dataclasses.fields(Ledger)} == {*names, *others}
    text = render.ledger(Ledger(**{name: 2**place for place, name in enumerate(names)}))
    for place, name in enumerate(names):
        assert f"{2**place} {name.replace('_', '-')}" in text


LETTERS = [
    ("1-1", "hot", "no-identity", 4, "256 B", "/a/" + "long/" * 20 + "日本.jsonl", "no identity"),
    (
        "1-12",
        "hot",
        "too-large",
        17,
        "1.0 MiB",
        "b.jsonl",
        "the record is 1,048,577 bytes; the limit is less",
    ),
]


def shown(letters: Iterable[Sequence[object]]) -> str:
    """As `dead-letters list` shows them."""
    return render.table(HEAD, letters, right=("LINE", "SIZE"), shorten=SHORTEN)


def widest(text: str) -> int:
    return max(cell_len(line) for line in text.splitlines())


@pytest.mark.parametrize("room", [80, 100])
def test_every_column_of_the_dead_letters_is_there(terminal: pytest.MonkeyPatch, room: int) -> None:
    terminal.setattr("shutil.get_terminal_size", lambda: os.terminal_size((room, 24)))
    head, first, second = shown(LETTERS).splitlines()
    assert head.split() == list(HEAD)
    place = cell_len(head.partition("SOURCE")[0])
    assert cell_len(first.partition("…")[0]) == cell_len(second.partition("b.jsonl")[0]) == place
    assert "日本.jsonl  no identity" in first
    assert second.endswith("…")
    assert widest("\n".join([head, first, second])) <= room


def test_names_are_shortened_where_the_source_is_not_enough(terminal: pytest.MonkeyPatch) -> None:
    terminal.setattr("shutil.get_terminal_size", lambda: os.terminal_size((80, 24)))
    rows = [(each[0], "a" * 63, *each[2:]) for each in LETTERS]
    text = shown(rows)
    assert text.splitlines()[0].split() == list(HEAD)
    assert text.count("aaa… ") == 2
    assert widest(text) <= 80


def test_a_pipe_gets_whole_cells() -> None:
    assert LETTERS[0][5] in shown(LETTERS)


@pytest.mark.parametrize(
    ("room", "left"), [(16, "A BBBB CC D LAST"), (15, "A CC D LAST"), (10, "A D LAST"), (7, "A LAST")]
)
def test_columns_are_left_out_where_there_is_no_room(
    terminal: pytest.MonkeyPatch, room: int, left: str
) -> None:
    """Those that may be, the first one first; the others never."""
    terminal.setattr("shutil.get_terminal_size", lambda: os.terminal_size((room, 24)))
    head, rows = ("A", "BBBB", "CC", "D", "LAST"), [(1, 2, 3, 4, "x")]
    text = render.table(head, rows, where_it_fits=("BBBB", "CC", "D"))
    assert text.splitlines()[0].split() == left.split()
    assert len(text.splitlines()[1].split()) == len(left.split())
    assert widest(text) <= room
    terminal.setattr(sys.stdout, "isatty", lambda: False)
    assert render.table(head, rows, where_it_fits=("BBBB",)).split()[:5] == list(head)


def test_columns_are_as_wide_as_they_are_shown() -> None:
    text = render.table(("NAME", "WHAT"), [("日本語", "x"), ("ab", "y")])
    assert text == "NAME    WHAT\n日本語  x\nab      y"


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("text", ["abcdefghijkl", "日本語日本語", "a日b本c語d日", "e\u0301" * 12])
def test_what_is_cut_fits(text: str, side: Side) -> None:
    for width in range(1, 13):
        short = columns.cut(text, width, side)
        assert width - 1 <= cell_len(short) <= width or short == text
        kept = short.replace("…", "")
        assert text.startswith(kept) if side == "right" else text.endswith(kept)
    assert columns.cut(text, 12, side) == text
