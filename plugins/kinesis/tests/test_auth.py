"""The authentication step: what it proves, and what it says it could not prove."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.kinesis.tests.kit import context, settings
from tailrace import AuthReport, Check, Misconfigured
from tailrace_kinesis import auth, destination
from tailrace_kinesis.fakeserver import Fault, KinesisServer, Raw, Refuse, Reset, Role, Stream

ROLE = "arn:aws:iam::123456789012:role/writer"
ARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/hot-leads"


def look(server: KinesisServer | None, *, stream: str = "hot-leads", **account: Any) -> AuthReport:
    spec = destination.account()
    return destination.auth(
        spec.account(**settings(server, **account)),
        spec.connection(stream=stream),
        context(write_timeout=3.0),
    )


def named(report: AuthReport, name: str) -> Check:
    return next(check for check in report.checks if check.name == name)


def statuses(report: AuthReport) -> dict[str, str]:
    return {check.name: check.status for check in report.checks}


@pytest.fixture
def aws(server: KinesisServer, monkeypatch: pytest.MonkeyPatch) -> KinesisServer:
    """A server that counts as AWS: it knows DryRun, and is its own STS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
    monkeypatch.setattr(auth, "is_aws", lambda url: True)
    server.streams["hot-leads"] = Stream(knows_dry_run=True, reports_limit=True, shards=4)
    return server


def test_all_is_well(aws: KinesisServer) -> None:
    report = look(aws)
    assert report.ok
    assert report.identity == "arn:aws:iam::123456789012:user/writer"
    assert set(statuses(report).values()) == {"ok"}
    assert statuses(report).keys() == {
        "identity",
        "stream",
        "capacity mode",
        "open shards",
        "write permission",
    }
    assert named(report, "capacity mode").detail == "PROVISIONED"
    assert named(report, "open shards").detail == "4"
    assert report.limits["record size"] == "1024 KiB, data and key"
    assert "4 MB/s and 4000 records/s" in report.limits["rate"]
    assert aws.accepted() == []


def test_one_shard_is_not_several(aws: KinesisServer) -> None:
    aws.streams["hot-leads"].shards = 1
    assert look(aws).limits["rate"] == "1 MB/s and 1000 records/s over 1 open shard"


@pytest.mark.parametrize(("stream", "with_arn"), [("hot-leads", False), (ARN, True)])
def test_a_stream_by_name_or_arn(aws: KinesisServer, stream: str, with_arn: bool) -> None:
    assert look(aws, stream=stream).ok


def test_elsewhere_the_permission_is_not_proved_and_nothing_is_written(server: KinesisServer) -> None:
    report = look(server)
    assert report.ok
    assert named(report, "write permission").status == "unproven"
    assert "without writing a record" in named(report, "write permission").detail
    assert server.calls_of("PutRecords") == []


def test_credentials_for_another_server_are_not_shown_to_aws(server: KinesisServer) -> None:
    assert named(look(server), "identity").status == "unproven"
    assert server.calls_of("GetCallerIdentity") == []


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        (Refuse("DryRunOperationException"), "ok", "would have succeeded"),
        (Refuse("DryRunOperationException", status=412), "ok", "would have succeeded"),
        (Refuse("AccessDeniedException"), "failed", "AccessDeniedException"),
        (Refuse("KMSAccessDeniedException"), "failed", "KMSAccessDeniedException"),
        (Refuse("ResourceNotFoundException"), "failed", "no such stream"),
        (Refuse("ThrottlingException"), "unproven", "kinesis"),
        (Refuse("ValidationException"), "unproven", "kinesis"),
        (Refuse("SomethingNew"), "unproven", "kinesis"),
        (Refuse("x", status=500), "unproven", "kinesis"),
        (Reset(), "unproven", "kinesis"),
        (Raw(b'{"FailedRecordCount":0,"Records":[]}'), "ok", "kept the probe"),
    ],
)
def test_what_a_dry_run_says(aws: KinesisServer, fault: Fault, status: str, said: str) -> None:
    aws.script("PutRecords", fault)
    report = look(aws)
    assert named(report, "write permission").status == status
    assert said in named(report, "write permission").detail
    assert report.ok is (status != "failed")
    if fault == Refuse("AccessDeniedException"):
        assert "kinesis:PutRecords" in str(named(report, "write permission").hint)


