"""Which addresses an endpoint and a proxy may have: TLS anywhere, plain AMQP to this machine, metadata
services never. A host name is looked at once more when it has been resolved."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from tailrace import check_host

TLS_PORT = 5671
PLAIN_PORT = 5672


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect. `port` is None where the transport's own port is meant."""

    host: str
    port: int | None
    tls: bool

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read `amqps://HOST[:PORT]`, `sb://…` for the same, or `amqp://…`. Raises ValueError, which never
        repeats the text."""
        try:
            parts = urlsplit(text.strip())
            port = parts.port
        except ValueError:
            raise ValueError("it is not an address") from None
        if parts.scheme not in ("amqps", "sb", "amqp") or not parts.hostname:
            raise ValueError("an endpoint is amqps://HOST[:PORT], or amqp://HOST[:PORT] on this machine")
        if "@" in parts.netloc:
            raise ValueError("an endpoint holds no user name or password")
        if parts.path.strip("/") or parts.query or parts.fragment or "?" in text or "#" in text:
            raise ValueError("an endpoint has no path, no query and no fragment")
        return cls.of(parts.hostname, port, tls=parts.scheme != "amqp")

    @classmethod
    def of(cls, host: str, port: int | None, *, tls: bool) -> Endpoint:
        """Raises ValueError where a connection must not go there."""
        if port == 0:
            raise ValueError("it is not an address")
        host = check_host(host, encrypted=tls)
        if ":" in host:
            raise ValueError("an IPv6 address is given by a name that leads to it: the SDK takes no other")
        return cls(host, port, tls)


def check_endpoint(text: str) -> str:
    """The text of an endpoint. Raises ValueError."""
    Endpoint.parse(text)
    return text.strip().rstrip("/")


def check_proxy(url: str) -> str:
    """The URL of a proxy. Raises ValueError."""
    try:
        parts = urlsplit(url)
        ok = parts.scheme == "http" and bool(parts.hostname) and bool(parts.port)
    except ValueError:
        ok = False
    if not ok:
        raise ValueError("a proxy is http://HOST:PORT")
    if "@" in parts.netloc:
        raise ValueError("a proxy that needs a password is given in the HTTPS_PROXY variable")
    check_host(parts.hostname or "", encrypted=True)
    return url.rstrip("/")
