"""A small destination, without a network, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from pydantic import AliasChoices, BaseModel, Field, field_validator

import tailrace
from tailrace import KeyRuleText, Secret, Settings

ACCOUNT: Mapping[str, object] = {"region": "north-1", "secret_key": "env:DEPOT_SECRET"}
SEGMENT = "7841ba61-23c1-4bb3-a495-00d695fe1e93"


class DepotAccount(Settings):
    region: str = Field(pattern=r"^[a-z]+-[0-9]+$")
    access_key_id: str | None = Field(
        default=None, validation_alias=AliasChoices("access_key_id", "accessKeyId")
    )
    secret_key: Secret | None = Field(default=None, validation_alias=AliasChoices("secret_key", "secretKey"))
    token: Secret | None = None
    verify: bool = True
    attempts: int = 3
    hosts: list[str] = Field(default=[])

    @field_validator("access_key_id")
    @classmethod
    def _upper(cls, value: str | None) -> str | None:
        if value is not None and not value.isupper():
            raise ValueError(f"{value!r} is not upper case: {value}")
        return value


class DepotConnection(Settings):
    stream: str
    partition_key: KeyRuleText = "identity"
    mode: Literal["plain", "wrapped"] = "plain"
    password: Secret | None = None


class Depot:
    """A destination that takes records of up to 100 bytes, or none where the stream is `misfit`."""

    api_version = "1.0"

    def __init__(self) -> None:
        self.meanwhile: Callable[[], object] | None = None
        """Called once, while somebody has read an object and not yet written it."""

    @tailrace.hookimpl
    def account(self) -> tailrace.DestinationSpec:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return tailrace.DestinationSpec(
            title="Depot", description="Kept nowhere", account=DepotAccount, connection=DepotConnection
        )

    @tailrace.hookimpl
    def auth(
        self, account: BaseModel, connection: BaseModel, context: tailrace.HookContext
    ) -> tailrace.AuthReport:
        assert isinstance(account, DepotAccount)
        secret = account.secret_key
        return tailrace.AuthReport(identity=context.secret(secret) if secret else "nobody")

    @tailrace.hookimpl
    def activate(
        self, account: BaseModel, connection: BaseModel, activation: tailrace.ActivationInfo
    ) -> tailrace.Plan:
        assert isinstance(account, DepotAccount)
        assert isinstance(connection, DepotConnection)
        if connection.stream == "misfit":
            raise tailrace.Misconfigured(f"activation {activation.name!r} does not fit the stream")
        return tailrace.Plan(
            destination="depot",
            format=activation.format,
            limits=tailrace.Limits(records=10, bytes=1000, record_bytes=100),
            key=tailrace.KeyPlan(rule=connection.partition_key),
            settings={"stream": connection.stream, "secret": account.secret_key},
        )

    @tailrace.hookimpl
    def export(self, plan: tailrace.Plan, context: tailrace.HookContext) -> tailrace.Exporter:
        raise AssertionError("no test here exports")

    def policy(self, account: BaseModel, connection: BaseModel) -> str:
        assert isinstance(connection, DepotConnection)
        return f"may write {connection.stream}"


class Quay(Depot):
    """The same without a policy."""

    policy = None  # type: ignore[assignment]


class Hands:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def time(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds
