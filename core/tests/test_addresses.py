"""Which hosts a destination may connect to, however they are written."""

from __future__ import annotations

import pytest

from tailrace import check_host, check_peer

ANYWHERE = [
    "stream.eu-west-1.example.com",
    "10.0.0.7",
    "fd12:3456::1",
    "internal_host.example",
    "localhost",
    "example.com.",
]
HERE = [
    "localhost",
    "LOCALHOST",
    "127.0.0.1",
    "127.8.9.10",
    "::1",
    "2130706433",
    "0x7f.1",
    "::ffff:127.0.0.1",
]
ELSEWHERE = ["example.com", "10.0.0.7", "0.0.0.0", "::", "localhost.example.com", "127.0.0.1.example.com"]
NEVER = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.0.1",
    "2852039166",
    "0xA9FEA9FE",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "025177524776",
    "169.254.43518",
    "169.16689662",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "metadata.google.internal",
    "METADATA.google.internal.",
    "metadata.goog",
    "instance-data",
]
NO_HOST = ["", ".", "ho st", "a\\b", "canary/", "кинезис.example", "１６９.254.169.254", "-a", "user@host"]


@pytest.mark.parametrize("host", ANYWHERE)
def test_with_tls_anywhere(host: str) -> None:
    assert check_host(host, encrypted=True) == host.rstrip(".")


@pytest.mark.parametrize("host", HERE)
def test_plain_on_this_machine(host: str) -> None:
    assert check_host(host, encrypted=False) == host.lower()


@pytest.mark.parametrize("host", ELSEWHERE)
def test_plain_nowhere_else(host: str) -> None:
    check_host(host, encrypted=True)
    with pytest.raises(ValueError, match="this machine only"):
        check_host(host, encrypted=False)


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("host", NEVER)
def test_never(host: str, encrypted: bool) -> None:
    with pytest.raises(ValueError, match="never"):
        check_host(host, encrypted=encrypted)


@pytest.mark.parametrize("host", NO_HOST)
def test_no_host(host: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_host(host, encrypted=True)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("peer", "encrypted"),
    [
        ("169.254.169.254", True),
        ("::ffff:169.254.169.254", True),
        ("fe80::1%eth0", True),
        ("fd00:ec2::254", True),
        ("10.0.0.7", False),
        ("169.254.169.254", False),
    ],
)
def test_a_name_may_not_lead_where_a_number_may_not(peer: str, encrypted: bool) -> None:
    with pytest.raises(ValueError):
        check_peer(peer, encrypted=encrypted)


def test_a_name_may_lead_into_a_private_network() -> None:
    check_peer("10.0.0.7", encrypted=True)
    check_peer("127.0.0.1", encrypted=False)
    check_peer("::1", encrypted=False)
