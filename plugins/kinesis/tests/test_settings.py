"""What a user types in."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from pydantic import ValidationError

from plugins.kinesis.tests.kit import KEY, plan
from tailrace import ActivationInfo
from tailrace_kinesis import destination
from tailrace_kinesis.streams import Stream

ARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/hot-leads"
SPEC = destination.account()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"region": "eu-west-1"},
        {"access_key_id": KEY, "secret_key": "env:X"},
        {"accessKeyId": KEY, "secretKey": "env:X", "connectionUrl": "https://kinesis.example"},
        {"access_key_id": "ASIAX", "secret_key": "sealed:x", "session_token": "file:/run/token"},
        {"profile": "prod"},
        {"role_arn": "arn:aws:iam::123456789012:role/path/writer", "external_id": "a:b/c"},
        {"profile": "prod", "role_arn": "arn:aws-cn:iam::123456789012:role/writer"},
        {"use_fips": "true", "use_dualstack": "yes"},
    ],
)
def test_accounts(fields: dict[str, Any]) -> None:
    SPEC.account(**fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"access_key_id": KEY}, "belong together"),
        ({"secret_key": "env:X"}, "belong together"),
        ({"session_token": "env:X"}, "session_token needs"),
        ({"access_key_id": KEY, "secret_key": "env:X", "profile": "p"}, "not both"),
        ({"external_id": "xx"}, "needs role_arn"),
        ({"endpoint_url": "https://h.example", "use_fips": True}, "exclude"),
        ({"endpoint_url": "http://h.example"}, "this machine only"),
        ({"endpoint_url": "http://169.254.169.254"}, "never"),
        ({"proxy": "proxy:1"}, "a proxy is"),
        ({"region": "eu west"}, "pattern"),
        ({"region": "evil.example/"}, "pattern"),
        ({"region": "x\n"}, "pattern"),
        ({"role_arn": "arn:aws:iam::1:role/x"}, "pattern"),
        ({"secret_key": "canary-literal", "access_key_id": KEY}, "env:NAME"),
        ({"regoin": "eu-west-1"}, "Extra inputs"),
    ],
)
def test_accounts_that_do_not_fit(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SPEC.account(**fields)
    assert said in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("stream", ["hot-leads", "a", "A_b.c-9", "x" * 128, ARN])
def test_streams(stream: str) -> None:
    SPEC.connection(stream=stream)


@pytest.mark.parametrize(
    "stream",
    [
        "",
        "x" * 129,
        "hot leads",
        "hot/leads",
        "é",
        "arn:aws:kinesis:eu-west-1:1:stream/x",
        ARN + "/consumer/y",
        ARN + "\n",
    ],
)
def test_not_streams(stream: str) -> None:
    with pytest.raises(ValidationError):
        SPEC.connection(stream=stream)


def test_an_arn_and_another_region_contradict() -> None:
    SPEC.connection(stream=ARN, region="eu-west-1")
    with pytest.raises(ValidationError, match="differs"):
        SPEC.connection(stream=ARN, region="us-east-1")


@pytest.mark.parametrize(
    ("account", "connection", "region"),
    [
        ("us-east-1", {"stream": "s"}, "us-east-1"),
        ("us-east-1", {"stream": "s", "region": "eu-west-2"}, "eu-west-2"),
        ("us-east-1", {"stream": ARN}, "eu-west-1"),
        (None, {"stream": ARN}, "eu-west-1"),
        (None, {"stream": "s"}, None),
    ],
)
def test_whose_region_counts(account: str | None, connection: dict[str, str], region: str | None) -> None:
    made = destination.activate(
        SPEC.account(region=account),
        SPEC.connection(**connection),
        ActivationInfo(name="a", format="xdm-json"),
    )
    assert made.settings["region"] == region


def test_an_arn_in_its_parts() -> None:
    stream = Stream.parse("arn:aws-us-gov:kinesis:us-gov-west-1:123456789012:stream/x")
    assert (stream.name, stream.partition, stream.region, stream.account_id) == (
        "x",
        "aws-us-gov",
        "us-gov-west-1",
        "123456789012",
    )


def test_the_plan_says_the_limits_and_the_key() -> None:
    made = destination.activate(
        SPEC.account(),
        SPEC.connection(
            stream="s",
            partition_key="attribute:person.id",
            partition_key_hash="sha256",
            partition_key_missing="random",
        ),
        ActivationInfo(name="a", format="xdm-json"),
    )
    assert (made.limits.records, made.limits.bytes, made.limits.record_bytes, made.limits.key_bytes) == (
        500,
        10 << 20,
        10 << 20,
        256,
    )
    assert (made.key.rule, made.key.hash, made.key.missing) == ("attribute:person.id", "sha256", "random")
    assert (made.in_flight, made.format, made.destination) == (8, "xdm-json", "kinesis")


def test_a_plan_travels_without_a_secret() -> None:
    made = plan(None, session_token="env:TOKEN")
    pickled = pickle.dumps(made)
    assert pickle.loads(pickled) == made
    assert b"canary" not in pickled
    assert b"env:SECRET" in pickled


def test_every_field_says_what_it_is() -> None:
    for model in (SPEC.account, SPEC.connection):
        for name, field in model.model_fields.items():
            assert field.title, name
            assert field.description, name
