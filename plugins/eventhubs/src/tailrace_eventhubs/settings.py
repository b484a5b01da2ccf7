"""What a user types in: the models of an account and of a connection. No I/O."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, StringConstraints, model_validator

from tailrace import KeyRuleText, Secret, Settings
from tailrace_eventhubs.addresses import check_endpoint, check_proxy
from tailrace_eventhubs.hubs import check_hub, namespace_host

Namespace = Annotated[str, AfterValidator(namespace_host)]
HubName = Annotated[str, AfterValidator(check_hub)]
EndpointText = Annotated[str, AfterValidator(check_endpoint)]
Proxy = Annotated[str, AfterValidator(check_proxy)]
Guid = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]{1,128}$")]
PropertyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.:-]{0,63}$")]
ContentType = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e][\x20-\x7e]{0,126}$")]

_IDENTITY_FIELDS = {
    "default": (),
    "managed-identity": ("client_id",),
    "workload-identity": ("tenant_id", "client_id", "token_file"),
    "service-principal": ("tenant_id", "client_id", "client_secret", "client_certificate"),
}
"""What belongs to each kind of `credential`."""


class AccountSettings(Settings):
    """Credentials and where they are valid.

    The credentials are one of: a SAS key with its name; a SAS token; a connection string, which holds a
    key or a token and says the namespace; or a `credential` of Microsoft Entra ID.
    """

    namespace: Namespace | None = Field(
        None,
        title="Namespace",
        description="Name of the Event Hubs namespace, or its host name outside of the public cloud.",
    )
    sas_key_name: str | None = Field(
        None,
        title="SAS key name",
        description="Name of the shared access policy (authorization rule), for example "
        "RootManageSharedAccessKey; one with the claim Send is enough.",
        pattern=r"^[A-Za-z0-9_.-]+$",
        max_length=256,
        validation_alias=AliasChoices("sas_key_name", "sasKeyName"),
    )
    sas_key: Secret | None = Field(
        None,
        title="SAS key",
        description="Primary or secondary key of that policy.",
        validation_alias=AliasChoices("sas_key", "sasKey"),
    )
    connection_string: Secret | None = Field(
        None,
        title="Connection string",
        description="Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…, of the namespace or of one "
        "event hub (EntityPath=…), instead of namespace, key name and key.",
        validation_alias=AliasChoices("connection_string", "connectionString"),
    )
    sas_token: Secret | None = Field(
        None,
        title="SAS token",
        description="SharedAccessSignature sr=…&sig=…&se=…&skn=…, instead of a key. It is not renewed: "
        "one in a file is read again once it was refused.",
        validation_alias=AliasChoices("sas_token", "sasToken"),
    )
    credential: Literal["default", "managed-identity", "workload-identity", "service-principal"] | None = (
        Field(
            None,
            title="Credential",
            description="A Microsoft Entra identity instead of a key: default (what the Azure SDK finds), "
            "managed-identity, workload-identity or service-principal. Needs the extra `identity`.",
        )
    )
    tenant_id: Guid | None = Field(
        None,
        title="Tenant ID",
        description="Microsoft Entra tenant of the service principal or workload identity.",
        validation_alias=AliasChoices("tenant_id", "tenantId"),
    )
    client_id: Guid | None = Field(
        None,
        title="Client ID",
        description="Application ID of the service principal, or client ID of a user-assigned identity.",
        validation_alias=AliasChoices("client_id", "clientId"),
    )
    client_secret: Secret | None = Field(
        None,
        title="Client secret",
        description="Secret of the service principal.",
        validation_alias=AliasChoices("client_secret", "clientSecret"),
    )
    client_certificate: str | None = Field(
        None,
        title="Client certificate",
        description="File with certificate and private key of the service principal, instead of a secret.",
        min_length=1,
    )
    token_file: str | None = Field(
        None,
        title="Token file",
        description="File with the token of the workload identity, where AZURE_FEDERATED_TOKEN_FILE does "
        "not name it.",
        min_length=1,
    )
    transport: Literal["amqp", "websocket", "kafka"] = Field(
        "amqp",
        title="Transport",
        description="amqp (port 5671), websocket (AMQP over port 443, can go through a proxy; needs the "
        "extra `websocket`) or kafka (port 9093, Standard tier and up; needs the extra `kafka`).",
    )
    endpoint: EndpointText | None = Field(
        None,
        title="Endpoint",
        description="Another address to connect to for the namespace: amqps://HOST[:PORT] anywhere, "
        "amqp://HOST[:PORT] to this machine only.",
    )
    proxy: Proxy | None = Field(
        None,
        title="Proxy",
        description="HTTP proxy for the transport websocket, http://HOST:PORT. Without one HTTPS_PROXY and "
        "NO_PROXY act.",
    )
    ca_bundle: str | None = Field(
        None,
        title="CA bundle",
        description="File with the certificates to trust, in place of the usual ones.",
        min_length=1,
    )

    @model_validator(mode="after")
    def _fits(self) -> AccountSettings:
        self._check_credentials()
        if self.proxy is not None and self.transport != "websocket":
            raise ValueError("proxy needs transport=websocket: the other transports cannot go through one")
        return self

    def _check_credentials(self) -> None:
        if (self.sas_key_name is None) != (self.sas_key is None):
            raise ValueError("sas_key_name and sas_key belong together")
        ways = ("sas_key", "sas_token", "connection_string", "credential")
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of {', '.join(ways)}" + (f", not {' and '.join(given)}" if given else "")
            )
        if self.connection_string is None and self.namespace is None:
            raise ValueError("namespace is missing; only a connection string holds it")
        if self.connection_string is not None and (self.namespace or self.endpoint):
            raise ValueError("a connection string says the namespace and the endpoint itself")
        self._check_identity()

    def _check_identity(self) -> None:
        belongs = _IDENTITY_FIELDS[self.credential] if self.credential else ()
        for name in ("tenant_id", "client_id", "client_secret", "client_certificate", "token_file"):
            if getattr(self, name) is not None and name not in belongs:
                kinds = " or ".join(kind for kind, names in _IDENTITY_FIELDS.items() if name in names)
                raise ValueError(f"{name} needs credential={kinds}")
        if self.credential == "service-principal":
            if self.tenant_id is None or self.client_id is None:
                raise ValueError("a service principal needs tenant_id and client_id")
            if (self.client_secret is None) == (self.client_certificate is None):
                raise ValueError("a service principal needs either client_secret or client_certificate")


class ConnectionSettings(Settings):
    """One event hub, which must exist: it is never created."""

    event_hub_name: HubName = Field(
        title="Event hub name",
        description="Name of an existing event hub.",
        validation_alias=AliasChoices("event_hub_name", "eventHubName"),
    )
    partitioning: Literal["key", "client-hash", "round-robin"] = Field(
        "key",
        title="Partitioning",
        description="key: each event carries its partition key and the service places it; client-hash: the "
        "same placement is computed here and the event carries no key, which packs many keys together; "
        "round-robin: no key and no order.",
    )
    partition_key: KeyRuleText = Field(
        "identity",
        title="Partition key",
        description="Which value places an event on a partition: identity, identity:NS,NS, attribute:PATH "
        "or random.",
    )
    partition_key_hash: Literal["none", "sha256"] = Field(
        "none",
        title="Partition key hash",
        description="sha256 uses the hash of the key in place of the key, which consumers could see.",
    )
    partition_key_missing: Literal["dead-letter", "random"] = Field(
        "dead-letter",
        title="Missing partition key",
        description="What to do with an update that has no such key.",
    )
    content_type: ContentType | None = Field(
        None,
        title="Content type",
        description="Value of the message property content-type of each event. Unless given there is none; "
        "with the format cloudevents it is application/cloudevents+json in structured mode and "
        "application/json in binary mode.",
        validation_alias=AliasChoices("content_type", "contentType"),
    )
    event_id_property: PropertyName | None = Field(
        None,
        title="Event id property",
        description="Name of an application property that carries the event id, for consumers that drop "
        "what they have seen. Needs the format cloudevents.",
        validation_alias=AliasChoices("event_id_property", "eventIdProperty"),
    )
    cloudevents_mode: Literal["structured", "binary"] = Field(
        "structured",
        title="CloudEvents mode",
        description="With the format cloudevents: structured keeps the envelope in the body, binary makes "
        "application properties (cloudEvents:id, …) of it and leaves the data as the body.",
    )

    @model_validator(mode="after")
    def _fits(self) -> ConnectionSettings:
        if self.partitioning == "round-robin":
            given = self.model_fields_set & {"partition_key", "partition_key_hash", "partition_key_missing"}
            if given:
                raise ValueError(
                    f"{min(given)} needs partitioning=key or client-hash: round-robin has no key"
                )
        return self
