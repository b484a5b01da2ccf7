"""Which URLs an endpoint and a proxy may have: https anywhere, plain http to this machine, metadata
services never. A host name is looked at once more when it has been resolved (`check_peer`)."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import tailrace


def check_endpoint(url: str) -> str:
    """The URL without a trailing slash. Raises ValueError, which never repeats the URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("it is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an endpoint is https://HOST[:PORT], or http:// to this machine")
    if "@" in parts.netloc:
        raise ValueError("an endpoint holds no user name or password")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise ValueError("an endpoint has no query and no fragment")
    if port == 0:
        raise ValueError("it is not a URL")
    tailrace.check_host(parts.hostname, encrypted=parts.scheme == "https")
    return url.rstrip("/")


def check_proxy(url: str) -> str:
    """The URL of a proxy. Raises ValueError."""
    try:
        parts = urlsplit(url)
        ok = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        ok = False
    if not ok:
        raise ValueError("a proxy is http://HOST:PORT or https://HOST:PORT")
    if "@" in parts.netloc:
        raise ValueError("a proxy that needs a password is given in the HTTPS_PROXY variable")
    tailrace.check_host(parts.hostname or "", encrypted=True)
    return url


def check_peer(scheme: str, peer: str) -> None:
    """Check the address that a host name led to. Raises ValueError."""
    tailrace.check_peer(peer, encrypted=scheme == "https")


def check_resolved(url: str) -> None:
    """Resolve the host of an endpoint and check every address. Raises ValueError; a name that does
    not resolve is left to the connection, which reports it as such."""
    parts = urlsplit(url)
    try:
        answers = socket.getaddrinfo(parts.hostname or "", parts.port or 443, type=socket.SOCK_STREAM)
    except OSError:
        return
    for *_, peer in answers:
        check_peer(parts.scheme, str(peer[0]))
