"""The error table, row by row: what is seen of a write, and of an error of the SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from plugins.eventhubs.tests.kit import context, plan
from tailrace import (
    AuthenticationFailed,
    Batch,
    Exporter,
    Misconfigured,
    NotConnected,
    TailraceError,
    Transient,
)
from tailrace_eventhubs import destination
from tailrace_eventhubs.answers import Said, error_for, error_of, failure_for, understand
from tailrace_eventhubs.connections import LinkRefused
from tailrace_eventhubs.emulator import Emulator, Fault
from tailrace_eventhubs.errors import (
    CONDITION_RULES,
    TOKEN_RULES,
    code_of,
    rule_of,
    status_rule,
)
from tailrace_eventhubs.networkerrors import NETWORK_RULES
from tailrace_eventhubs.waiting import OutOfTime

WRITTEN = Batch(["canary-key"], [b"canary-body"])

CONDITIONS: dict[str, str] = {
    "com.microsoft:server-busy": "throttled",
    "amqp:transfer-limit-exceeded": "throttled",
    "amqp:link:transfer-limit-exceeded": "throttled",
    "amqp:internal-error": "retry",
    "com.microsoft:operation-cancelled": "retry",
    "com.microsoft:container-close": "retry",
    "released": "retry",
    "modified": "retry",
    "com.microsoft:timeout": "ambiguous",
    "amqp:link:detach-forced": "retry",
    "amqp:connection:forced": "retry",
    "amqp:link:redirect": "retry",
    "amqp:connection:redirect": "retry",
    "amqp:link:stolen": "retry",
    "amqp:resource-locked": "retry",
    "amqp:connection:framing-error": "retry",
    "amqp:session:window-violation": "retry",
    "amqp:session:errant-link": "retry",
    "amqp:session:handle-in-use": "retry",
    "amqp:session:unattached-handle": "retry",
    "amqp:illegal-state": "retry",
    "com.microsoft:expired-token": "retry",
    "com.microsoft:token-expired": "retry",
    "amqp:expired-token": "retry",
    "amqp:link:message-size-exceeded": "rejected",
    "com.microsoft:message-size-exceeded": "rejected",
    "amqp:decode-error": "rejected",
    "amqp:invalid-field": "rejected",
    "com.microsoft:argument-error": "rejected",
    "com.microsoft:argument-out-of-range": "rejected",
    "amqp:frame-size-too-small": "rejected",
    "amqp:not-found": "Misconfigured",
    "com.microsoft:entity-not-found": "Misconfigured",
    "amqp:resource-deleted": "Misconfigured",
    "com.microsoft:entity-disabled": "Misconfigured",
    "amqp:not-allowed": "Misconfigured",
    "amqp:resource-limit-exceeded": "Misconfigured",
    "com.microsoft:quota-exceeded": "Misconfigured",
    "amqp:not-implemented": "Misconfigured",
    "amqp:precondition-failed": "Misconfigured",
    "com.microsoft:publisher-revoked": "AuthenticationFailed",
    "amqp:unauthorized-access": "AuthenticationFailed",
    "com.microsoft:auth-failed": "AuthenticationFailed",
}
"""What a write sees whose batch is refused so."""

TOKENS: dict[tuple[int, str], str] = {
    (401, "InvalidSignature: The token has an invalid signature."): "AuthenticationFailed",
    (401, "ExpiredToken: The token is expired."): "AuthenticationFailed",
    (401, "InvalidAudience: The token has an invalid audience."): "AuthenticationFailed",
    (401, "InvalidIssuer: Token issuer is invalid."): "AuthenticationFailed",
    (401, "MalformedToken: Failed to parse."): "AuthenticationFailed",
    (401, "MissingToken: No token."): "AuthenticationFailed",
    (401, "canary-description"): "AuthenticationFailed",
    (403, "canary-description"): "AuthenticationFailed",
    (404, "canary-description"): "Misconfigured",
    (400, "canary-description"): "Misconfigured",
    (408, "canary-description"): "Transient",
    (429, "canary-description"): "Transient",
    (500, "canary-description"): "Transient",
    (502, "canary-description"): "Transient",
    (503, "canary-description"): "Transient",
    (504, "canary-description"): "Transient",
}
"""What a write sees whose token is answered so."""


@pytest.fixture
def exporter(server: Emulator) -> Iterator[Exporter]:
    opened = destination.export(plan(server), context())
    yield opened
    opened.close()


def seen(exporter: Exporter, batch: Batch = WRITTEN) -> tuple[str, Any]:
    """The kind of what became of a write, and the failure or error."""
    try:
        result = exporter.write(batch)
    except TailraceError as error:
        ambiguous = isinstance(error, Transient) and error.ambiguous
        return type(error).__name__ + (", ambiguous" if ambiguous else ""), error
    kinds = sorted({failure.kind for failure in result.failures.values()})
    return "+".join(kinds) or "delivered", result.failures.get(0)


def refusal(code: str) -> Fault:
    return Fault(code) if code in ("released", "modified") else Fault("rejected", condition=code)


@pytest.mark.parametrize(("code", "outcome"), CONDITIONS.items())
def test_each_condition_of_a_batch(server: Emulator, exporter: Exporter, code: str, outcome: str) -> None:
    server.faults.script(refusal(code))
    kind, told = seen(exporter)
    assert kind == outcome
    assert sum(server.faults.fired.values()) == 1
    assert server.accepted("hot-leads") == []
    text = f"{told!r} {told}"
    assert code in text
    assert "canary" not in text
    assert seen(exporter)[0] == "delivered"


@pytest.mark.parametrize(("answer", "outcome"), TOKENS.items())
def test_each_answer_to_a_token(
    server: Emulator, exporter: Exporter, answer: tuple[int, str], outcome: str
) -> None:
    server.faults.refuse_tokens(answer, answer)
    kind, error = seen(exporter)
    assert kind == outcome
    assert "canary" not in f"{error.message} {error.hint}"
    assert server.attempts("hot-leads") == []
    server.faults.clear()
    assert seen(exporter)[0] == "delivered"


def test_the_rows_above_are_the_whole_table() -> None:
    assert {code for rule in CONDITION_RULES for code in rule.codes} == CONDITIONS.keys()
    met = {f"token {status}" for status, _ in TOKENS} | {words.partition(":")[0] for _, words in TOKENS}
    written = {code for rule in TOKEN_RULES for code in rule.codes}
    assert written <= met | {f"management {n}" for n in (400, 401, 403, 404, 429, 500, 503)} | {
        "NoToken",
        "IdentityUnreachable",
    }


def test_no_code_is_in_two_rows() -> None:
    codes = [
        code
        for rules in (CONDITION_RULES, TOKEN_RULES, NETWORK_RULES)
        for rule in rules
        for code in rule.codes
    ]
    assert len(codes) == len(set(codes))


def test_a_busy_answer_says_when_and_whose(server: Emulator, exporter: Exporter) -> None:
    server.faults.script("server-busy")
    _, failure = seen(exporter)
    assert 3.0 < failure.retry_after <= 4.0
    assert failure.domain == "crm.servicebus.windows.net"


def test_a_condition_that_is_not_in_the_table_is_not_repeated(server: Emulator, exporter: Exporter) -> None:
    server.faults.script(Fault("rejected", condition="canary:condition"))
    kind, failure = seen(exporter)
    assert kind == "ambiguous"
    assert (failure.code, "canary" in repr(failure)) == ("UnlistedCondition", False)


def test_a_token_without_the_claim(server: Emulator) -> None:
    made = plan(server, sas_key_name="listener", sas_key="env:listener")
    exporter = destination.export(made, context())
    kind, error = seen(exporter)
    exporter.close()
    assert kind == "AuthenticationFailed"
    assert "Send is missing" in error.message
    assert "grant Send on hot-leads" in error.hint


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("com.microsoft:server-busy", "com.microsoft:server-busy"),
        (b"com.microsoft:server-busy", "com.microsoft:server-busy"),
        ("server-busy", "com.microsoft:server-busy"),
        ("link:detach-forced", "amqp:link:detach-forced"),
        ("unauthorized-access", "amqp:unauthorized-access"),
        ("released", "released"),
        ("something-new", None),
        (b"\xff", None),
        ("", None),
        (None, None),
    ],
)
def test_conditions_as_the_sdk_spells_them(given: Any, code: str | None) -> None:
    assert code_of(given) == code
    assert rule_of(given).meaning


@pytest.mark.parametrize("status", [0, 200, 400, 401, 403, 404, 405, 410, 429, 499, 500, 503, 599])
@pytest.mark.parametrize("what", ["token", "management"])
def test_every_status_has_a_rule(what: Any, status: int) -> None:
    code, rule = status_rule(what, status, None)
    assert code == f"{what} {status}"
    assert rule.action in ("authentication", "misconfigured", "retry")
    assert (rule.action == "authentication") == (status in (401, 403))


# What the public client of the SDK raises


def sdk_errors() -> list[tuple[Any, str, type[TailraceError]]]:
    from azure.eventhub._pyamqp import error as amqp
    from azure.eventhub._transport._pyamqp_transport import PyamqpTransport
    from azure.eventhub.exceptions import AuthenticationError, ConnectError, EventDataSendError, EventHubError

    Transport: Any = PyamqpTransport  # its insides come without types
    Refused: Any = amqp.TokenAuthFailure

    def made(error: Exception) -> Exception:
        found: Exception = Transport._create_eventhub_exception(error)
        return found

    def made_of(error: Any) -> Exception:
        return EventDataSendError("x", error)

    socket = amqp.ErrorCondition.SocketError
    return [
        (made(Refused(401, b"InvalidSignature: x")), "InvalidSignature", AuthenticationFailed),
        (made(Refused(404, b"not found")), "token 404", Misconfigured),
        (made(Transport.get_error(401, "canary")), "management 401", AuthenticationFailed),
        (made(Transport.get_error(404, "canary")), "management 404", Misconfigured),
        (made(Transport.get_error(500, "canary")), "management 500", Transient),
        (
            made(amqp.AMQPLinkError(b"amqp:unauthorized-access")),
            "amqp:unauthorized-access",
            AuthenticationFailed,
        ),
        (
            made(amqp.AMQPLinkError(b"com.microsoft:entity-disabled")),
            "com.microsoft:entity-disabled",
            Misconfigured,
        ),
        (
            made(amqp.AMQPConnectionError(socket, description="[Errno 111] Connection refused")),
            "ConnectionRefused",
            NotConnected,
        ),
        (
            made(amqp.AMQPConnectionError(socket, description="[SSL: CERTIFICATE_VERIFY_FAILED] x")),
            "CertificateUntrusted",
            Misconfigured,
        ),
        (
            made(amqp.AMQPConnectionError(socket, description="[Errno -2] Name or service not known")),
            "HostNotFound",
            NotConnected,
        ),
        (
            made(amqp.AMQPConnectionError(socket, description="Server unexpectedly closed")),
            "ConnectionLost",
            NotConnected,
        ),
        (
            made_of(amqp.MessageException(b"com.microsoft:server-busy")),
            "com.microsoft:server-busy",
            Transient,
        ),
        (
            AuthenticationError("CBS Token authentication failed.\nStatus code: 401"),
            "token 401",
            AuthenticationFailed,
        ),
        (ConnectError("canary"), "UnlistedCondition", Transient),
        (EventHubError("canary"), "UnlistedCondition", Transient),
        (ValueError("canary"), "UnlistedCondition", Transient),
        (OutOfTime(), "NoAnswer", NotConnected),
        (LinkRefused(), "amqp:unauthorized-access", AuthenticationFailed),
    ]


@pytest.mark.parametrize(("error", "code", "kind"), sdk_errors(), ids=lambda value: str(value)[:40])
def test_errors_of_the_sdk(error: Exception, code: str, kind: type[TailraceError]) -> None:
    found = error_for(error, doing="looking", hub="hot-leads")
    assert understand(error).code == code
    assert type(found) is kind
    assert code in found.message
    assert "canary" not in f"{found.message} {found.hint}"


def test_the_tracking_id_is_passed_on() -> None:
    from azure.eventhub.exceptions import ConnectError

    text = "canary TrackingId:28d35d66-4a76_G20, SystemTracker:gateway5, Timestamp:2026-01-01"
    message = error_for(ConnectError(text), doing="looking", hub="h").message
    assert "tracking id 28d35d66-4a76_G20" in message
    assert "gateway5" not in message


@pytest.mark.parametrize(
    "rule", [rule for rules in (CONDITION_RULES, TOKEN_RULES, NETWORK_RULES) for rule in rules]
)
def test_what_was_sent_and_not_answered_is_ambiguous(rule: Any) -> None:
    said = Said(rule.codes[0], rule)
    sent = error_of(said, doing="sending", hub="h", sent=True)
    unsent = error_of(said, doing="sending", hub="h")
    if rule.action in ("misconfigured", "authentication"):
        assert (
            type(sent)
            is type(unsent)
            is (Misconfigured if rule.action == "misconfigured" else AuthenticationFailed)
        )
        assert sent.hint
    else:
        assert isinstance(sent, Transient) and sent.ambiguous
        assert not getattr(unsent, "ambiguous", False)
        assert type(unsent) is (NotConnected if rule.action == "unreachable" else Transient)


def test_an_error_of_the_tree_stays_as_it_is() -> None:
    error = NotConnected("as it is")
    assert error_for(error, doing="x", hub="h") is error


def test_failures_name_what_is_busy() -> None:
    assert failure_for("com.microsoft:server-busy", domain="ns").domain == "ns"
    assert failure_for("released", domain="ns").domain is None
