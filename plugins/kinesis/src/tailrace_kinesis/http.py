"""Signed POSTs to one URL: botocore signs and sends, and each way to fail becomes one of our errors.

Nothing is retried here, with one exception: a pooled connection that turns out to be dead before the
whole request was sent, or after it lay idle, is replaced once, as nothing was read from it.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import (
    BotoCoreError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    SSLError,
)
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from tailrace import Misconfigured, NotConnected, TailraceError, Transient
from tailrace_kinesis.answers import Answer
from tailrace_kinesis.connections import PlainPool, TlsPool
from tailrace_kinesis.deadlines import Attempt

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 5.0
"""A pooled connection that lay idle for longer may have been closed by the peer in the meantime."""

FILES = "too many open files"
LIMIT = "the limit of open files is too low: `ulimit -n` shows it, `ulimit -n 1024` raises it"

_SOCKET_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]


class HttpClient:
    """A pool of connections to one URL, shared by the threads of an export."""

    def __init__(
        self,
        url: str,
        *,
        service: str,
        region: str,
        connections: int,
        read_seconds: float,
        ca_bundle: str | None = None,
        proxy: str | None = None,
    ) -> None:
        self.url = url
        self.service = service
        self.region = region
        self._where = f"{service} at {urlsplit(url).netloc}"
        self._session = URLLib3Session(
            verify=_verify(ca_bundle),
            proxies=get_environ_proxies(url) if proxy is None else {"http": proxy, "https": proxy},
            timeout=(min(CONNECT_SECONDS, read_seconds), read_seconds),  # type: ignore[arg-type]
            max_pool_connections=connections,
            socket_options=_SOCKET_OPTIONS,  # type: ignore[arg-type]
        )
        self._session._pool_classes_by_scheme.update(http=PlainPool, https=TlsPool)  # type: ignore[attr-defined]

    def post(self, body: bytes, headers: Mapping[str, str], credentials: Any, attempt: Attempt) -> Answer:
        """Send one request.

        Raises NotConnected where nothing of it can have been processed, Transient(ambiguous) where
        it may have been, Misconfigured for trouble with TLS, a proxy or an address.
        """
        request = AWSRequest(method="POST", url=self.url, data=body, headers=dict(headers))
        SigV4Auth(credentials, self.service, self.region).add_auth(request)
        prepared = request.prepare()
        for last in (False, True):
            attempt.begin()
            try:
                answer = self._session.send(prepared)
                return Answer(answer.status_code, answer.headers, answer.content)
            except BotoCoreError as error:
                if not last and _was_dead(attempt):
                    self._session.close()  # empties the pool, so that the next connection is fresh
                    continue
                raise self._translate(error, attempt) from None
            finally:
                attempt.hold(None)
        raise AssertionError("the loop returns or raises")

    def close(self) -> None:
        self._session.close()

    def _translate(self, error: BotoCoreError, attempt: Attempt) -> TailraceError:
        where = self._where
        if attempt.refusal is not None:
            return Misconfigured(f"{where}: {attempt.refusal}", hint="check the endpoint URL")
        if attempt.expired:
            return Transient(f"{where}: no whole answer in time", ambiguous=attempt.progress == "sent")
        if isinstance(error, ProxyConnectionError) and attempt.progress != "sent":
            return _proxy_error(error, where)
        if isinstance(error, (EndpointConnectionError, ConnectTimeoutError)):
            reason = _reason(error)
            advice = "check the network, the region and the endpoint URL"
            return NotConnected(f"{where}: {reason}", hint=LIMIT if reason == FILES else advice)
        if attempt.progress == "idle" or isinstance(error, SSLError):
            return _before_request(error, where, attempt)
        if attempt.progress == "sending":
            return NotConnected(f"{where}: the connection broke before the request was sent")
        return Transient(f"{where}: the connection broke or fell silent before the answer", ambiguous=True)


def _was_dead(attempt: Attempt) -> bool:
    """Whether the connection came from the pool and had died there, as far as can be known. A
    request that was sent whole over a busy connection may have been processed: that is ambiguous."""
    if attempt.idle_for is None or attempt.expired:
        return False
    return attempt.progress == "sending" or (
        attempt.idle_for > IDLE_SECONDS and attempt.left > 0 and not attempt.answered
    )


def _before_request(error: BotoCoreError, where: str, attempt: Attempt) -> TailraceError:
    """Trouble with TLS: a matter of trust or protocol stops the run, a broken connection does not."""
    cause = _ssl_cause(error)
    if isinstance(error.kwargs.get("error"), ValueError):  # a URL that urllib3 cannot read; ours was checked
        return Misconfigured(
            f"{where}: the proxy's URL cannot be used", hint="see HTTPS_PROXY and HTTP_PROXY"
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Misconfigured(
            f"{where}: the certificate is not trusted ({cause.verify_message})",
            hint="give the certificates of your own authority as ca_bundle",
        )
    if "doesn't match" in _text(error):
        return Misconfigured(f"{where}: the certificate is not for this host", hint="check the endpoint URL")
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        reason = cause.reason or "handshake failed"
        return Misconfigured(
            f"{where}: TLS failed ({reason})", hint="check the endpoint URL, its port and the CA bundle"
        )
    if attempt.progress == "sent":
        return Transient(f"{where}: the connection broke before the answer", ambiguous=True)
    return NotConnected(f"{where}: the connection broke in the TLS handshake")


def _proxy_error(error: BotoCoreError, where: str) -> TailraceError:
    if " 407 " in _text(error):
        return Misconfigured(
            f"{where}: the proxy wants a user name and password (407)",
            hint="give them in the HTTPS_PROXY variable",
        )
    return NotConnected(f"{where}: the proxy cannot be reached or refuses", hint="check the proxy")


def _reason(error: BotoCoreError) -> str:
    if isinstance(error, ConnectTimeoutError):
        return f"no connection within {CONNECT_SECONDS:.0f} s"
    text = _text(error)
    if any(os.strerror(number) in text for number in (errno.EMFILE, errno.ENFILE)):
        return FILES
    if "resolve" in text or "Name or service" in text or "nodename" in text:
        return "the host name cannot be resolved"
    return "the connection was refused" if "refused" in text else "no connection"


def _text(error: BotoCoreError) -> str:
    return str(error.kwargs.get("error", ""))


def _ssl_cause(error: BotoCoreError) -> BaseException | None:
    """The error of the ssl module inside the layers around it."""
    cause: Any = error.kwargs.get("error")
    for _ in range(5):
        if cause is None or isinstance(cause, ssl.SSLError):
            return cause
        arguments = [argument for argument in cause.args if isinstance(argument, BaseException)]
        cause = getattr(cause, "reason", None) if not arguments else arguments[-1]
        if not isinstance(cause, BaseException):
            return None
    return None


def _verify(ca_bundle: str | None) -> Any:
    """The certificates to trust: the account's file, else the SDK's variables, else the usual ones."""
    path = ca_bundle or os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE")
    if not path:
        return True
    if not os.path.exists(path):
        raise Misconfigured(f"the CA bundle {path} does not exist", hint="check ca_bundle or AWS_CA_BUNDLE")
    return path
