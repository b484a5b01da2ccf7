"""What a user types in: the models of an account and of a connection. No I/O."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, StringConstraints, model_validator

from tailrace import KeyRuleText, Secret, Settings
from tailrace_kinesis.addresses import check_endpoint, check_proxy
from tailrace_kinesis.streams import Stream

# A region becomes part of a host name, so it may hold nothing but a label.
Region = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
RoleArn = Annotated[
    str,
    StringConstraints(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$", max_length=640),
]
Endpoint = Annotated[str, AfterValidator(check_endpoint)]
Proxy = Annotated[str, AfterValidator(check_proxy)]


def _check_stream(text: str) -> str:
    Stream.parse(text)
    return text


StreamText = Annotated[str, AfterValidator(_check_stream)]


class AccountSettings(Settings):
    """Credentials and where they are valid.

    The credentials are an access key, or a profile of the AWS configuration files, or, with neither,
    what the default chain of the AWS SDK finds; a role is assumed with any of them. A field that is
    left open follows the SDK's own environment variables.
    """

    access_key_id: str | None = Field(
        None,
        title="Access key ID",
        description="Access key of an IAM user or of temporary credentials, for example AKIA…",
        pattern=r"^[A-Za-z0-9_-]+$",
        max_length=128,
        validation_alias=AliasChoices("access_key_id", "accessKeyId"),
    )
    secret_key: Secret | None = Field(
        None,
        title="Secret key",
        description="The secret that belongs to the access key.",
        validation_alias=AliasChoices("secret_key", "secretKey"),
    )
    session_token: Secret | None = Field(
        None,
        title="Session token",
        description="Only with temporary credentials (an access key that begins with ASIA).",
        validation_alias=AliasChoices("session_token", "sessionToken"),
    )
    profile: str | None = Field(
        None,
        title="Profile",
        description="Name of a profile in the AWS configuration files, instead of an access key.",
        min_length=1,
    )
    role_arn: RoleArn | None = Field(
        None,
        title="Role ARN",
        description="Role to assume before writing: arn:aws:iam::ACCOUNT:role/NAME.",
        validation_alias=AliasChoices("role_arn", "roleArn"),
    )
    external_id: str | None = Field(
        None,
        title="External ID",
        description="The external ID that the role's trust policy asks for.",
        pattern=r"^[A-Za-z0-9_+=,.@:/-]+$",
        min_length=2,
        max_length=1224,
        validation_alias=AliasChoices("external_id", "externalId"),
    )
    role_session_name: str = Field(
        "tailrace",
        title="Role session name",
        description="How the session is named in CloudTrail.",
        pattern=r"^[A-Za-z0-9_+=,.@-]+$",
        min_length=2,
        max_length=64,
    )
    region: Region | None = Field(
        None,
        title="Region",
        description="AWS region of the stream, for example eu-west-1. Without one the stream's ARN, "
        "AWS_REGION, AWS_DEFAULT_REGION or the profile says it.",
    )
    endpoint_url: Endpoint | None = Field(
        None,
        title="Endpoint URL",
        description="A VPC endpoint or another server that speaks the Kinesis protocol: https "
        "anywhere, http to this machine only.",
        validation_alias=AliasChoices("endpoint_url", "connectionUrl"),
    )
    ca_bundle: str | None = Field(
        None,
        title="CA bundle",
        description="File with the certificates to trust, in place of the usual ones.",
        min_length=1,
    )
    proxy: Proxy | None = Field(
        None,
        title="Proxy",
        description="Proxy for all requests, http://HOST:PORT. Without one HTTPS_PROXY and NO_PROXY act.",
    )
    use_fips: bool | None = Field(None, title="Use FIPS", description="Use the FIPS endpoint of the region.")
    use_dualstack: bool | None = Field(
        None, title="Use dual-stack", description="Use the endpoint that also speaks IPv6."
    )

    @model_validator(mode="after")
    def _fits(self) -> AccountSettings:
        if (self.access_key_id is None) != (self.secret_key is None):
            raise ValueError("access_key_id and secret_key belong together")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("session_token needs access_key_id and secret_key")
        if self.access_key_id is not None and self.profile is not None:
            raise ValueError("give either access_key_id or profile, not both")
        if self.external_id is not None and self.role_arn is None:
            raise ValueError("external_id needs role_arn")
        if self.endpoint_url is not None and (self.use_fips or self.use_dualstack):
            raise ValueError("use_fips and use_dualstack choose the endpoint, so they exclude endpoint_url")
        return self


class ConnectionSettings(Settings):
    """One stream, which must exist: it is never created."""

    stream: StreamText = Field(
        title="Stream",
        description="Name or ARN of an existing data stream.",
    )
    region: Region | None = Field(
        None, title="Region", description="Region of this stream, where it is not the account's."
    )
    partition_key: KeyRuleText = Field(
        "identity",
        title="Partition key",
        description="Which value places a record on a shard: identity, identity:NS,NS, attribute:PATH "
        "or random.",
    )
    partition_key_hash: Literal["none", "sha256"] = Field(
        "none",
        title="Partition key hash",
        description="sha256 sends the hash of the key instead of the key, which consumers and the "
        "stream's metrics could otherwise see.",
    )
    partition_key_missing: Literal["dead-letter", "random"] = Field(
        "dead-letter",
        title="Missing partition key",
        description="What to do with an update that has no such key.",
    )

    @model_validator(mode="after")
    def _fits(self) -> ConnectionSettings:
        region = Stream.parse(self.stream).region
        if self.region is not None and region not in (None, self.region):
            raise ValueError("region differs from the one in the stream's ARN")
        return self
