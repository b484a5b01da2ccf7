"""Where an export goes, as plain values: what the plan carries from the activate to the export step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tailrace import Secret
    from tailrace_eventhubs.settings import AccountSettings, ConnectionSettings

Partitioning = Literal["key", "client-hash", "round-robin"]
Transport = Literal["amqp", "websocket", "kafka"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The account and connection in one. Secrets are references, so it can be pickled and shown."""

    event_hub_name: str
    partitioning: Partitioning = "key"
    content_type: str | None = None
    event_id_property: str | None = None
    cloudevents_mode: Literal["structured", "binary"] = "structured"
    namespace: str | None = None
    sas_key_name: str | None = None
    sas_key: Secret | None = None
    connection_string: Secret | None = None
    sas_token: Secret | None = None
    credential: str | None = None
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: Secret | None = None
    client_certificate: str | None = None
    token_file: str | None = None
    transport: Transport = "amqp"
    endpoint: str | None = None
    proxy: str | None = None
    ca_bundle: str | None = None

    @classmethod
    def of(cls, account: AccountSettings, connection: ConnectionSettings) -> Target:
        """What the core does by itself, the key rule, is not in it."""
        values: dict[str, Any] = {name: getattr(account, name) for name in type(account).model_fields}
        names = {field.name for field in fields(cls)}
        values |= {n: getattr(connection, n) for n in type(connection).model_fields if n in names}
        return cls(**values)

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> Target:
        return cls(**settings)  # type: ignore[arg-type]

    def as_settings(self) -> dict[str, object]:
        return {field.name: getattr(self, field.name) for field in fields(self)}
