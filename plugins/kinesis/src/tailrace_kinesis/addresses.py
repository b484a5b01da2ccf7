"""Which addresses an endpoint may have.

https goes anywhere, plain http to loopback only, and nothing ever goes to a link-local address or to
the metadata service of a cloud, in whatever form the address is written. A URL is checked when it is
entered, a host name once more when it has been resolved (`check_peer`), so that a name cannot lead
where a number may not.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address

_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_FORBIDDEN = tuple(
    ip_network(text)
    for text in (
        "169.254.0.0/16",  # link-local, with the metadata services of AWS, Azure, Google and ECS
        "fe80::/10",
        "fd00:ec2::/32",  # AWS metadata over IPv6
        "100.100.100.200/32",  # Alibaba Cloud
        "192.0.0.192/32",  # Oracle Cloud
        "168.63.129.16/32",  # Azure platform
    )
)
_FORBIDDEN_NAMES = frozenset(
    {"metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)
_NAT64 = ip_network("64:ff9b::/96")
_COMPATIBLE = ip_network("::/96")


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
    host = parts.hostname.rstrip(".")
    address = parse_address(host)
    if port == 0 or (address is None and not _HOST.fullmatch(host)):
        raise ValueError("it is not a URL")
    if host in _FORBIDDEN_NAMES or (address is not None and is_forbidden(address)):
        raise ValueError("link-local and metadata addresses are never an endpoint")
    if parts.scheme == "http" and not is_loopback_host(host):
        raise ValueError("plain http goes to this machine only (127.0.0.0/8, ::1, localhost)")
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
    address = parse_address(parts.hostname or "")
    if address is not None and is_forbidden(address):
        raise ValueError("link-local and metadata addresses are never a proxy")
    return url


def check_peer(scheme: str, peer: str) -> None:
    """Check the address that a host name led to. Raises ValueError."""
    address = ip_address(peer.partition("%")[0])
    if is_forbidden(address):
        raise ValueError("the host name leads to a link-local or metadata address")
    if scheme == "http" and not _plain(address).is_loopback:
        raise ValueError("plain http goes to this machine only, and the host name leads elsewhere")


def check_resolved(url: str) -> None:
    """Resolve the host of an endpoint and check every address. Raises ValueError; a name that does
    not resolve is left to the connection, which reports it as such."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parse_address(host) is not None:
        return
    try:
        answers = socket.getaddrinfo(host, parts.port or 443, type=socket.SOCK_STREAM)
    except OSError:
        return
    for *_, peer in answers:
        check_peer(parts.scheme, str(peer[0]))


def parse_address(host: str) -> Address | None:
    """The address that a host is written as, in any of the forms a resolver reads: dotted, decimal,
    octal, hexadecimal, shortened, IPv6, IPv6 with a zone. None for a name."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    if not _NUMERIC.fullmatch(host):
        return None
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def is_forbidden(address: Address) -> bool:
    """Whether it is link-local or a metadata service, also when it is an IPv4 address in IPv6."""
    plain = _plain(address)
    return any(plain in network for network in _FORBIDDEN if network.version == plain.version)


def is_loopback_host(host: str) -> bool:
    address = parse_address(host)
    return host == "localhost" if address is None else _plain(address).is_loopback


def _plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one, where there is one."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 0xFFFF):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
