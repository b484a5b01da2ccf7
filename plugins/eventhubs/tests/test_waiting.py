"""Calls that cannot be interrupted are not waited for any longer than they may take."""

from __future__ import annotations

import threading
import time

import pytest

from tailrace_eventhubs.waiting import OutOfTime, within


def test_results_and_errors_are_passed_on() -> None:
    assert within(5.0, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(5.0, lambda: 1 // 0)


def test_what_comes_late_is_discarded() -> None:
    go, discarded = threading.Event(), threading.Event()

    def work() -> str:
        go.wait(10.0)
        return "late"

    def discard(result: str) -> None:
        assert result == "late"
        discarded.set()

    began = time.monotonic()
    with pytest.raises(OutOfTime):
        within(0.05, work, discard)
    assert time.monotonic() - began < 2.0
    assert not discarded.is_set()
    go.set()
    assert discarded.wait(10.0)
