"""What `$cbs` does with a token: check it, and say what it grants.

    grant = check(token, audience="sb://127.0.0.1:5672/orders", config=config, now=time.time())

`audience` is what the client asks for (`name` of put-token). Whatever is wrong is a `Refused` with the status
and the description of the answer. A grant is for the audience and all below it, never more than the key and
the token's own resource allow; its claims are what it may do there. They count when a link is attached, in
`Grants.refusal`: the token of a Listen key is accepted, and then cannot send.

Nothing here shows a key or a signature.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from tailrace_eventhubs.emulator.config import Config, Hub, Key
from tailrace_eventhubs.emulator.tokens import JWT_AUDIENCE, ROLES, sas_signature

SAS = "servicebus.windows.net:sastoken"
JWT = "jwt"
_PREFIX = "SharedAccessSignature "
_FIELDS = {"sr", "sig", "se", "skn"}


class Refused(Exception):
    """The answer to put-token: an HTTP status and a description, which begins with its code."""

    def __init__(self, status: int, description: str) -> None:
        super().__init__(f"{status} {description}")
        self.status = status
        self.description = description


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows: claims for a path and all below it, until a time. No path: the namespace."""

    path: tuple[str, ...]
    claims: frozenset[str]
    expires: float

    def covers(self, path: tuple[str, ...]) -> bool:
        return path[: len(self.path)] == self.path


