"""Names: an event hub, its namespace, and what a connection string says of both."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from tailrace_eventhubs.addresses import Endpoint

_HUB = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,254}[A-Za-z0-9])?")
_SHORT = re.compile(r"[A-Za-z]([A-Za-z0-9-]{0,48}[A-Za-z0-9])?")
_FIELDS = {
    "endpoint": "Endpoint",
    "sharedaccesskeyname": "SharedAccessKeyName",
    "sharedaccesskey": "SharedAccessKey",
    "sharedaccesssignature": "SharedAccessSignature",
    "entitypath": "EntityPath",
    "usedevelopmentemulator": "UseDevelopmentEmulator",
}
"""The fields of a connection string that are read, by their names in lower case."""
_KNOWN_BUT_UNUSED = frozenset({"operationtimeout", "transporttype", "runtimeport"})

PUBLIC_CLOUD = "servicebus.windows.net"


def check_hub(text: str) -> str:
    """The name of an event hub. Raises ValueError."""
    if not _HUB.fullmatch(text):
        raise ValueError(
            "the name of an event hub is 1 to 256 of a-z, A-Z, 0-9, '.', '-', '_', and begins and ends "
            "with a letter or digit"
        )
    return text


def namespace_host(text: str) -> str:
    """The full host name of a namespace that is given by its name or its host name. Raises ValueError."""
    text = text.strip().rstrip(".").lower()
    if "." not in text:
        if not _SHORT.fullmatch(text):
            raise ValueError("a namespace is its name, or its host name as in NAME.servicebus.windows.net")
        return f"{text}.{PUBLIC_CLOUD}"
    endpoint = Endpoint.of(text, None, tls=True)
    return endpoint.host


def check_signed(text: str) -> str:
    """The name of the policy that a SAS token names, and that it is one. Raises ValueError, which repeats
    nothing of it."""
    kind, _, rest = text.partition(" ")
    fields = dict(part.partition("=")[::2] for part in rest.split("&"))
    if kind != "SharedAccessSignature" or not all(fields.get(name) for name in ("sr", "sig", "se", "skn")):
        raise ValueError("a SAS token is SharedAccessSignature sr=…&sig=…&se=…&skn=…")
    if not fields["se"].isascii() or not fields["se"].isdigit():
        raise ValueError("its se= is no time in seconds")
    name = unquote(fields["skn"])
    return name if name.isprintable() else "of no readable name"


@dataclass(frozen=True, slots=True)
class ConnectionString:
    """The parts of a connection string: a key with its name, or a SAS token."""

    endpoint: Endpoint
    hub: str | None = None
    key_name: str | None = None
    key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> ConnectionString:
        """Raises ValueError, which names what is wrong and repeats nothing but names of fields."""
        found = _split(text)
        emulator = found.get("usedevelopmentemulator", "false").lower()
        if emulator not in ("true", "false"):
            raise ValueError("UseDevelopmentEmulator is neither true nor false")
        try:
            endpoint = _endpoint(found.get("endpoint"), plain=emulator == "true")
            hub = check_hub(found["entitypath"]) if "entitypath" in found else None
        except ValueError as error:
            where = "Endpoint" if "endpoint" not in found or "event hub" not in str(error) else "EntityPath"
            raise ValueError(f"{where}: {error}") from None
        key_name, key = found.get("sharedaccesskeyname"), found.get("sharedaccesskey")
        token = found.get("sharedaccesssignature")
        if token is not None and key is not None:
            raise ValueError("it has both SharedAccessKey and SharedAccessSignature")
        if token is None and (key is None or key_name is None):
            missing = "SharedAccessKey" if key is None else "SharedAccessKeyName"
            raise ValueError(f"{missing} is missing")
        if token is not None:
            check_signed(token)
        return cls(endpoint, hub, None if token else key_name, key, token)


def _split(text: str) -> dict[str, str]:
    """Fields by their names in lower case. A part without a name may be a key that was cut: it is not
    repeated, and neither is a name that is not known."""
    found: dict[str, str] = {}
    for number, part in enumerate(text.strip().strip(";").split(";"), 1):
        name, equals, value = part.partition("=")
        key = name.strip().lower()
        if not equals or key not in _FIELDS.keys() | _KNOWN_BUT_UNUSED:
            raise ValueError(
                f"part {number} is none of the known NAME=VALUE fields ({', '.join(_FIELDS.values())})"
            )
        if key in found:
            raise ValueError(f"{_FIELDS.get(key, 'a field')} is there twice")
        if not value.strip():
            raise ValueError(f"{_FIELDS.get(key, 'a field')} is empty")
        found[key] = value.strip()
    return found


def _endpoint(text: str | None, *, plain: bool) -> Endpoint:
    if text is None:
        raise ValueError("it is missing")
    parsed = Endpoint.parse(text if "://" in text else f"sb://{text}")
    return Endpoint.of(parsed.host, parsed.port, tls=not plain)
