"""HTTP connections that know what they are used for: which attempt, and which addresses are allowed.

botocore's own connection classes with three additions: the peer's address is checked before a byte
is sent, the socket is shown to the attempt's deadline, and the attempt learns how far the request got.
"""

from __future__ import annotations

import time
from typing import Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

from tailrace_kinesis.addresses import check_peer
from tailrace_kinesis.deadlines import current


class _Reporting:
    """Mixed into both connection classes."""

    sock: Any
    proxy: Any
    scheme = "http"
    _used_at: float | None = None

    def connect(self) -> None:
        self._used_at = None
        super().connect()  # type: ignore[misc]
        attempt = current()
        if attempt is None:
            return
        if self.proxy is None:
            try:
                check_peer(self.scheme, self.sock.getpeername()[0])
            except ValueError as refusal:
                attempt.refusal = refusal
                self.close()  # type: ignore[attr-defined]
                raise
        attempt.hold(self.sock)

    def request(self, *arguments: Any, **options: Any) -> None:
        attempt = current()
        if attempt is not None:
            attempt.idle_for = None if self._used_at is None else time.monotonic() - self._used_at
            attempt.progress = "sending"
            if self.sock is not None:
                attempt.hold(self.sock)
        super().request(*arguments, **options)  # type: ignore[misc]
        if attempt is not None:
            attempt.progress = "sent"

    def getresponse(self) -> Any:
        response = super().getresponse()  # type: ignore[misc]
        self._used_at = time.monotonic()
        if (attempt := current()) is not None:
            attempt.answered = True
        return response


class _PlainConnection(_Reporting, AWSHTTPConnection):  # type: ignore[misc]
    scheme = "http"


class _TlsConnection(_Reporting, AWSHTTPSConnection):  # type: ignore[misc]
    scheme = "https"


class PlainPool(AWSHTTPConnectionPool):
    ConnectionCls = _PlainConnection


class TlsPool(AWSHTTPSConnectionPool):
    ConnectionCls = _TlsConnection
