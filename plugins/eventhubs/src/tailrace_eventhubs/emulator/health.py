"""`GET /health`, as the official emulator answers it: 200 when the service is healthy, 503 when it is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

_SECONDS = 5.0
_HEAD_LIMIT = 16_384
_BODIES = {
    True: {"status": "healthy", "message": "Service is healthy."},
    False: {"status": "unhealthy", "message": "Service not available. Please try after some time."},
}


async def serve_health(
    healthy: Callable[[], bool], *, host: str = "127.0.0.1", port: int = 0
) -> asyncio.Server:
    """Listen, and ask `healthy` at every request. The caller closes the server; its socket tells the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_SECONDS):
                writer.write(_answer(await _head(reader), healthy))
                await writer.drain()
        with suppress(OSError):
            writer.close()
            await writer.wait_closed()

    return await asyncio.start_server(serve, host, port, limit=_HEAD_LIMIT)


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return b""


def _answer(head: bytes, healthy: Callable[[], bool]) -> bytes:
    method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
    target, _, version = rest.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        return _response(HTTPStatus.BAD_REQUEST)
    if target.partition(b"?")[0] != b"/health":
        return _response(HTTPStatus.NOT_FOUND)
    if method not in (b"GET", b"HEAD"):
        return _response(HTTPStatus.METHOD_NOT_ALLOWED, extra="Allow: GET, HEAD\r\n")
    well = healthy()
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    body = json.dumps(_BODIES[well], separators=(",", ":")).encode()
    return _response(status, body, send_body=method == b"GET")


def _response(status: HTTPStatus, body: bytes = b"", *, extra: str = "", send_body: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{extra}Connection: close\r\n\r\n"
    )
    return head.encode() + (body if send_body else b"")
