"""The error table: what each answer of Event Hubs means and what is done about it.

One place, so that it can be documented and tested row by row. What happens before AMQP is spoken is in
`networkerrors`, what the Kafka endpoint answers in `kafka.errors`. `action` is one of:

    retry           the batch again, over a new link where the old one ended
    throttled       the batch again and slower: the namespace is over its rate
    ambiguous       it may have been accepted: sent again and counted apart
    bisect          something in the batch is to blame: it is cut down to the event, which is rejected
    unreachable     the batch again, once the namespace can be reached (exit code 6 in the end)
    misconfigured   keep everything and pause; somebody has to change something (exit code 3 in the end)
    authentication  keep everything and pause; the credentials are refused or may not send (exit code 4)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal[
    "retry", "throttled", "ambiguous", "bisect", "unreachable", "misconfigured", "authentication"
]

BUSY_SECONDS = 4.0
"""How long the service asks a sender to wait that it called too busy."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. `meaning` completes "Event Hubs answered CODE: …"."""

    codes: tuple[str, ...]
    action: Action
    meaning: str
    hint: str | None = None


CONDITION_RULES: tuple[Rule, ...] = (
    Rule(
        ("com.microsoft:server-busy", "amqp:transfer-limit-exceeded", "amqp:link:transfer-limit-exceeded"),
        "throttled",
        "the namespace takes no more at the moment",
        "more throughput units, auto-inflate, or fewer senders help",
    ),
    Rule(
        ("amqp:internal-error", "com.microsoft:operation-cancelled", "com.microsoft:container-close"),
        "retry",
        "the service failed before it accepted the batch",
    ),
    Rule(("released", "modified"), "retry", "the service gave the batch back"),
    Rule(("com.microsoft:timeout",), "ambiguous", "the service was not done in time"),
    Rule(
        (
            "amqp:link:detach-forced",
            "amqp:connection:forced",
            "amqp:link:redirect",
            "amqp:connection:redirect",
            "amqp:link:stolen",
            "amqp:resource-locked",
            "amqp:connection:framing-error",
            "amqp:session:window-violation",
            "amqp:session:errant-link",
            "amqp:session:handle-in-use",
            "amqp:session:unattached-handle",
            "amqp:illegal-state",
        ),
        "retry",
        "the service ended the link or the connection",
    ),
    Rule(
        ("com.microsoft:expired-token", "com.microsoft:token-expired", "amqp:expired-token"),
        "retry",
        "the token of the link has expired; the next link begins with a new one",
    ),
    Rule(
        ("amqp:link:message-size-exceeded", "com.microsoft:message-size-exceeded"),
        "bisect",
        "the batch or an event is larger than the event hub takes",
    ),
    Rule(
        (
            "amqp:decode-error",
            "amqp:invalid-field",
            "com.microsoft:argument-error",
            "com.microsoft:argument-out-of-range",
            "amqp:frame-size-too-small",
        ),
        "bisect",
        "an event or the batch is not valid",
    ),
    Rule(
        ("amqp:not-found", "com.microsoft:entity-not-found"),
        "misconfigured",
        "there is no such event hub",
        "check event_hub_name and the namespace; an event hub is never created",
    ),
    Rule(
        ("amqp:resource-deleted",),
        "misconfigured",
        "the event hub was deleted",
        "create it again, or change event_hub_name",
    ),
    Rule(
        ("com.microsoft:entity-disabled", "amqp:not-allowed"),
        "misconfigured",
        "the event hub takes no events: it is disabled, or its settings forbid it",
        "set the status of the event hub to Active",
    ),
    Rule(
        ("amqp:resource-limit-exceeded", "com.microsoft:quota-exceeded"),
        "misconfigured",
        "a quota of the namespace or event hub is used up",
        "close other connections, or raise the quota or the tier",
    ),
    Rule(
        ("amqp:not-implemented", "amqp:precondition-failed"),
        "misconfigured",
        "the server does not do what was asked",
        "check the namespace and the endpoint: it must be Event Hubs",
    ),
    Rule(
        ("com.microsoft:publisher-revoked",),
        "authentication",
        "the publisher was revoked",
        "restore the publisher, or use another policy",
    ),
    Rule(
        ("amqp:unauthorized-access", "com.microsoft:auth-failed"),
        "authentication",
        "Send is missing: the credentials may not send to the event hub",
        "grant Send on {hub}; `tailrace connection policy` prints what",
    ),
)
"""Conditions of AMQP: of a batch that was refused, or of a link or connection that was refused or ended."""

