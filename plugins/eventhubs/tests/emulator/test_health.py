"""`GET /health`, as a container's health check asks it."""

from __future__ import annotations

import asyncio
import json

import pytest

from tailrace_eventhubs.emulator.health import serve_health

HEALTHY = b'{"status":"healthy","message":"Service is healthy."}'


async def ask(raw: bytes, *, healthy: bool = True, finish: bool = False) -> tuple[bytes, bytes]:
    server = await serve_health(lambda: healthy)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(raw)
        if finish:
            writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def get(target: str, method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def test_healthy() -> None:
    head, body = asyncio.run(ask(get("/health")))
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and b"Content-Type: application/json" in head
    assert body == HEALTHY


def test_unhealthy() -> None:
    head, body = asyncio.run(ask(get("/health"), healthy=False))
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert json.loads(body)["status"] == "unhealthy"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (get("/"), b"404"),
        (get("/health?x=1"), b"200"),
        (get("/healthy"), b"404"),
        (get("/health", "POST"), b"405"),
        (get("/health", "HEAD"), b"200"),
        (b"AMQP\x00\x01\x00\x00\r\n\r\n", b"400"),
        (b"GET /health\r\n\r\n", b"400"),
        (b"\x00" * 20_000 + b"\r\n\r\n", b"400"),
    ],
)
def test_other_requests(raw: bytes, status: bytes) -> None:
    head, _ = asyncio.run(ask(raw))
    assert head.split(b" ")[1] == status


def test_a_head_request_gets_no_body() -> None:
    head, body = asyncio.run(ask(get("/health", "HEAD")))
    assert f"Content-Length: {len(HEALTHY)}".encode() in head and body == b""


def test_a_connection_that_ends_early_gets_nothing() -> None:
    assert asyncio.run(ask(b"GET /hea", finish=True)) == (b"", b"")
