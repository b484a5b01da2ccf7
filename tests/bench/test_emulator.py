"""The embedded Event Hubs takes events faster than what it is there to test sends them."""

from __future__ import annotations

import pytest

from tests.bench.emulator import measure


@pytest.mark.slow
@pytest.mark.parametrize(("size", "each", "least"), [(1000, 961, 60_000), (100, 9090, 150_000)])
def test_the_emulator_is_fast_enough_to_test_with(size: int, each: int, least: int) -> None:
    measured = measure(size, each, 1.0)
    assert measured.events / measured.seconds > least
    assert measured.server_rss < 400 << 20  # four partitions with 64 MiB each are kept


def test_a_measurement_counts_what_was_stored() -> None:
    measured = measure(100, 10, 0.1)
    assert measured.events == measured.stored
