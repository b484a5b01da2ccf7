"""Connections that fail in every way, and that every write ends in time."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.kinesis.tests.kit import KEY, SECRET, all_ambiguous, batch, exporting, numbers
from plugins.kinesis.tests.network import certificate
from tailrace import Misconfigured, NotConnected, Transient
from tailrace_kinesis import http
from tailrace_kinesis.fakeserver import Drip, FailRecords, KinesisServer, Raw, Refuse, Silence, Stream
from tailrace_kinesis.fakeserver.network import (
    Proxy,
    break_after_request,
    free_port,
    head,
    listening,
    request,
    reset,
)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[KinesisServer, Path]]:
    """A server with TLS, and the certificate to trust."""
    context, trusted = certificate(tmp_path)
    with KinesisServer(streams={"hot-leads": Stream()}, credentials={KEY: SECRET}, tls=context) as server:
        yield server, trusted


def test_nobody_listens() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with exporting(None, endpoint_url=url) as exporter, pytest.raises(NotConnected, match="refused"):
        exporter.write(batch(1))


def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    with exporting(None) as exporter, pytest.raises(NotConnected, match="resolved"):
        exporter.write(batch(1))


def test_too_few_open_files_are_not_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    url = f"http://127.0.0.1:{free_port()}"
    with exporting(None, endpoint_url=url) as exporter:
        monkeypatch.setattr(socket, "socket", nothing)
        with pytest.raises(NotConnected, match="too many open files") as caught:
            exporter.write(batch(1))
    assert "ulimit -n" in (caught.value.hint or "")


def test_a_connection_that_breaks_before_the_answer() -> None:
    with (
        listening(break_after_request) as port,
        exporting(None, endpoint_url=f"http://127.0.0.1:{port}") as exporter,
        pytest.raises(Transient) as caught,
    ):
        exporter.write(batch(1))
    assert caught.value.ambiguous


@pytest.mark.parametrize(
    "garbage",
    [b"SSH-2.0-OpenSSH\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Len", b"\x15\x03\x01\x00\x02\x02\x16"],
)
def test_something_that_does_not_speak_http(garbage: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        request(connection)
        connection.sendall(garbage)

    with listening(serve) as port, exporting(None, endpoint_url=f"http://127.0.0.1:{port}") as exporter:
        assert all_ambiguous(exporter, batch(1))


def test_an_answer_that_ends_early(server: KinesisServer) -> None:
    server.script("PutRecords", Raw(b'{"FailedRec', 200, {"Content-Length": "11"}, accept=True))
    with exporting(server) as exporter:
        result = exporter.write(batch(2))
    assert {f.kind for f in result.failures.values()} == {"ambiguous"}


@pytest.mark.parametrize("fault", [Silence(), Silence(accept=True), Drip(0.05, accept=True)])
def test_a_write_ends_in_time(server: KinesisServer, fault: Silence | Drip) -> None:
    server.script("PutRecords", fault)
    with exporting(server, write_timeout=1.0) as exporter:
        began = time.monotonic()
        assert all_ambiguous(exporter, batch(200))
        assert time.monotonic() - began < 1.0
        assert exporter.write(batch(2)).failures == {}


def test_a_head_that_drips_ends_in_time() -> None:
    """The timeout of a socket never strikes here: a byte arrives every 50 ms."""
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        request(connection)
        while not ended.wait(0.05):
            connection.sendall(b"H")

    with (
        listening(serve) as port,
        exporting(None, endpoint_url=f"http://127.0.0.1:{port}", write_timeout=1.0) as exporter,
    ):
        began = time.monotonic()
        with pytest.raises(Transient, match="in time") as caught:
            exporter.write(batch(1))
        assert caught.value.ambiguous
        assert time.monotonic() - began < 1.0
        ended.set()


def test_a_search_that_runs_out_of_time_keeps_what_it_knows(server: KinesisServer) -> None:
    server.streams["hot-leads"] = Stream(record_limit=2000)
    server.script("PutRecords", None, None, Silence(), Silence(), Silence())
    with exporting(server, write_timeout=1.0) as exporter:
        result = exporter.write(batch(8, large={7: 3000}))
    assert numbers(server)[:4] == [0, 1, 2, 3]
    assert set(result.failures) == {4, 5, 6, 7}
    assert {f.kind for f in result.failures.values()} <= {"ambiguous", "retry", "rejected"}


def test_a_silent_stream_description_does_not_stop_an_export(
    server: KinesisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script("DescribeStreamSummary", Silence())
    with exporting(server, write_timeout=0.6) as exporter:
        assert exporter.write(batch(2)).failures == {}


@pytest.mark.parametrize(
    "fault", [Refuse("AccessDeniedException"), Refuse("x", status=500), Raw(b"{}"), Raw(b"nope")]
)
def test_a_stream_that_may_not_be_described(server: KinesisServer, fault: Refuse | Raw) -> None:
    server.script("DescribeStreamSummary", fault)
    with exporting(server) as exporter:
        assert exporter.write(batch(2)).failures == {}


def test_a_stream_that_does_not_exist(server: KinesisServer) -> None:
    with pytest.raises(Misconfigured) as caught, exporting(server, stream="cold-leads"):
        pass
    assert "'cold-leads' in region eu-west-1 of account 123456789012" in caught.value.message
    assert server.calls_of("PutRecords") == []


class HalfOpen:
    """Answers once on each connection, and resets it when the next request has come."""

    def __init__(self) -> None:
        self.requests = 0

    def serve(self, connection: socket.socket) -> None:
        answer = b'{"FailedRecordCount":0,"Records":[{"SequenceNumber":"1","ShardId":"s"}]}'
        if request(connection):
            self.requests += 1
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))
        if request(connection):
            self.requests += 1
            reset(connection)


def test_a_pooled_connection_that_died_while_idle_is_replaced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "IDLE_SECONDS", 0.0)
    peer = HalfOpen()
    with listening(peer.serve) as port, exporting(None, endpoint_url=f"http://127.0.0.1:{port}") as exporter:
        assert exporter.write(batch(1)).failures == {}  # begins on the connection of the description
    assert peer.requests == 3


def test_a_busy_connection_that_dies_is_ambiguous() -> None:
    peer = HalfOpen()
    with listening(peer.serve) as port, exporting(None, endpoint_url=f"http://127.0.0.1:{port}") as exporter:
        with pytest.raises(Transient) as caught:
            exporter.write(batch(1))
        assert caught.value.ambiguous
    assert peer.requests == 2


def test_a_request_that_could_not_be_sent_whole_was_not_accepted() -> None:
    def serve(connection: socket.socket) -> None:
        head(connection)
        reset(connection)

    with (
        listening(serve) as port,
        exporting(None, endpoint_url=f"http://127.0.0.1:{port}") as exporter,
        pytest.raises(NotConnected, match="before the request was sent"),
    ):
        exporter.write(batch(4, large=dict.fromkeys(range(4), 2_000_000)))


def test_own_certificate_authority(
    secure: tuple[KinesisServer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, trusted = secure
    with exporting(server, ca_bundle=str(trusted)) as exporter:
        assert exporter.write(batch(3)).failures == {}
    monkeypatch.setenv("AWS_CA_BUNDLE", str(trusted))
    with exporting(server) as exporter:
        assert exporter.write(batch(3)).failures == {}


def test_a_certificate_that_is_not_trusted(secure: tuple[KinesisServer, Path]) -> None:
    server, _ = secure
    with exporting(server) as exporter, pytest.raises(Misconfigured, match="not trusted") as caught:
        exporter.write(batch(1))
    assert "ca_bundle" in str(caught.value.hint)
    assert server.calls == []


@pytest.mark.parametrize("wrong", [{"host": "127.0.0.2"}, {"expired": True}])
def test_a_certificate_of_another_host_or_time(tmp_path: Path, wrong: dict[str, object]) -> None:
    context, trusted = certificate(tmp_path, **wrong)  # type: ignore[arg-type]
    with (
        KinesisServer(tls=context) as server,
        exporting(server, ca_bundle=str(trusted)) as exporter,
        pytest.raises(Misconfigured, match=r"not trusted|not for this host"),
    ):
        exporter.write(batch(1))


def test_tls_to_a_port_without(server: KinesisServer) -> None:
    url = server.url.replace("http://", "https://")
    with (
        exporting(None, endpoint_url=url, write_timeout=3.0) as exporter,
        pytest.raises(Misconfigured, match="TLS"),
    ):
        exporter.write(batch(1))


def test_a_ca_bundle_that_is_missing(server: KinesisServer) -> None:
    with pytest.raises(Misconfigured, match="/nowhere"), exporting(server, ca_bundle="/nowhere"):
        pass


def test_a_ca_bundle_that_holds_no_certificate(secure: tuple[KinesisServer, Path], tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    with (
        exporting(secure[0], ca_bundle=str(empty)) as exporter,
        pytest.raises(Misconfigured, match="TLS") as caught,
    ):
        exporter.write(batch(1))
    assert "CA bundle" in str(caught.value.hint)


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:notaport", "http://[::1"])
def test_a_proxy_that_cannot_be_used(
    secure: tuple[KinesisServer, Path], proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with exporting(secure[0]) as exporter, pytest.raises(Misconfigured, match="proxy"):
        exporter.write(batch(1))


def test_a_proxy_for_plain_http(server: KinesisServer) -> None:
    proxy = Proxy()
    with (
        listening(proxy.serve) as port,
        exporting(server, proxy=f"http://127.0.0.1:{port}") as exporter,
    ):
        assert exporter.write(batch(3)).failures == {}
    assert proxy.first_lines[0].startswith(b"POST http://127.0.0.1:")


def test_a_tunnel_from_the_environment(
    secure: tuple[KinesisServer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, trusted = secure
    proxy = Proxy()
    with listening(proxy.serve) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:canary-password@127.0.0.1:{port}")
        with exporting(server, ca_bundle=str(trusted)) as exporter:
            assert exporter.write(batch(3)).failures == {}
        assert proxy.first_lines[0].startswith(b"CONNECT ")
        used = len(proxy.first_lines)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with exporting(server, ca_bundle=str(trusted)) as exporter:
            assert exporter.write(batch(3)).failures == {}
        assert len(proxy.first_lines) == used


def test_a_proxy_that_wants_a_password(secure: tuple[KinesisServer, Path], server: KinesisServer) -> None:
    proxy = Proxy(denies=True)
    with listening(proxy.serve) as port:
        for target in (secure[0], server):
            with (
                exporting(target, proxy=f"http://127.0.0.1:{port}", ca_bundle=str(secure[1])) as exporter,
                pytest.raises(Misconfigured, match="407"),
            ):
                exporter.write(batch(1))


def test_a_proxy_that_breaks_after_the_request_is_ambiguous(server: KinesisServer) -> None:
    with (
        listening(break_after_request) as port,
        exporting(server, proxy=f"http://127.0.0.1:{port}") as exporter,
        pytest.raises(Transient) as caught,
    ):
        exporter.write(batch(1))
    assert caught.value.ambiguous


def test_a_proxy_that_is_not_there(secure: tuple[KinesisServer, Path]) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    with (
        exporting(secure[0], proxy=proxy, ca_bundle=str(secure[1])) as exporter,
        pytest.raises(NotConnected, match="proxy"),
    ):
        exporter.write(batch(1))


def test_eight_threads_share_one_exporter(server: KinesisServer) -> None:
    from concurrent.futures import ThreadPoolExecutor

    server.script("PutRecords", FailRecords({0: "InternalFailure"}))
    with exporting(server) as exporter, ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: exporter.write(batch(50)), range(40)))
    assert sum(len(result.failures) for result in results) == 1
    assert len(server.accepted()) == 40 * 50 - 1


def test_close_ends_the_threads(server: KinesisServer) -> None:
    before = set(threading.enumerate())
    with exporting(server) as exporter:
        exporter.write(batch(1))
        assert any(thread.name == "kinesis-deadlines" for thread in threading.enumerate())
    assert not [t for t in set(threading.enumerate()) - before if t.name == "kinesis-deadlines"]