UNLISTED_CONDITION = Rule((), "ambiguous", "a condition that is not in the table")

TOKEN_RULES: tuple[Rule, ...] = (
    Rule(
        ("InvalidSignature",),
        "authentication",
        "the signature does not match",
        "check the key, and that it belongs to the key name",
    ),
    Rule(
        ("ExpiredToken",),
        "authentication",
        "the token has expired",
        "give a new SAS token; with a key, set the clock of this machine",
    ),
    Rule(
        ("InvalidAudience",),
        "authentication",
        "the token is for another event hub or namespace",
        "check the namespace, event_hub_name and what the token or policy is for",
    ),
    Rule(
        ("InvalidIssuer",),
        "authentication",
        "the token is of another tenant",
        "check tenant_id: it must be the tenant of the namespace",
    ),
    Rule(
        ("MalformedToken", "MissingToken"),
        "authentication",
        "the token cannot be read",
        "check the SAS token",
    ),
    Rule(
        ("token 401", "token 403"),
        "authentication",
        "the credentials are refused",
        "check the key name and the key, the token or the identity, and the namespace",
    ),
    Rule(
        ("token 404",),
        "misconfigured",
        "there is no such event hub",
        "check event_hub_name and the namespace; an event hub is never created",
    ),
    Rule(
        ("token 400",),
        "misconfigured",
        "the server does not understand the token",
        "check the namespace and the endpoint: it must be Event Hubs",
    ),
    Rule(
        ("token 408", "token 429", "token 500", "token 502", "token 503", "token 504"),
        "retry",
        "the service could not check the token",
    ),
    Rule(
        ("management 401", "management 403"),
        "authentication",
        "the credentials may not read the properties of the event hub",
        "partitioning=key can do without; else use a policy or role of the event hub itself",
    ),
    Rule(
        ("management 404",),
        "misconfigured",
        "there is no such event hub",
        "check event_hub_name and the namespace; an event hub is never created",
    ),
    Rule(
        ("management 400",),
        "misconfigured",
        "the server does not tell the properties of an event hub",
        "check the namespace and the endpoint: it must be Event Hubs",
    ),
    Rule(
        ("management 429", "management 500", "management 503"),
        "retry",
        "the service could not tell the properties of the event hub",
    ),
    Rule(
        ("NoToken",),
        "authentication",
        "the identity gave no token",
        "check the credential of the account: tenant, client and what it can reach",
    ),
    Rule(
        ("IdentityUnreachable",),
        "unreachable",
        "the source of the tokens cannot be reached",
        "check the network to Microsoft Entra ID or to the managed identity endpoint",
    ),
)
"""Answers to the token that opens a connection, and to a question about the event hub. A word of the answer
counts before its status."""

_BY_CODE = {code: rule for rules in (CONDITION_RULES, TOKEN_RULES) for rule in rules for code in rule.codes}
_BY_SHORT = {code.partition(":")[2]: code for rule in CONDITION_RULES for code in rule.codes if ":" in code}
"""The SDK cuts the first part off a condition."""


def code_of(condition: str | bytes | None) -> str | None:
    """A condition as the table spells it. None for one that is not in it: what a server sends in its
    place may be anything, and is not repeated."""
    text = condition.decode("ascii", "replace") if isinstance(condition, bytes) else condition or ""
    return text if text in _BY_CODE else _BY_SHORT.get(text)


def rule_of(code: str | bytes | None) -> Rule:
    """The rule for a condition, or for another code of the table."""
    known = code_of(code)
    return UNLISTED_CONDITION if known is None else _BY_CODE[known]


def status_rule(what: Literal["token", "management"], status: int, word: str | None) -> tuple[str, Rule]:
    """The code and rule for an answer that has a status: to a token, or to a question about the event hub.
    A known word in it counts before the status."""
    if what == "token" and word in _BY_CODE and status in (401, 403):
        return word, _BY_CODE[word]
    code = f"{what} {status}"
    if code in _BY_CODE:
        return code, _BY_CODE[code]
    return code, _BY_CODE[f"{what} {503 if status >= 500 or status < 400 else 400}"]
