"""Which URL is called: AWS's own rules, and what overrides them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tailrace import Misconfigured
from tailrace_kinesis.endpoints import endpoint_of, is_aws, partition_of, region_of
from tailrace_kinesis.policy import write_policy
from tailrace_kinesis.target import Target


def target(stream: str = "s", **fields: Any) -> Target:
    return Target(stream=stream, access_key_id="AKID", **fields)


def arn(region: str, partition: str = "aws") -> str:
    return f"arn:{partition}:kinesis:{region}:123456789012:stream/s"


@pytest.mark.parametrize(
    ("region", "fields", "url"),
    [
        ("eu-west-1", {}, "https://kinesis.eu-west-1.amazonaws.com"),
        ("eu-west-1", {"use_fips": True}, "https://kinesis-fips.eu-west-1.amazonaws.com"),
        ("eu-west-1", {"use_dualstack": True}, "https://kinesis.eu-west-1.api.aws"),
        ("us-east-2", {"use_fips": True, "use_dualstack": True}, "https://kinesis-fips.us-east-2.api.aws"),
        ("us-gov-west-1", {}, "https://kinesis.us-gov-west-1.amazonaws.com"),
        ("us-gov-west-1", {"use_fips": True}, "https://kinesis.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", {}, "https://kinesis.cn-north-1.amazonaws.com.cn"),
        ("cn-north-1", {"use_dualstack": True}, "https://kinesis.cn-north-1.api.amazonwebservices.com.cn"),
        ("us-iso-east-1", {}, "https://kinesis.us-iso-east-1.c2s.ic.gov"),
        ("eu-west-9", {}, "https://kinesis.eu-west-9.amazonaws.com"),
    ],
)
def test_by_name(region: str, fields: dict[str, Any], url: str) -> None:
    assert endpoint_of(target(region=region, **fields), "kinesis", region) == url
    assert is_aws(url)


@pytest.mark.parametrize(
    ("region", "partition", "operation", "url"),
    [
        ("us-east-1", "aws", "data", "https://123456789012.data-kinesis.us-east-1.amazonaws.com"),
        ("us-east-1", "aws", "control", "https://123456789012.control-kinesis.us-east-1.amazonaws.com"),
        ("cn-north-1", "aws-cn", "data", "https://123456789012.data-kinesis.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_by_arn(region: str, partition: str, operation: Any, url: str) -> None:
    assert endpoint_of(target(arn(region, partition), region=region), "kinesis", region, operation) == url
    assert is_aws(url)


@pytest.mark.parametrize(
    ("region", "fields", "url"),
    [
        ("eu-west-1", {}, "https://sts.eu-west-1.amazonaws.com"),
        ("us-east-1", {"use_fips": True}, "https://sts-fips.us-east-1.amazonaws.com"),
        ("cn-north-1", {}, "https://sts.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_sts_is_regional(region: str, fields: dict[str, Any], url: str) -> None:
    assert endpoint_of(target(region=region, **fields), "sts", region) == url


def test_the_account_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://all.example")
    assert endpoint_of(target(), "kinesis", "eu-west-1") == "https://all.example"
    assert endpoint_of(target(), "sts", "eu-west-1") == "https://all.example"
    monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS", "https://kinesis.example/")
    assert endpoint_of(target(), "kinesis", "eu-west-1") == "https://kinesis.example"
    assert (
        endpoint_of(target(endpoint_url="https://own.example"), "kinesis", "eu-west-1")
        == "https://own.example"
    )
    assert (
        endpoint_of(target(endpoint_url="https://own.example"), "sts", "eu-west-1") == "https://all.example"
    )
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert endpoint_of(target(), "kinesis", "eu-west-1") == "https://kinesis.eu-west-1.amazonaws.com"


def test_the_environment_is_checked_like_a_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://169.254.169.254")
    with pytest.raises(Misconfigured, match="metadata"):
        endpoint_of(target(), "kinesis", "eu-west-1")


def test_flags_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
    assert endpoint_of(target(), "kinesis", "us-east-1") == "https://kinesis-fips.us-east-1.api.aws"
    assert endpoint_of(target(use_fips=False), "kinesis", "us-east-1") == "https://kinesis.us-east-1.api.aws"
    with pytest.raises(Misconfigured, match="exclude"):
        endpoint_of(target(endpoint_url="https://own.example"), "kinesis", "us-east-1")


def test_where_the_region_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misconfigured, match="region"):
        region_of(target())
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(
        "[default]\nregion = sa-east-1\n[profile p]\nregion = ca-west-1\n"
    )
    assert region_of(target()) == "sa-east-1"
    assert region_of(Target(stream="s", profile="p")) == "ca-west-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert region_of(target()) == "eu-north-1"
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert region_of(target()) == "eu-west-3"
    assert region_of(target(region="us-east-1")) == "us-east-1"
    monkeypatch.setenv("AWS_REGION", "evil.example/")
    with pytest.raises(Misconfigured):
        region_of(target())


def test_a_profile_may_name_an_endpoint() -> None:
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(
        "[profile p]\nendpoint_url = https://all.example\nservices = mine\n"
        "[services mine]\nkinesis =\n  endpoint_url = https://streams.example\n"
    )
    made = Target(stream="s", profile="p")
    assert endpoint_of(made, "kinesis", "eu-west-1") == "https://streams.example"
    assert endpoint_of(made, "sts", "eu-west-1") == "https://all.example"


@pytest.mark.parametrize(
    "url",
    [
        "https://kinesis.example.com",
        "https://kinesis.eu-west-1.amazonaws.com.example.com",
        "https://evilkinesis.eu-west-1.amazonaws.com",
        "https://ec2-1-2-3-4.eu-west-1.compute.amazonaws.com",
        "https://kinesis.eu-west-1.elb.amazonaws.com",
        "https://kinesis-1.eu-west-1.elb.amazonaws.com",
        "http://127.0.0.1:4567",
        "https://10.0.0.7",
    ],
)
def test_not_aws(url: str) -> None:
    assert not is_aws(url)


def test_a_vpc_endpoint_is_aws() -> None:
    assert is_aws("https://vpce-0a1b-2c3d.kinesis.eu-west-1.vpce.amazonaws.com")
    assert is_aws("https://vpce-0a1b-2c3d-eu-west-1a.kinesis.eu-west-1.vpce.amazonaws.com")


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-east-1", "aws-us-gov"), ("local", "aws")],
)
def test_partitions(region: str, partition: str) -> None:
    assert partition_of(region) == partition


@pytest.mark.parametrize(
    ("made", "resource"),
    [
        (target(region="eu-west-1"), "arn:aws:kinesis:eu-west-1:*:stream/s"),
        (target(region="cn-north-1"), "arn:aws-cn:kinesis:cn-north-1:*:stream/s"),
        (target(), "arn:aws:kinesis:*:*:stream/s"),
        (target(arn("us-gov-west-1", "aws-us-gov")), arn("us-gov-west-1", "aws-us-gov")),
    ],
)
def test_the_policy_allows_two_actions_on_one_stream(made: Target, resource: str) -> None:
    import json

    policy = json.loads(write_policy(made))
    assert policy["Version"] == "2012-10-17"
    (statement,) = policy["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Action"] == ["kinesis:DescribeStreamSummary", "kinesis:PutRecords"]
    assert statement["Resource"] == resource
