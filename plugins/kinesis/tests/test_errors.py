"""The error table, row by row, at the seam that the core sees."""

from __future__ import annotations

import time

import pytest

from plugins.kinesis.tests.kit import batch, exporting, numbers
from tailrace import AuthenticationFailed, Batch, Misconfigured, TailraceError, Transient
from tailrace_kinesis.errors import RECORD_RULES, REQUEST_RULES, request_rule
from tailrace_kinesis.fakeserver import FailRecords, KinesisServer, Raw, Refuse

REQUESTS: list[tuple[int, str, str]] = [
    (400, "ProvisionedThroughputExceededException", "throttled"),
    (400, "ThrottlingException", "throttled"),
    (400, "Throttling", "throttled"),
    (400, "LimitExceededException", "throttled"),
    (400, "RequestLimitExceeded", "throttled"),
    (429, "TooManyRequestsException", "throttled"),
    (503, "ThrottlingException", "throttled"),
    (400, "KMSThrottlingException", "throttled"),
    (400, "ResourceInUseException", "throttled"),
    (400, "ResourceNotFoundException", "misconfigured"),
    (400, "KMSAccessDeniedException", "misconfigured"),
    (400, "KMSDisabledException", "misconfigured"),
    (400, "KMSInvalidStateException", "misconfigured"),
    (400, "KMSNotFoundException", "misconfigured"),
    (400, "KMSOptInRequired", "misconfigured"),
    (400, "UnknownOperationException", "misconfigured"),
    (404, "UnknownOperationException", "misconfigured"),
    (400, "InvalidAction", "misconfigured"),
    (400, "UnsupportedOperation", "misconfigured"),
    (400, "SerializationException", "misconfigured"),
    (403, "OptInRequired", "authentication"),
    (403, "SubscriptionRequiredException", "authentication"),
    (400, "AccessDeniedException", "authentication"),
    (403, "AccessDenied", "authentication"),
    (403, "UnauthorizedException", "authentication"),
    (403, "NotAuthorized", "authentication"),
    (400, "ExpiredTokenException", "authentication"),
    (403, "ExpiredToken", "authentication"),
    (403, "RequestExpired", "authentication"),
    (403, "TokenRefreshRequired", "authentication"),
    (400, "UnrecognizedClientException", "authentication"),
    (403, "InvalidClientTokenId", "authentication"),
    (403, "InvalidAccessKeyId", "authentication"),
    (400, "InvalidSignatureException", "authentication"),
    (403, "SignatureDoesNotMatch", "authentication"),
    (400, "IncompleteSignature", "authentication"),
    (400, "IncompleteSignatureException", "authentication"),
    (403, "RequestTimeTooSkewed", "authentication"),
    (403, "MissingAuthenticationToken", "authentication"),
    (403, "MissingAuthenticationTokenException", "authentication"),
    (403, "SomethingNew", "authentication"),
    (401, "SomethingNew", "authentication"),
    (407, "SomethingNew", "misconfigured"),
    (404, "SomethingNew", "misconfigured"),
    (408, "SomethingNew", "ambiguous"),
    (500, "InternalFailure", "ambiguous"),
    (500, "SomethingNew", "ambiguous"),
    (500, "AccessDeniedException", "ambiguous"),
    (503, "ServiceUnavailable", "ambiguous"),
    (400, "ValidationException", "rejected"),
    (400, "InvalidArgumentException", "rejected"),
    (400, "SomethingNew", "rejected"),
    (413, "SomethingNew", "rejected"),
]


@pytest.mark.parametrize(("status", "code", "outcome"), REQUESTS)
def test_each_code_of_a_request(server: KinesisServer, status: int, code: str, outcome: str) -> None:
    server.always("PutRecords", Refuse(f"com.amazonaws.kinesis#{code}", "canary-message", status))
    with exporting(server) as exporter:
        if outcome == "rejected":
            failure = exporter.write(batch(1)).failures[0]
            assert failure.kind == "rejected"
            assert code in (failure.code, "SomethingNew") or code in failure.message
            assert "canary-message" not in failure.message
            return
        with pytest.raises(TailraceError) as caught:
            exporter.write(batch(3))
    error = caught.value
    assert (
        type(error)
        is {
            "throttled": Transient,
            "ambiguous": Transient,
            "misconfigured": Misconfigured,
            "authentication": AuthenticationFailed,
        }[outcome]
    )
    assert not isinstance(error, Transient) or error.ambiguous is (outcome == "ambiguous")
    assert code in error.message
    assert "request " in error.message
    assert "canary-message" not in f"{error.message} {error.hint}"
    assert server.accepted() == []


def test_the_rows_above_are_the_whole_table() -> None:
    written = {code for rule in REQUEST_RULES for code in rule.codes}
    assert written <= {code for _, code, _ in REQUESTS}


def test_no_code_is_in_two_rows() -> None:
    for rules in (REQUEST_RULES, RECORD_RULES):
        codes = [code for rule in rules for code in rule.codes]
        assert len(codes) == len(set(codes))


@pytest.mark.parametrize(
    ("code", "kind", "domain"),
    [
        ("ProvisionedThroughputExceededException", "throttled", "shardId-000000000000"),
        ("InternalFailure", "retry", None),
        ("SomethingNew", "ambiguous", None),
        ("KMSThrottlingException", "ambiguous", None),
    ],
)
@pytest.mark.parametrize("failed", [{0}, {2}, {1, 4}, {0, 1, 2, 3, 4}])
def test_each_code_of_a_record(
    server: KinesisServer, code: str, kind: str, domain: str | None, failed: set[int]
) -> None:
    server.script("PutRecords", FailRecords(dict.fromkeys(failed, code)))
    with exporting(server) as exporter:
        result = exporter.write(batch(5))
    assert set(result.failures) == failed
    assert {(f.kind, f.code, f.domain) for f in result.failures.values()} == {(kind, code, domain)}
    assert numbers(server) == sorted(set(range(5)) - failed)


