"""Many keys at once hash as each alone."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace_eventhubs.hashing import hash16, partition_of
from tailrace_eventhubs.hashmany import FEW, magnitudes, partitions_of

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(deadline=None)
@given(st.lists(texts, max_size=60), st.integers(1, 2048))
def test_any_keys(keys: list[str], partitions: int) -> None:
    assert partitions_of(keys, partitions) == [partition_of(key, partitions) for key in keys]


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(FEW + 1, 40), st.integers())
def test_many_keys_of_one_length(length: int, count: int, seed: int) -> None:
    draw = Random(seed).randrange
    keys = ["".join(chr(draw(128)) for _ in range(length)) for _ in range(count)]
    assert magnitudes(keys) == [abs(hash16(key)) for key in keys]


@pytest.mark.parametrize("length", range(1, 61))
def test_the_largest_values_do_not_carry_into_their_neighbours(length: int) -> None:
    keys = [chr(0x7F) * length, "\x00" * length, *("\x7f\x00"[n % 2] * length for n in range(40))]
    assert magnitudes(keys) == [abs(hash16(key)) for key in keys]


def test_the_empty_key_is_zero() -> None:
    assert magnitudes(["", "a", ""]) == [0, abs(hash16("a")), 0]


def test_a_key_that_is_no_text_has_a_place() -> None:
    assert 0 <= partitions_of(["\ud800"], 4)[0] < 4
