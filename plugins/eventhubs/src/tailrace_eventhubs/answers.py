"""Reading what the SDK raises and what servers answer, and the words for it.

Of what a server says only the condition or status, known words and the tracking id are ever repeated: a
description may quote names, keys and tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tailrace import AuthenticationFailed, Failure, Misconfigured, NotConnected, TailraceError, Transient
from tailrace_eventhubs.connections import AddressRefused, LinkRefused
from tailrace_eventhubs.credentials import why_no_token
from tailrace_eventhubs.errors import BUSY_SECONDS, UNLISTED_CONDITION, Rule, code_of, rule_of, status_rule
from tailrace_eventhubs.networkerrors import network_rule
from tailrace_eventhubs.reach import network_code
from tailrace_eventhubs.waiting import OutOfTime

_STATUS = re.compile(r"Status code: ([0-9]{1,3})\b")
_MANAGEMENT = re.compile(r"Management (authentication failed|connection failed|request error)")
_TRACKING = re.compile(r"TrackingId:([0-9A-Za-z_-]{8,80})")
_CLAIM = re.compile(r"'(Send|Listen|Manage)' claim")
_TOKEN_WORDS = (
    "InvalidSignature",
    "ExpiredToken",
    "InvalidAudience",
    "InvalidIssuer",
    "MalformedToken",
    "MissingToken",
)
_NETWORK_WORDS = (
    ("CERTIFICATE_VERIFY_FAILED: Hostname mismatch", "CertificateName"),
    ("CERTIFICATE_VERIFY_FAILED", "CertificateUntrusted"),
    ("WRONG_VERSION_NUMBER", "NotTls"),
    ("RECORD_LAYER_FAILURE", "NotTls"),
    ("EOF occurred in violation of protocol", "NotTls"),
    ("Name or service not known", "HostNotFound"),
    ("nodename nor servname", "HostNotFound"),
    ("Temporary failure in name resolution", "HostNotFound"),
    ("No address associated", "HostNotFound"),
    ("Connection refused", "ConnectionRefused"),
    ("unreachable", "Unreachable"),
    ("No route to host", "Unreachable"),
    ("timed out", "ConnectTimeout"),
)
"""What the SDK's texts keep of errors of the system."""


UNLISTED = "UnlistedCondition"
"""The code of what is not in the table."""


@dataclass(frozen=True, slots=True)
class Said:
    """What was understood of an error: the code and rule of the table, and what may be repeated."""

    code: str
    rule: Rule
    detail: str | None = None
    tracking: str | None = None

    def describe(self, doing: str) -> str:
        """One line: what was done, what was answered, what that means."""
        known = [part for part in (self.detail, self.tracking and f"tracking id {self.tracking}") if part]
        return (
            f"{doing}: {self.code}" + (f" ({', '.join(known)})" if known else "") + f": {self.rule.meaning}"
        )


def understand(error: BaseException, problem: Exception | None = None) -> Said:
    """Look an error of the SDK up in the table. `problem` is what a credential raised meanwhile."""
    if problem is not None:
        code, detail = why_no_token(problem)
        return Said(code, rule_of(code), detail)
    chain = list(_chain(error))
    text = "\n".join(str(one) for one in chain)
    found = _TRACKING.search(text)
    tracking = found[1] if found else None
    for known in (
        _of_deadline(chain),
        _of_token(chain, text),
        _of_condition(chain, text),
        _of_network(chain, text),
    ):
        if known is not None:
            return Said(known[0], known[1], known[2], tracking)
    return Said(UNLISTED, UNLISTED_CONDITION, type(error).__name__, tracking)


def error_of(said: Said, *, doing: str, hub: str, sent: bool = False) -> TailraceError:
    """The error that the table says. `sent`: something of a batch was sent and not answered."""
    message = said.describe(doing)
    hint = said.rule.hint.format(hub=hub) if said.rule.hint else None
    match said.rule.action:
        case "authentication":
            return AuthenticationFailed(message, hint=hint)
        case "misconfigured":
            return Misconfigured(message, hint=hint)
        case "throttled":
            return Transient(message, hint=hint, retry_after=BUSY_SECONDS, ambiguous=sent)
        case "unreachable" if not sent:
            return NotConnected(message, hint=hint)
        case _:
            return Transient(message, hint=hint, ambiguous=sent)


