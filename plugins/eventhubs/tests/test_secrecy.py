"""No secret, key or record leaves through an error, a repr, a report or a log, debug logs included."""

from __future__ import annotations

import logging
import traceback

import pytest

from plugins.eventhubs.tests.kit import ROOT, SENDER, WRONG, context, plan, settings
from tailrace import Batch, TailraceError
from tailrace_eventhubs import destination
from tailrace_eventhubs.emulator import Emulator, Fault
from tailrace_eventhubs.emulator.effects import EFFECTS

CANARIES = [SENDER.value, ROOT.value, WRONG, "canary-", "canary:", "SharedAccessSignature sr"]
WRITTEN = Batch(["canary-key-1", "canary-key-2"], [b"canary-body-1", b"canary-body-2"])


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def faults() -> list[Fault]:
    slow = {"no-answer", "no-answer-after", "delay-ack"}
    quoting = [
        Fault("rejected", condition=f"canary:{SENDER.value}"),
        Fault("rejected", condition="amqp:not-allowed"),
    ]
    return [*quoting, *(Fault(kind) for kind in EFFECTS if kind not in slow)]


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.kind)
@pytest.mark.parametrize("partitioning", ["key", "client-hash"])
def test_no_canary_sings(
    server: Emulator,
    fault: Fault,
    partitioning: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    server.faults.script(*[fault] * 8)
    exporter = destination.export(plan(server, connection={"partitioning": partitioning}), context())
    heard = ""
    for _ in range(2):
        try:
            heard += repr(exporter.write(WRITTEN))
        except TailraceError as error:
            heard += "".join(traceback.format_exception(error)) + repr(error) + f"{error.hint}"
    heard += repr(exporter) + repr(vars(exporter))
    exporter.close()
    assert server.faults.fired[fault.kind] > 0
    heard += caplog.text + "".join(capfd.readouterr())
    for canary in CANARIES:
        assert canary not in heard


def test_refused_keys(server: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    exporter = destination.export(plan(server, sas_key="env:WRONG"), context())
    with pytest.raises(TailraceError) as caught:
        exporter.write(WRITTEN)
    exporter.close()
    heard = caplog.text + "".join(traceback.format_exception(caught.value)) + repr(vars(exporter))
    for canary in CANARIES:
        assert canary not in heard


def test_the_authentication_step_and_the_models(server: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    spec = destination.account()
    made = spec.account(**settings(server))
    report = destination.auth(made, spec.connection(event_hub_name="hot-leads"), context())
    assert report.ok
    heard = caplog.text + repr(report) + repr(made) + str(made) + made.model_dump_json() + repr(plan(server))
    for canary in CANARIES:
        assert canary not in heard


def test_who_asks_the_sdk_for_its_log_gets_it(server: Emulator) -> None:
    logger = logging.getLogger("azure")
    for level, kept in ((logging.DEBUG, logging.DEBUG), (logging.NOTSET, logging.ERROR)):
        logger.setLevel(level)
        destination.export(plan(server), context()).close()
        assert logger.level == kept


def test_the_sink_of_this_test_works(server: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """The SDK's own log does repeat what a server says, so the tests above would hear it."""
    logging.getLogger("azure").setLevel(logging.DEBUG)
    server.faults.refuse_tokens((401, "canary-description"), (401, "canary-description"))
    exporter = destination.export(plan(server), context())
    with pytest.raises(TailraceError):
        exporter.write(WRITTEN)
    exporter.close()
    assert "canary-description" in caplog.text
