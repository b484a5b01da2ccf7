"""The core sends again, and nobody below it: what a request met is told at once, whatever the SDK is told."""

from __future__ import annotations

import time

import pytest

from plugins.kinesis.tests.kit import batch, exporting
from tailrace import Misconfigured, TailraceError
from tailrace_kinesis.fakeserver import FailRecords, KinesisServer, Raw, Refuse, Reset, Silence, Step

THROTTLED = "ProvisionedThroughputExceededException"


@pytest.fixture(params=["legacy", "standard", "adaptive"])
def persistent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK is asked to try ten times."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "10")
    monkeypatch.setenv("AWS_RETRY_MODE", request.param)


@pytest.mark.usefixtures("persistent")
@pytest.mark.parametrize(
    "fault",
    [
        Refuse(THROTTLED),
        Refuse("ThrottlingException", headers={"Retry-After": "0"}),
        Refuse("InternalFailure", status=500),
        Refuse("ServiceUnavailable", status=503, headers={"Retry-After": "0"}),
        Raw(b"", 502),
        Raw(b"", 429, {"Retry-After": "0"}),
        Raw(b"", 307, {"Location": "/elsewhere"}),
        Raw(b"", accept=True),
        Reset(),
        Reset(accept=True),
        FailRecords(lambda index, key, data: THROTTLED),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_a_write_is_one_request(server: KinesisServer, fault: Step) -> None:
    server.always("PutRecords", fault)
    with exporting(server) as exporter:
        began = time.monotonic()
        try:
            assert len(exporter.write(batch(3)).failures) == 3
        except Misconfigured:
            assert isinstance(fault, Raw)  # a redirect is not followed
        except TailraceError:
            pass
        assert time.monotonic() - began < 5
    assert len(server.calls_of("PutRecords")) == 1


@pytest.mark.usefixtures("persistent")
def test_a_write_that_is_not_answered_is_one_request(server: KinesisServer) -> None:
    server.always("PutRecords", Silence(accept=True))
    with exporting(server, write_timeout=0.5) as exporter:
        began = time.monotonic()
        with pytest.raises(TailraceError):
            exporter.write(batch(3))
        assert time.monotonic() - began < 0.5
    assert len(server.calls_of("PutRecords")) == 1