def error_for(
    error: BaseException,
    *,
    doing: str,
    hub: str,
    problem: Exception | None = None,
    sent: bool = False,
) -> TailraceError:
    """The error of the tree for one of the SDK's; one of the tree stays as it is."""
    if isinstance(error, TailraceError):
        return error
    return error_of(understand(error, problem), doing=doing, hub=hub, sent=sent)


def failure_for(condition: str | bytes | None, *, domain: str | None = None) -> Failure:
    """What becomes of one batch whose outcome was not `accepted`: the condition of `rejected`, or
    `released` or `modified`."""
    rule = rule_of(condition)
    code = code_of(condition) or UNLISTED
    kinds: dict[str, Literal["retry", "throttled", "rejected", "ambiguous"]] = {
        "throttled": "throttled",
        "bisect": "rejected",
        "ambiguous": "ambiguous",
    }
    busy = rule.action == "throttled"
    return Failure(
        kinds.get(rule.action, "retry"),
        code,
        rule.meaning,
        retry_after=BUSY_SECONDS if busy else None,
        domain=domain if busy else None,
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came from; the SDK keeps some in attributes of its own."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [
            getattr(one, "inner_error", None),
            getattr(one, "details", None),
            one.__cause__,
            one.__context__,
        ]


_Known = tuple[str, Rule, str | None]


def _of_deadline(chain: list[BaseException], text: str = "") -> _Known | None:
    for one in chain:
        if isinstance(one, AddressRefused):
            rule = Rule((), "misconfigured", str(one), "check the namespace and the endpoint")
            return "AddressRefused", rule, None
        if isinstance(one, LinkRefused):
            return "amqp:unauthorized-access", rule_of("amqp:unauthorized-access"), "no reason given"
        if isinstance(one, OutOfTime):
            return "NoAnswer", network_rule("NoAnswer"), None
        if isinstance(one, ImportError):
            hint = "pip install 'tailrace-eventhubs[websocket]'"
            return "NotInstalled", Rule((), "misconfigured", "the transport is not installed", hint), None
    return None


def _of_token(chain: list[BaseException], text: str) -> _Known | None:
    """An answer to a token, or to a question about the event hub: a status, with a word that explains it."""
    what: Literal["token", "management"] = "token" if "CBS Token" in text else "management"
    if what == "management" and not _MANAGEMENT.search(text):
        return None
    found = _STATUS.search(text)
    statuses = [getattr(one, "status_code", None) for one in chain]
    status = next((s for s in statuses if isinstance(s, int)), int(found[1]) if found else 503)
    word = next((word for word in _TOKEN_WORDS if word in text), None)
    return *status_rule(what, status, word), None


def _of_condition(chain: list[BaseException], text: str) -> _Known | None:
    """A condition of AMQP. The SDK has some of its own, for what it knows no better name for."""
    claim = _CLAIM.search(text)
    detail = f"claim {claim[1]}" if claim else None
    for one in chain:
        for said in (getattr(one, "condition", None), getattr(one, "error", None)):
            value = getattr(said, "value", said)
            code = code_of(value) if isinstance(value, (str, bytes)) else None
            if code is not None:
                return code, rule_of(code), detail
    return None


def _of_network(chain: list[BaseException], text: str) -> _Known | None:
    for one in chain:
        if isinstance(one, OSError) and not _says_little(one):
            code = network_code(one)
            return code, network_rule(code), None
    for words, code in _NETWORK_WORDS:
        if words in text:
            return code, network_rule(code), None
    if any(isinstance(one, OSError) for one in chain) or "socket-error" in text or "SocketError" in text:
        return "ConnectionLost", network_rule("ConnectionLost"), None
    return None


def _says_little(error: OSError) -> bool:
    """The SDK raises some without a number, for its own reasons."""
    return type(error) in (OSError, ConnectionError) and error.errno is None
