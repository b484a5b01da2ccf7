"""Where a consumer starts, for every selector that the SDK writes."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from azure.eventhub._utils import event_position_selector
from hypothesis import given
from hypothesis import strategies as st

from tailrace_eventhubs.emulator.filters import EARLIEST, InvalidFilter, Start


@dataclass(frozen=True)
class Log:
    """Event n has offset 100 n and the n-th time."""

    begin: int
    times: list[int]

    @property
    def end(self) -> int:
        return self.begin + len(self.times)

    def at_offset(self, offset: int) -> int:
        return max(self.begin, -(-offset // 100))

    def at_time(self, milliseconds: int) -> int:
        return self.begin + bisect_left(self.times, milliseconds)


LOG = Log(10, [1000, 2000, 2000, 3000])
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def first(value: str | int | datetime, inclusive: bool = False) -> int:
    return Start.parse(event_position_selector(value, inclusive)).first(LOG)


@pytest.mark.parametrize(
    ("value", "after", "inclusive"),
    [
        ("-1", 10, 10),
        ("@latest", 14, 13),
        ("1100", 12, 11),
        ("1150", 12, 12),
        ("1300", 14, 13),
        ("999999", 14, 14),
        ("0", 10, 10),
        (11, 12, 11),
        (-1, 10, 10),
        (99, 14, 14),
        (EPOCH + timedelta(seconds=2), 13, 11),
        (EPOCH + timedelta(seconds=1.5), 11, 11),
        (EPOCH, 10, 10),
        (EPOCH + timedelta(days=1), 14, 14),
    ],
)
def test_the_first_event(value: str | int | datetime, after: int, inclusive: int) -> None:
    assert (first(value), first(value, True)) == (after, inclusive)


def test_without_a_filter_all_there_is() -> None:
    assert Start.parse(None) == EARLIEST
    assert EARLIEST.first(LOG) == 10


@pytest.mark.parametrize("value", ["-1", "@latest", 5])
@pytest.mark.parametrize("inclusive", [True, False])
def test_an_empty_partition_starts_at_its_end(value: str | int, inclusive: bool) -> None:
    empty = Log(7, [])
    assert Start.parse(event_position_selector(value, inclusive)).first(empty) == 7


@pytest.mark.parametrize(
    "selector",
    [
        "",
        "x",
        "amqp.annotation.x-opt-offset = '1'",
        "amqp.annotation.x-opt-offset > '",
        "amqp.annotation.x-opt-offset > 'abc'",
        "amqp.annotation.x-opt-sequence-number > '@latest'",
        "amqp.annotation.x-opt-enqueued-time > '1e3'",
        "amqp.annotation.x-opt-partition-key > '1'",
        "amqp.annotation.x-opt-offset > '1' OR 1=1",
        "amqp.annotation.x-opt-offset > '" + "9" * 5000 + "'",
        b"\xff",
    ],
)
def test_a_selector_that_is_not_known(selector: str | bytes) -> None:
    with pytest.raises(InvalidFilter):
        Start.parse(selector)


@given(st.integers(-5, 30), st.booleans())
def test_a_sequence_number_starts_at_or_after_itself(number: int, inclusive: bool) -> None:
    expected = [n for n in range(10, 14) if n > number or (inclusive and n == number)]
    assert first(number, inclusive) == (expected[0] if expected else 14)
