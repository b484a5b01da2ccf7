"""Why a connection does not come about, told by trying it step by step, without a secret.

The SDK puts what went wrong into the text of an error, or waits for good. So that a wrong name, a closed
port, an untrusted certificate, a plain port and a refusing proxy can be told apart, the same way is
walked once more, and the first step that fails is named.
"""

from __future__ import annotations

import socket
import ssl
import time
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from tailrace_eventhubs.addresses import PLAIN_PORT, TLS_PORT, Endpoint
from tailrace_eventhubs.target import Transport
from tailrace_eventhubs.waiting import OutOfTime, within

_PORTS = {"amqp": TLS_PORT, "websocket": 443, "kafka": 9093}
_HELLO = b"AMQP\x03\x01\x00\x00"
_ALERT = b"\x15\x03"
"""How a TLS server begins to say that it did not understand; some hang up instead."""


@dataclass(frozen=True, slots=True)
class Way:
    """How to get to a namespace."""

    host: str
    port: int
    tls: bool
    transport: Transport
    proxy: str | None = None

    @classmethod
    def of(cls, endpoint: Endpoint, transport: Transport, proxy: str | None) -> Way:
        own = _PORTS[transport] if endpoint.tls or transport != "amqp" else PLAIN_PORT
        if transport == "websocket" and proxy is None and not proxy_bypass(endpoint.host):
            proxy = getproxies().get("https" if endpoint.tls else "http")
        used = proxy if transport == "websocket" else None
        return cls(endpoint.host, endpoint.port or own, endpoint.tls, transport, used)


def why_not(way: Way, context: ssl.SSLContext | None, seconds: float) -> str | None:
    """A code of the error table, or None where nothing stands in the way. `seconds` bounds all of it."""
    ends = time.monotonic() + seconds
    try:
        held = _connect(way, ends)
    except _Refused as refusal:
        return refusal.code
    with held:
        try:
            if way.tls:
                held = _speak_tls(held, way, context, ends)
            if way.transport == "amqp":
                return _speak_amqp(held, ends)
            plain_web = way.transport == "websocket" and not way.tls
            return _speak_http(held, way, ends) if plain_web else None
        except _Refused as refusal:
            return refusal.code
        except OSError as error:
            return network_code(error)
        finally:
            held.close()


def network_code(error: OSError) -> str:
    """The code for what the system said of a connection."""
    if isinstance(error, ssl.SSLError):
        return _tls_code(error)
    if isinstance(error, socket.gaierror):
        return "HostNotFound"
    if isinstance(error, ConnectionRefusedError):
        return "ConnectionRefused"
    if isinstance(error, TimeoutError):
        return "ConnectTimeout"
    if isinstance(error, (ConnectionError, BrokenPipeError)):
        return "ConnectionLost"
    return "Unreachable"


class _Refused(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _connect(way: Way, ends: float) -> socket.socket:
    if way.proxy is None:
        return _open(way.host, way.port, ends)
    parts = urlsplit(way.proxy)
    try:
        held = _open(parts.hostname or "", parts.port or 80, ends)
    except _Refused:
        raise _Refused("ProxyUnreachable") from None
    try:
        _ask_proxy(held, way, ends)
    except OSError:
        held.close()
        raise _Refused("ProxyUnreachable") from None
    except BaseException:
        held.close()
        raise
    return held


def _open(host: str, port: int, ends: float) -> socket.socket:
    try:
        found = within(_left(ends), lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OutOfTime, OSError, UnicodeError):  # the last: a label of the name is empty or too long
        raise _Refused("HostNotFound") from None
    code = "Unreachable"
    for *_, address in found:
        try:
            return socket.create_connection((str(address[0]), port), timeout=_left(ends))
        except OSError as error:
            code = network_code(error)
    raise _Refused(code)


def _ask_proxy(held: socket.socket, way: Way, ends: float) -> None:
    to = f"{way.host}:{way.port}"
    held.sendall(f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{_authorization(way.proxy)}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < 65536:
        held.settimeout(_left(ends))
        part = held.recv(4096)
        if not part:
            break
        answer += part
    words = answer.split(None, 2)
    status = words[1] if len(words) > 1 and words[0].startswith(b"HTTP/") else b""
    if status == b"407":
        raise _Refused("ProxyWantsPassword")
    if status.startswith(b"5"):
        raise _Refused("ProxyUnreachable")
    if not status.startswith(b"2"):
        raise _Refused("ProxyRefused")


def _authorization(proxy: str | None) -> str:
    """What a proxy from the environment may want to see."""
    parts = urlsplit(proxy or "")
    if parts.username is None:
        return ""
    both = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Proxy-Authorization: Basic {b64encode(both.encode()).decode()}\r\n"


def _speak_tls(held: socket.socket, way: Way, context: ssl.SSLContext | None, ends: float) -> socket.socket:
    context = context or ssl.create_default_context()
    held.settimeout(_left(ends))
    try:
        return context.wrap_socket(held, server_hostname=way.host)
    except ssl.SSLError as error:
        raise _Refused(_tls_code(error)) from None
    except TimeoutError:
        raise _Refused("NoAnswer") from None
    except OSError:
        raise _Refused("NotTls") from None  # a plain port that hung up on the greeting


def _tls_code(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        mismatch = error.verify_code in (62, 64) or "match" in error.verify_message.lower()
        return "CertificateName" if mismatch else "CertificateUntrusted"
    reason = (error.reason or "").upper()
    if reason in (
        "WRONG_VERSION_NUMBER",
        "RECORD_LAYER_FAILURE",
        "HTTP_REQUEST",
        "UNKNOWN_PROTOCOL",
        "PACKET_LENGTH_TOO_LONG",
    ):
        return "NotTls"
    if isinstance(error, ssl.SSLEOFError) or "EOF" in reason:
        return "NotTls"
    return "TlsFailed"


def _speak_amqp(held: socket.socket, ends: float) -> str | None:
    held.settimeout(_left(ends))
    with suppress(OSError):
        held.sendall(_HELLO)
    try:
        answer = held.recv(8)
    except TimeoutError:
        return "NoAnswer"
    except OSError:
        return "NotAmqp"
    if answer.startswith(b"AMQP"):
        return None
    tls = answer[:2] == _ALERT or (not answer and not isinstance(held, ssl.SSLSocket))
    return "TlsExpected" if tls else "NotAmqp"


def _speak_http(held: socket.socket, way: Way, ends: float) -> str | None:
    """Whether a plain port for WebSocket speaks at all; what it says is up to the SDK to understand."""
    held.settimeout(_left(ends))
    try:
        held.sendall(f"GET / HTTP/1.1\r\nHost: {way.host}:{way.port}\r\n\r\n".encode())
        answer = held.recv(8)
    except TimeoutError:
        return "NoAnswer"
    return "TlsExpected" if not answer or answer[:2] == _ALERT else None


def _left(ends: float) -> float:
    return max(0.05, ends - time.monotonic())
