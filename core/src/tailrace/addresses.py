"""Which addresses a destination may connect to, for plugins whose users can type one in.

A connection with TLS goes anywhere, a plain one to loopback only, and nothing ever goes to a link-local
address or to the metadata service of a cloud, in whatever form the address is written. A host is checked
when it is entered, and once more when it has been resolved (`check_peer`), so that a name cannot lead
where a number may not.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_FORBIDDEN = tuple(
    ip_network(text)
    for text in (
        "169.254.0.0/16",  # link-local, with the metadata services of most clouds
        "fe80::/10",
        "fd00:ec2::/32",  # the same over IPv6
        "100.100.100.200/32",  # Alibaba Cloud
        "192.0.0.192/32",  # Oracle Cloud
        "168.63.129.16/32",  # what a cloud serves to its own machines
    )
)
_FORBIDDEN_NAMES = frozenset(
    {"metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)
_NAT64 = ip_network("64:ff9b::/96")
_COMPATIBLE = ip_network("::/96")


def check_host(host: str, *, encrypted: bool) -> str:
    """The host of an endpoint or a proxy, a name or an address, in lower case and without a dot at its end.
    `encrypted` says whether the connection speaks TLS. Raises ValueError, which never repeats the host."""
    host = host.rstrip(".").lower()
    address = parse_address(host)
    if address is None and not _HOST.fullmatch(host):
        raise ValueError("it is not a host")
    if host in _FORBIDDEN_NAMES or (address is not None and is_forbidden(address)):
        raise ValueError("link-local and metadata addresses are never connected to")
    if not encrypted and not _is_loopback(host, address):
        raise ValueError("a plain connection goes to this machine only (127.0.0.0/8, ::1, localhost)")
    return host


def check_peer(peer: str, *, encrypted: bool) -> None:
    """Check the address that a host name led to. Raises ValueError."""
    address = ip_address(peer.partition("%")[0])
    if is_forbidden(address):
        raise ValueError("the host name leads to a link-local or metadata address")
    if not encrypted and not _plain(address).is_loopback:
        raise ValueError("a plain connection goes to this machine only, and the host name leads elsewhere")


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


def _is_loopback(host: str, address: Address | None) -> bool:
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
