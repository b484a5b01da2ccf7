"""Endpoint URLs: https anywhere, http to this machine, metadata services never."""

from __future__ import annotations

import socket

import pytest

from plugins.kinesis.tests.kit import batch, exporting
from tailrace import Misconfigured
from tailrace_kinesis.addresses import check_endpoint, check_peer, check_proxy, check_resolved
from tailrace_kinesis.fakeserver import KinesisServer

GOOD = [
    "https://kinesis.eu-west-1.amazonaws.com",
    "https://vpce-1-2.kinesis.eu-west-1.vpce.amazonaws.com",
    "https://10.0.0.7:4567",
    "https://[fd12:3456::1]",
    "https://internal_host.example:8443/base/",
    "http://localhost:4566",
    "http://LOCALHOST",
    "http://127.0.0.1:1",
    "http://127.8.9.10",
    "http://[::1]:4567",
    "http://2130706433:4567",
    "http://0x7f.1",
]
BAD = [
    "",
    "kinesis.eu-west-1.amazonaws.com",
    "ftp://localhost",
    "file:///etc/passwd",
    "https://",
    "https://:443",
    "https://host:0",
    "https://host:99999",
    "https://host:port",
    "https://[::1",
    "https://user:canary@host",
    "https://user@host",
    "https://host?query",
    "https://host#part",
    "https://ho st",
    "https://host\\@evil.example",
    "https://кинезис.example",
    "https://１６９.254.169.254",
    "http://example.com",
    "http://10.0.0.7",
    "http://0.0.0.0",
    "http://[::]",
    "http://localhost.example.com",
    "http://127.0.0.1.example.com",
    "https://169.254.169.254",
    "https://169.254.170.2/v2/credentials",
    "https://169.254.0.1",
    "https://2852039166",
    "https://0xA9FEA9FE",
    "https://0xa9.0xfe.0xa9.0xfe",
    "https://0251.0376.0251.0376",
    "https://025177524776",
    "https://169.254.43518",
    "https://169.16689662",
    "https://[::ffff:169.254.169.254]",
    "https://[::ffff:a9fe:a9fe]",
    "https://[::169.254.169.254]",
    "https://[64:ff9b::a9fe:a9fe]",
    "https://[2002:a9fe:a9fe::]",
    "https://[fe80::1]",
    "https://[fe80::1%25eth0]",
    "https://[fd00:ec2::254]",
    "https://[fd00:ec2::23]",
    "https://100.100.100.200",
    "https://168.63.129.16",
    "https://192.0.0.192",
    "https://metadata.google.internal",
    "https://METADATA.google.internal.",
    "https://instance-data",
    "http://169.254.169.254",
    "http://metadata.google.internal",
]


@pytest.mark.parametrize("url", GOOD)
def test_allowed(url: str) -> None:
    assert check_endpoint(url) == url.rstrip("/")


@pytest.mark.parametrize("url", BAD)
def test_refused(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_endpoint(url)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "peer"),
    [
        ("https", "169.254.169.254"),
        ("https", "::ffff:169.254.169.254"),
        ("https", "fe80::1%eth0"),
        ("https", "fd00:ec2::254"),
        ("http", "10.0.0.7"),
        ("http", "169.254.169.254"),
    ],
)
def test_a_name_may_not_lead_where_a_number_may_not(scheme: str, peer: str) -> None:
    with pytest.raises(ValueError):
        check_peer(scheme, peer)


def test_a_name_may_lead_into_a_private_network() -> None:
    check_peer("https", "10.0.0.7")
    check_peer("http", "127.0.0.1")
    check_peer("http", "::1")


def resolving_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def answer(host: str, port: object, *_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def test_every_answer_of_the_resolver_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving_to(monkeypatch, "10.0.0.7", "169.254.169.254")
    with pytest.raises(ValueError):
        check_resolved("https://rebind.example")


def test_a_name_that_leads_to_metadata_stops_the_run_before_a_request(
    server: KinesisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving_to(monkeypatch, "169.254.169.254")
    with (
        pytest.raises(Misconfigured, match="metadata"),
        exporting(None, endpoint_url="https://rebind.example"),
    ):
        pass


def test_a_name_that_changes_its_mind_is_caught_at_the_connection(
    server: KinesisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check looks at the peer of the socket, so a resolver cannot answer twice."""
    monkeypatch.setattr(
        "tailrace_kinesis.connections.check_peer", lambda scheme, peer: check_peer(scheme, "169.254.1.1")
    )
    with exporting(server) as exporter, pytest.raises(Misconfigured, match="metadata"):
        exporter.write(batch(1))
    assert server.calls == []


@pytest.mark.parametrize("url", ["http://proxy.example:3128", "https://10.1.2.3:8080", "http://localhost:1"])
def test_a_proxy(url: str) -> None:
    assert check_proxy(url) == url


@pytest.mark.parametrize(
    "url", ["proxy:3128", "socks5://proxy", "http://", "http://u:canary@proxy:1", "http://169.254.169.254:80"]
)
def test_not_a_proxy(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_proxy(url)
    assert "canary" not in str(caught.value)