def test_mixed_codes_in_one_answer(server: KinesisServer) -> None:
    codes = {1: "InternalFailure", 3: "ProvisionedThroughputExceededException", 5: "SomethingNew"}
    server.script("PutRecords", FailRecords(codes))
    with exporting(server) as exporter:
        result = exporter.write(batch(7))
    assert {n: f.kind for n, f in result.failures.items()} == {1: "retry", 3: "throttled", 5: "ambiguous"}


def test_a_throttled_record_says_its_shard(server: KinesisServer) -> None:
    message = "Rate exceeded for shard shardId-000000000042 in stream hot-leads under account 1."
    server.script("PutRecords", FailRecords({0: ("ProvisionedThroughputExceededException", message)}))
    with exporting(server) as exporter:
        assert exporter.write(batch(2)).failures[0].domain == "shardId-000000000042"


def test_the_hints_say_what_to_grant(server: KinesisServer) -> None:
    server.script("PutRecords", Refuse("AccessDeniedException"), Refuse("KMSAccessDeniedException"))
    with exporting(server) as exporter:
        with pytest.raises(AuthenticationFailed) as denied:
            exporter.write(batch(1))
        with pytest.raises(Misconfigured) as kms:
            exporter.write(batch(1))
    assert "kinesis:PutRecords on arn:aws:kinesis:eu-west-1:*:stream/hot-leads" in str(denied.value.hint)
    assert "kms:GenerateDataKey" in str(kms.value.hint)


def test_a_denied_caller_is_named(server: KinesisServer) -> None:
    message = "User: arn:aws:iam::123456789012:user/writer is not authorized to perform: kinesis:PutRecords"
    server.script("PutRecords", Refuse("AccessDeniedException", message))
    with exporting(server) as exporter, pytest.raises(AuthenticationFailed, match="user/writer"):
        exporter.write(batch(1))


def test_retry_after_is_passed_on(server: KinesisServer) -> None:
    server.script("PutRecords", Refuse("ThrottlingException", headers={"Retry-After": "7"}))
    with exporting(server) as exporter, pytest.raises(Transient) as caught:
        exporter.write(batch(1))
    assert caught.value.retry_after == 7.0


class _Ahead:
    """A clock that is ten minutes fast."""

    def time(self) -> float:
        return time.time() + 600

    def monotonic(self) -> float:
        return time.monotonic()


def test_a_wrong_clock_is_named(server: KinesisServer) -> None:
    server.script("PutRecords", Refuse("InvalidSignatureException", "Signature expired", 403))
    with exporting(server, clock=_Ahead()) as exporter, pytest.raises(AuthenticationFailed) as caught:
        exporter.write(batch(1))
    assert "clock" in str(caught.value.hint) and "+10 min" in str(caught.value.hint)


def test_a_right_clock_is_not_blamed(server: KinesisServer) -> None:
    with exporting(server, secret_key="env:WRONG") as exporter, pytest.raises(AuthenticationFailed) as caught:
        exporter.write(batch(1))
    assert "min off" not in str(caught.value.hint)


@pytest.mark.parametrize(
    ("answer", "error", "ambiguous"),
    [
        (Raw(b"<html>Service Unavailable</html>", 503), Transient, True),
        (Raw(b"", 500), Transient, True),
        (Raw(b"<html>Bad Request</html>", 400), Misconfigured, False),
        (Raw(b"<html>Not Found</html>", 404), Misconfigured, False),
        (Raw(b"", 301, {"Location": "http://169.254.169.254/"}), Misconfigured, False),
        (Raw(b"", 307, {"Location": "https://example.com/"}), Misconfigured, False),
    ],
)
def test_answers_of_something_else(
    server: KinesisServer, answer: Raw, error: type[TailraceError], ambiguous: bool
) -> None:
    server.script("PutRecords", answer)
    with exporting(server) as exporter, pytest.raises(error) as caught:
        exporter.write(batch(2))
    assert getattr(caught.value, "ambiguous", False) is ambiguous
    assert len(server.calls_of("PutRecords")) == 1
    assert "html" not in caught.value.message


def test_the_code_may_stand_in_a_header(server: KinesisServer) -> None:
    header = {"x-amzn-ErrorType": "ThrottlingException:http://internal/coral/"}
    server.script("PutRecords", Raw(b"{}", 400, header))
    with exporting(server) as exporter, pytest.raises(Transient, match="ThrottlingException"):
        exporter.write(batch(1))


@pytest.mark.parametrize("status", range(300, 600))
def test_every_status_has_a_rule(status: int) -> None:
    assert request_rule(status, None).meaning
    assert request_rule(status, "SomethingNew").meaning


def test_an_error_code_is_not_an_open_door(server: KinesisServer) -> None:
    """Text in place of a code is not repeated."""
    server.script("PutRecords", Refuse("canary <script> with spaces", status=403))
    with exporting(server) as exporter, pytest.raises(AuthenticationFailed) as caught:
        exporter.write(Batch(["k"], [b"d"]))
    assert "canary" not in caught.value.message