def test_a_stream_that_is_missing(aws: KinesisServer) -> None:
    report = look(aws, stream="cold-leads")
    assert not report.ok
    assert "no stream 'cold-leads' in region eu-west-1" in named(report, "stream").detail
    assert "write permission" not in statuses(report)


@pytest.mark.parametrize(
    ("state", "status"),
    [("ACTIVE", "ok"), ("UPDATING", "ok"), ("CREATING", "failed"), ("DELETING", "failed")],
)
def test_the_state_of_the_stream(aws: KinesisServer, state: str, status: str) -> None:
    aws.streams["hot-leads"].status = state
    report = look(aws)
    assert named(report, "stream").status == status
    assert state in named(report, "stream").detail


def test_a_stream_that_may_not_be_described(aws: KinesisServer) -> None:
    """Least privilege: writing is enough."""
    aws.script("DescribeStreamSummary", Refuse("AccessDeniedException"))
    report = look(aws)
    assert report.ok
    assert statuses(report) == {"identity": "ok", "stream": "unproven", "write permission": "ok"}
    detail = named(report, "stream").detail
    assert detail.startswith("kinesis:DescribeStreamSummary: answered AccessDeniedException")
    assert detail.endswith(": the credentials may not describe the stream")


@pytest.mark.parametrize("account", [{"secret_key": "env:WRONG"}, {"access_key_id": "AKIDUNKNOWN"}])
def test_wrong_credentials(aws: KinesisServer, account: dict[str, Any]) -> None:
    report = look(aws, **account)
    assert statuses(report) == {"identity": "failed"}
    assert aws.calls_of("DescribeStreamSummary") == []


def test_wrong_credentials_where_sts_is_not_asked(server: KinesisServer) -> None:
    report = look(server, secret_key="env:WRONG")
    assert statuses(report) == {"identity": "unproven", "stream": "failed"}
    assert "InvalidSignatureException" in named(report, "stream").detail


def test_a_role(aws: KinesisServer) -> None:
    aws.roles[ROLE] = Role(external_id="ext-1")
    report = look(aws, role_arn=ROLE, external_id="ext-1")
    assert report.ok
    assert report.identity == "arn:aws:sts::123456789012:assumed-role/writer/tailrace"
    wrong = look(aws, role_arn=ROLE, external_id="ext-2")
    assert statuses(wrong) == {"identity": "failed"}


def test_sts_out_of_reach_proves_nothing(aws: KinesisServer) -> None:
    aws.always("GetCallerIdentity", Reset())
    report = look(aws)
    assert report.ok
    assert named(report, "identity").status == "unproven"
    assert named(report, "write permission").status == "ok"


def test_nobody_listens() -> None:
    report = look(None, endpoint_url="http://127.0.0.1:1")
    assert statuses(report) == {"identity": "unproven", "stream": "failed"}


def test_without_a_region_there_is_nothing_to_ask(server: KinesisServer) -> None:
    with pytest.raises(Misconfigured, match="region"):
        look(server, region=None)


def test_the_policy_is_printed_from_the_settings() -> None:
    spec = destination.account()
    text = destination.policy(spec.account(region="eu-west-1"), spec.connection(stream="hot-leads"))
    assert '"arn:aws:kinesis:eu-west-1:*:stream/hot-leads"' in text


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Refuse("UnrecognizedClientException"), 4), (Reset(), 6)],
    ids=["credentials", "network"],
)
def test_a_failed_check_says_which_kind_of_trouble_it_is(fault: Fault, code: int) -> None:
    """`tailrace connection test` ends with it."""
    with KinesisServer(streams={"hot-leads": Stream()}) as server:
        server.script("DescribeStreamSummary", fault)
        assert named(look(server), "stream").exit_code == code


def test_a_missing_stream_is_no_matter_of_credentials() -> None:
    with KinesisServer(streams={}) as server:
        assert named(look(server), "stream").exit_code == 3
