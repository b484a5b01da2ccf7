"""What a client shows to Event Hubs: a key, a token, or an identity; and for which namespace and hub."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from tailrace import Misconfigured, Secret
from tailrace_eventhubs.addresses import Endpoint
from tailrace_eventhubs.hubs import ConnectionString, check_signed
from tailrace_eventhubs.target import Target

Reveal = Callable[[Secret], str]
Scheme = Literal["key", "token", "identity"]

_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_AADSTS = re.compile(r"AADSTS[0-9]{4,8}")


@dataclass(frozen=True, slots=True)
class Access:
    """Secrets are in it: made where it is used, never pickled, never shown.

    `host` is the namespace as tokens are made for it; `endpoint` is where to connect instead. `scheme`
    says what the credentials are: `key`, `token` or `identity`; `shown` is the name of the policy or the
    kind of the identity.
    """

    host: str
    hub: str
    endpoint: Endpoint
    credential: Any = field(repr=False)
    scheme: Scheme
    shown: str


def access_of(target: Target, reveal: Reveal) -> Access:
    """Read the secrets. Raises Misconfigured, SecretUnavailable or KeyLost."""
    if target.connection_string is not None:
        return _from_connection_string(target, reveal(target.connection_string))
    assert target.namespace is not None  # the settings see to it
    endpoint = Endpoint.parse(target.endpoint) if target.endpoint else Endpoint(target.namespace, None, True)
    return Access(target.namespace, target.event_hub_name, endpoint, *_credential(target, reveal))


def _credential(target: Target, reveal: Reveal) -> tuple[Any, Scheme, str]:
    if target.sas_key is not None and target.sas_key_name is not None:
        return _named_key(target.sas_key_name, reveal(target.sas_key)), "key", target.sas_key_name
    if target.sas_token is not None:
        return _signed(reveal(target.sas_token))
    return Identity(make_identity(target, reveal)), "identity", str(target.credential)


def _from_connection_string(target: Target, text: str) -> Access:
    try:
        found = ConnectionString.parse(text)
    except ValueError as error:
        raise Misconfigured(
            f"the connection string of the account cannot be read: {error}",
            hint="copy it whole: Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…",
        ) from None
    if found.hub is not None and found.hub.lower() != target.event_hub_name.lower():
        raise Misconfigured(
            f"the connection string is for event hub {found.hub!r} (EntityPath), and the connection for "
            f"{target.event_hub_name!r}",
            hint="change event_hub_name, or use the connection string of the namespace",
        )
    endpoint = found.endpoint
    # Without TLS the SDK makes tokens for the host with its port.
    host = endpoint.host if endpoint.tls or endpoint.port is None else f"{endpoint.host}:{endpoint.port}"
    if found.token is not None:
        return Access(host, target.event_hub_name, endpoint, *_signed(found.token))
    key = _named_key(str(found.key_name), str(found.key))
    return Access(host, target.event_hub_name, endpoint, key, "key", str(found.key_name))


def _named_key(name: str, key: str) -> Any:
    from azure.core.credentials import AzureNamedKeyCredential

    if not key.strip() or not key.isprintable():
        raise Misconfigured("the SAS key is empty or no text", hint="check sas_key of the account")
    return AzureNamedKeyCredential(name, key)


def _signed(token: str) -> tuple[Any, Scheme, str]:
    from azure.core.credentials import AzureSasCredential

    try:
        policy = check_signed(token.strip())
        return AzureSasCredential(token.strip()), "token", policy
    except ValueError as error:
        raise Misconfigured(f"the SAS token of the account cannot be read: {error}") from None


class Identity:
    """A credential of azure-identity that remembers why it gave no token: the SDK passes on the text
    alone, in an error of no class."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.problem: Exception | None = None

    def get_token(self, *scopes: str, **options: Any) -> Any:
        try:
            token = self._source.get_token(*scopes, **options)
        except Exception as error:
            self.problem = error
            raise
        self.problem = None
        return token

    def close(self) -> None:
        close = getattr(self._source, "close", None)
        if close is not None:
            close()


def holder_of(token: str) -> str | None:
    """Who a token of Microsoft Entra ID is for, as it says itself: an application or object, and tenant."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        who = claims.get("appid") or claims.get("azp") or claims.get("oid")
        tenant = claims.get("tid")
    except (IndexError, ValueError, AttributeError):
        return None
    if not (isinstance(who, str) and _ID.fullmatch(who)):
        return None
    known = isinstance(tenant, str) and _ID.fullmatch(tenant)
    return f"application {who}" + (f" of tenant {tenant}" if known else "")


def why_no_token(problem: Exception) -> tuple[str, str]:
    """The code of the table for a credential that gave no token, and what may be told of it: the class,
    and the code of Microsoft Entra ID."""
    name = type(problem).__name__
    found = _AADSTS.search(str(problem))
    unreachable = name in ("ServiceRequestError", "ServiceResponseError", "ServiceRequestTimeoutError")
    return (
        "IdentityUnreachable" if unreachable else "NoToken",
        f"{name} {found[0]}" if found else name,
    )


def make_identity(target: Target, reveal: Reveal) -> Any:
    """A credential of azure-identity; it asks nobody yet. Raises Misconfigured."""
    try:
        import azure.identity as identity
    except ImportError:
        raise Misconfigured(
            "credentials of Microsoft Entra ID need the package azure-identity",
            hint="pip install 'tailrace-eventhubs[identity]'",
        ) from None
    try:
        return _make_identity(identity, target, reveal)
    except (ValueError, OSError, TypeError) as error:
        raise Misconfigured(
            f"the credential {target.credential} cannot be made ({type(error).__name__})",
            hint="check the fields of the account that belong to it, files included",
        ) from None


def _make_identity(identity: Any, target: Target, reveal: Reveal) -> Any:
    tenant, client = target.tenant_id, target.client_id
    match target.credential:
        case "managed-identity":
            return identity.ManagedIdentityCredential(**({"client_id": client} if client else {}))
        case "workload-identity":
            named = {"tenant_id": tenant, "client_id": client, "token_file_path": target.token_file}
            return identity.WorkloadIdentityCredential(**{k: v for k, v in named.items() if v})
        case "service-principal" if target.client_secret is not None:
            return identity.ClientSecretCredential(tenant, client, reveal(target.client_secret))
        case "service-principal":
            return identity.CertificateCredential(tenant, client, target.client_certificate)
        case _:
            return identity.DefaultAzureCredential()
