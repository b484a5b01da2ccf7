"""Tokens as a client makes them: shared access signatures, and JWTs that stand for those of Microsoft Entra.

sas("sb://127.0.0.1:5672/orders", "sender", key_value)       # SharedAccessSignature sr=…&sig=…&se=…&skn=…
jwt(config.jwt_key, roles=["Azure Event Hubs Data Sender"])  # what a credential's get_token would return
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterable
from urllib.parse import quote_plus

JWT_AUDIENCE = "https://eventhubs.azure.net"
ROLES = {
    "Azure Event Hubs Data Owner": frozenset({"Manage", "Send", "Listen"}),
    "Azure Event Hubs Data Sender": frozenset({"Send"}),
    "Azure Event Hubs Data Receiver": frozenset({"Listen"}),
}
"""The built-in roles, and the claims they come to."""


def sas(resource: str, key_name: str, key: str, *, expires: float | None = None) -> str:
    """A shared access signature for a namespace, a hub or a part of it; for an hour unless told."""
    encoded = quote_plus(resource)
    until = str(int(time.time() + 3600 if expires is None else expires))
    signature = base64.b64encode(sas_signature(encoded, until, key)).decode()
    fields = {"sr": encoded, "sig": quote_plus(signature), "se": until, "skn": quote_plus(key_name)}
    return "SharedAccessSignature " + "&".join(f"{name}={value}" for name, value in fields.items())


def sas_signature(encoded_resource: str, expires: str, key: str) -> bytes:
    """The signature over the resource, as encoded in the token, and the expiry. The key is taken as it is."""
    return hmac.digest(key.encode(), f"{encoded_resource}\n{expires}".encode(), "sha256")


def jwt(
    key: str,
    *,
    roles: Iterable[str] = ("Azure Event Hubs Data Owner",),
    audience: str = JWT_AUDIENCE,
    expires: float | None = None,
) -> str:
    """A JWT that the emulator takes (HS256). Without roles it is a known identity that may do nothing."""
    until = int(time.time() + 3600 if expires is None else expires)
    head = _part({"alg": "HS256", "typ": "JWT"})
    body = _part({"aud": audience, "exp": until, "roles": list(roles)})
    signature = hmac.new(key.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{_base64url(signature)}"


def _part(value: object) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