class Grants:
    """What one connection was granted so far. A newer token for the same path replaces the older."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, ...], Grant] = {}

    def add(self, grant: Grant) -> None:
        self._held[grant.path] = grant

    def best(self, address: str, claims: Iterable[str] = ()) -> Grant | None:
        """The grant for an address, with one of the claims if any are named, that is good for longest."""
        path, wanted = split(address)[1], set(claims)
        fitting = (g for g in self._held.values() if g.covers(path) and (not wanted or wanted & g.claims))
        return max(fitting, key=lambda grant: grant.expires, default=None)

    def refusal(self, address: str, claims: Iterable[str], now: float) -> str | None:
        """Why a link to an address may not be attached (`amqp:unauthorized-access`); None if it may.

        One of the claims is enough."""
        wanted = sorted(set(claims))
        grant = self.best(address, wanted)
        if grant is None:
            names = ",".join(wanted)
            where = "/".join(split(address)[1])
            return (
                f"Unauthorized access. '{names}' claim(s) are required to perform this operation. "
                f"Resource: '{where}'."
            )
        return None if grant.expires > now else "ExpiredToken: The token is expired."


def check(
    token: str | bytes,
    *,
    audience: str,
    config: Config,
    now: float,
    kind: str = SAS,
    find: Callable[[str], Hub | None] | None = None,
) -> Grant:
    """Check a token for an audience. Raises `Refused`: 401; 400: an unknown kind; 404: an unknown hub.

    `find` tells which hubs there are now; without it they are those of the configuration."""
    text = token.decode("utf-8", "replace") if isinstance(token, bytes) else token
    asked = split(audience)
    hub = (find or config.hub)(asked[1][0]) if asked[1] else None
    if kind == SAS:
        grant = _check_sas(text, asked, hub, config, now)
    elif kind == JWT:
        grant = _check_jwt(text, asked[1], config, now)
    else:
        raise Refused(400, "Property 'type' of put-token is not a known kind of token.")
    if asked[1] and hub is None:
        raise Refused(404, f"The messaging entity '{asked[1][0]}' could not be found.")
    return grant


def split(address: str) -> tuple[str, tuple[str, ...]]:
    """Host and path of an address or audience, in lower case; the host is empty if it is a path alone."""
    scheme, found, rest = address.lower().partition("://")
    host, _, path = (rest if found else "/" + scheme).partition("/")
    return host, tuple(part for part in path.split("/") if part)


@dataclass(frozen=True, slots=True)
class _Signature:
    """The fields of a shared access signature; the resource also as it was signed."""

    encoded: str
    resource: tuple[str, tuple[str, ...]]
    signature: str
    expires: str
    key_name: str

    @staticmethod
    def parse(token: str) -> _Signature:
        if not token.startswith(_PREFIX):
            raise Refused(401, "MalformedToken: The token is not a shared access signature.")
        pairs = [pair.partition("=") for pair in token.removeprefix(_PREFIX).split("&")]
        fields = {name.strip(): value for name, _, value in pairs}
        if fields.keys() != _FIELDS or len(pairs) != len(_FIELDS):
            raise Refused(401, "MalformedToken: The token needs sr, sig, se and skn, each once.")
        if not re.fullmatch(r"[0-9]{1,12}", fields["se"]):
            raise Refused(401, "MalformedToken: The expiry is not a Unix time.")
        return _Signature(
            fields["sr"],
            split(unquote_plus(fields["sr"])),
            unquote_plus(fields["sig"]),
            fields["se"],
            unquote_plus(fields["skn"]),
        )

    def is_by(self, key: Key) -> bool:
        expected = sas_signature(self.encoded, self.expires, key.value)
        return hmac.compare_digest(_decoded(self.signature), expected) and self.key_name == key.name


def _check_sas(
    token: str, asked: tuple[str, tuple[str, ...]], hub: Hub | None, config: Config, now: float
) -> Grant:
    given = _Signature.parse(token)
    host, path = given.resource
    if host != asked[0] or asked[1][: len(path)] != path:
        raise Refused(401, "InvalidAudience: The authorization token has a wrong audience.")
    # A hub's own keys sign for that hub; those of the namespace sign for all.
    own = hub.keys if hub is not None and path else ()
    key = next((key for key in (*own, *config.keys) if given.is_by(key)), None)
    if key is None:  # an unknown name and a wrong key are answered alike
        raise Refused(401, "InvalidSignature: The token has an invalid signature.")
    expires = float(given.expires)
    if expires <= now:
        raise Refused(401, f"ExpiredToken: The token is expired. Expires: {expires:.0f}, now: {now:.0f}.")
    return Grant(asked[1], key.claims, expires)


def _check_jwt(token: str, path: tuple[str, ...], config: Config, now: float) -> Grant:
    if config.jwt_rule is not None:
        claims = config.jwt_rule(token, now)
        if claims is None:
            raise Refused(401, "InvalidToken: The token is not accepted.")
        return Grant(path, frozenset(claims), _expiry(token, now + 3600))
    return _check_own_jwt(token, path, config, now)


def _check_own_jwt(token: str, path: tuple[str, ...], config: Config, now: float) -> Grant:
    signed, _, signature = token.rpartition(".")
    expected = hmac.digest(config.jwt_key.encode(), signed.encode(), "sha256")
    if not hmac.compare_digest(_decoded(signature, url=True), expected):
        raise Refused(401, "InvalidSignature: The token has an invalid signature.")
    body = _body(token)
    if str(body.get("aud")).rstrip("/") != JWT_AUDIENCE:
        raise Refused(401, "InvalidAudience: The authorization token has a wrong audience.")
    expires = _expiry(token, 0.0)
    if expires <= now:
        raise Refused(401, f"ExpiredToken: The token is expired. Expires: {expires:.0f}, now: {now:.0f}.")
    roles = body.get("roles")
    held = [ROLES.get(role, frozenset()) for role in roles] if isinstance(roles, list) else []
    return Grant(path, frozenset().union(*held), expires)


def _body(token: str) -> dict[str, Any]:
    parts = token.split(".")
    try:
        body = json.loads(_decoded(parts[1], url=True)) if len(parts) == 3 else None
    except (ValueError, RecursionError):
        body = None
    return body if isinstance(body, dict) else {}


def _expiry(token: str, default: float) -> float:
    expires = _body(token).get("exp")
    return float(expires) if isinstance(expires, int | float) else default


def _decoded(text: str, *, url: bool = False) -> bytes:
    """Empty if it is not base64: then it equals no signature."""
    try:
        data = text.encode("ascii")
        return base64.b64decode(data + b"=" * (-len(data) % 4), b"-_" if url else None, validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return b""
