"""Where an export goes, as plain values: what the plan carries from the activate to the export step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from tailrace_kinesis.streams import Stream

if TYPE_CHECKING:
    from tailrace import Secret
    from tailrace_kinesis.settings import AccountSettings, ConnectionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The account and connection in one. Secrets are references, so it can be pickled and shown."""

    stream: str
    region: str | None = None
    access_key_id: str | None = None
    secret_key: Secret | None = None
    session_token: Secret | None = None
    profile: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    role_session_name: str = "tailrace"
    endpoint_url: str | None = None
    ca_bundle: str | None = None
    proxy: str | None = None
    use_fips: bool | None = None
    use_dualstack: bool | None = None

    @classmethod
    def of(cls, account: AccountSettings, connection: ConnectionSettings) -> Target:
        """The stream's own region comes before the account's."""
        values: dict[str, Any] = {name: getattr(account, name) for name in type(account).model_fields}
        stream = Stream.parse(connection.stream)
        values["region"] = stream.region or connection.region or account.region
        return cls(stream=connection.stream, **values)

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> Target:
        return cls(**settings)  # type: ignore[arg-type]

    def as_settings(self) -> dict[str, object]:
        return {field.name: getattr(self, field.name) for field in fields(self)}
