"""The partition of a key is the service's: the other clients' test vectors, and the SDK's own hash."""

from __future__ import annotations

import pytest
from azure.eventhub._buffered_producer._partition_resolver import generate_hash_code
from hypothesis import example, given
from hypothesis import strategies as st

from tailrace_eventhubs.hashing import hash16, partition_of


def of_the_sdk(key: str) -> int:
    return int(generate_hash_code(key))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("7", -15263),
        ("131", 30562),
        ("FWfAT", -22341),
        ("$0cb", 26269),
        ("!c*_!I@1^c", 15372),
        ("p4*!jioeO/z-!-;w:dh", -3104),
        ("-4189260826195535198", 453),
        ("", 0),
    ],
)
def test_hashes_that_are_known(key: str, expected: int) -> None:
    assert hash16(key) == expected


@pytest.mark.parametrize(
    ("key", "partitions", "expected"),
    [("alphabet", 3, 0), ("alphabet", 11, 4), ("TheBestParitionEver", 4, 2), ("TheWorstParitionEver", 15, 1)],
)
def test_partitions_that_are_known(key: str, partitions: int, expected: int) -> None:
    """What the service's own code answers, as the tests of the JavaScript client record it."""
    assert partition_of(key, partitions) == expected


@given(st.binary(max_size=200))
@example(b"")
@example(bytes(12))
@example(bytes(24))
@example(b"\xff" * 25)
def test_the_hash_is_the_sdks_for_every_string_of_bytes(data: bytes) -> None:
    assert hash16(data) == of_the_sdk(data.decode("latin-1"))


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=60))
def test_the_hash_of_an_ascii_key_is_the_sdks(key: str) -> None:
    assert hash16(key) == hash16(key.encode()) == of_the_sdk(key)


@given(st.text(max_size=40))
def test_a_key_is_hashed_as_utf_8(key: str) -> None:
    assert hash16(key) == of_the_sdk(key.encode().decode("latin-1"))


@given(st.binary(max_size=40), st.integers(1, 2048))
def test_the_remainder_goes_towards_zero(key: bytes, partitions: int) -> None:
    """In the range, the same for both signs of a hash; unlike Python's own remainder, as the module says."""
    assert 0 <= partition_of(key, partitions) < partitions
    assert partition_of(key, partitions) == abs(hash16(key)) % partitions
