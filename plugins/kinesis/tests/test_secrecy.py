"""No secret, key or record leaves through an error, a repr, a report or a log, debug logs included."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

import pytest

from plugins.kinesis.tests.kit import KEY, SECRET, TOKEN, context, exporting, plan, settings
from tailrace import Batch, BatchResult, TailraceError
from tailrace_kinesis import destination
from tailrace_kinesis.fakeserver import (
    FailRecords,
    Fault,
    KinesisServer,
    Raw,
    Refuse,
    Request,
    Reset,
    Role,
    Silence,
)

CANARIES = [SECRET, TOKEN, "canary-wrong-77", "canary-body", "canary-key", "Y2FuYXJ5LWJvZHk"]
WRITTEN = Batch(["canary-key-1", "canary-key-2"], [b"canary-body-1", b"canary-body-2"])


def quoting(code: str, status: int = 400) -> Callable[[Request], Fault]:
    """A server that quotes what it was sent, as Kinesis quotes partition keys."""

    def step(request: Request) -> Fault:
        return Refuse(code, f"Value '{request.keys[0]}' {request.data[0]!r} exceeds", status)

    return step


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


FAULTS: list[Fault | Callable[[Request], Fault | None]] = [
    *(
        quoting(code, status)
        for code, status in [
            ("ValidationException", 400),
            ("InvalidArgumentException", 400),
            ("SomethingNew", 400),
            ("AccessDeniedException", 400),
            ("InvalidSignatureException", 403),
            ("ThrottlingException", 400),
            ("ResourceNotFoundException", 400),
            ("KMSDisabledException", 400),
            ("ExpiredTokenException", 400),
            ("canary-key-1", 400),
            ("InternalFailure", 500),
            ("SomethingNew", 404),
        ]
    ),
    FailRecords(lambda index, key, data: ("ProvisionedThroughputExceededException", f"{key} {data!r}")),
    FailRecords(lambda index, key, data: ("SomethingNew", f"{key} {data!r}")),
    FailRecords(lambda index, key, data: (f"{key} {data!r}", "")),
    Raw(b"canary-body canary-key", 200, {"x-amzn-RequestId": "canary-body canary-key"}),
    Raw(b"canary-body canary-key", 503, {"Retry-After": "canary-body"}),
    Reset(),
    Silence(),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_no_canary_sings(
    server: KinesisServer, fault: Fault, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    server.always("PutRecords", fault)
    heard = ""
    with exporting(server, write_timeout=0.5, session_token="env:TOKEN") as exporter:
        for _ in range(2):
            try:
                result: BatchResult | None = exporter.write(WRITTEN)
            except TailraceError as error:
                result = None
                heard += "".join(traceback.format_exception(error)) + repr(error) + f"{error.hint}"
            heard += repr(result)
        heard += repr(exporter) + repr(vars(exporter))
    out = capfd.readouterr()
    heard += caplog.text + out.out + out.err
    for canary in CANARIES:
        assert canary not in heard


def test_roles_and_the_authentication_step(
    server: KinesisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = "arn:aws:iam::123456789012:role/writer"
    server.roles[role] = Role(external_id="ext-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
    spec = destination.account()
    made = spec.account(**settings(server, role_arn=role, external_id="ext-1"))
    report = destination.auth(made, spec.connection(stream="hot-leads"), context())
    assert report.ok
    heard = caplog.text + repr(report) + repr(made) + str(made) + made.model_dump_json() + repr(plan(server))
    for canary in [*CANARIES, *(secret for secret, _, _ in server._temporary.values())]:
        assert canary not in heard
    for _, token, _ in server._temporary.values():
        assert token not in heard


def test_who_asks_the_sdk_for_its_debug_log_gets_it(server: KinesisServer) -> None:
    logger = logging.getLogger("botocore")
    logger.setLevel(logging.DEBUG)
    with exporting(server):
        assert logger.level == logging.DEBUG
    logger.setLevel(logging.NOTSET)
    with exporting(server):
        assert logger.level == logging.INFO


def test_the_sink_of_this_test_works(server: KinesisServer, caplog: pytest.LogCaptureFixture) -> None:
    """botocore's debug log does print tokens, so the tests above would see one."""
    logging.getLogger("botocore").setLevel(logging.DEBUG)
    with exporting(server, access_key_id=KEY, session_token="env:TOKEN") as exporter:
        exporter.write(WRITTEN)
    assert TOKEN in caplog.text
