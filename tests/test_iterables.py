"""What Python gives to an export: lines, dictionaries, and what is neither."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

import pytest

from core.tests.updates import keys, update
from tailrace.errors import SourceUnreadable
from tests.endtoend import Site

pytestmark = pytest.mark.usefixtures("limited")

HUGE = 10**10_000
"""More digits than Python writes."""


def circle(value: dict[str, object]) -> dict[str, object]:
    value["other"] = value
    return value


def deep(value: dict[str, object]) -> dict[str, object]:
    for _ in range(20_000):
        value = {"other": value}
    return value


def test_iterables(site: Site) -> None:
    given: list[object] = [
        update(0),
        update(1).decode(),
        json.loads(update(2)),
        update(3) + b"\r\n",
        bytearray(update(4)),
        "",
        json.loads(update(5)) | {"other": "\ud800"},
        json.loads(update(7)) | {"other": None},
        json.loads(update(8)) | {"other": [float("nan"), None]},
        "\ud800",
        b"\xff",
        b"x" * 15_000,
        {},
        json.loads(update(9)) | {"other": HUGE},
        json.loads(update(10)) | {"other": [HUGE, "\ud800"]},
        circle(json.loads(update(11))),
        deep(json.loads(update(12))),
        json.loads(update(13)) | {"other": datetime(2026, 1, 1), "more": None},
        update(6),
    ]
    with site.client() as t:
        ledger = t.export("hot", iter(given), max_line_bytes=12_000)
    assert ledger.balanced
    assert (ledger.received, ledger.delivered, ledger.filtered, ledger.dead_lettered) == (18, 9, 1, 8)
    assert site.arrived() == sorted(f"id-{number}" for number in (0, 1, 2, 3, 4, 6, 7, 9, 13))
    reasons = ["lone-surrogate", "invalid-json", "invalid-utf8", "invalid-utf8", "line-too-long"]
    reasons += ["lone-surrogate", "invalid-json", "invalid-json"]
    assert [letter.reason for letter in site.letters()] == reasons
    assert [letter.line for letter in site.letters()] == [7, 9, 10, 11, 12, 15, 16, 17]
    assert site.letters()[-1].original == b"a dict that holds itself, or is nested too deep, is not JSON"


def test_a_huge_number_of_an_iterable_is_exported_as_it_is(site: Site) -> None:
    name = {"person": {"name": {"firstName": HUGE}}}
    with site.client() as t:
        assert t.export("hot", [json.loads(update(1)) | name]).delivered == 1
    assert b'"firstName":1' + b"0" * 10_000 + b"}" in site.stream()[0].data


@pytest.mark.parametrize("end", ["raises", "gives a set"])
def test_an_iterable_that_breaks(site: Site, end: str) -> None:
    """What came before is delivered."""

    def lines() -> Iterator[object]:
        for number in range(10):
            yield update(number)
        if end == "raises":
            raise ValueError("canary-person")
        yield {1 + 2j}

    with site.client() as t:
        with pytest.raises(SourceUnreadable) as caught:
            t.export("hot", lines())
        [run] = t.runs.list()
    assert caught.value.ledger == run.ledger
    assert (run.exit_code, run.ledger.received, run.ledger.delivered) == (8, 10, 10)
    assert "canary" not in str(caught.value) + str(caught.value.hint) + str(run.error)
    assert site.arrived() == keys(10)
