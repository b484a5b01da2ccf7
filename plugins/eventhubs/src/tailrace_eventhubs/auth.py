"""The authentication step: look, and send no data.

Is the namespace there, are the credentials accepted, does the event hub exist, and may I send. The last is
proved by a sender link, which the service opens only to who may send, and which is closed again. It takes
two connections of half a second or so, each with a deadline.
"""

from __future__ import annotations

from typing import Literal

from tailrace import AuthReport, Check, HookContext
from tailrace_eventhubs.answers import Said
from tailrace_eventhubs.client import HubClient, Properties
from tailrace_eventhubs.connections import Link
from tailrace_eventhubs.errors import TOKEN_RULES
from tailrace_eventhubs.networkerrors import NETWORK_RULES
from tailrace_eventhubs.policy import ROOT_POLICY, SENDER_ROLE
from tailrace_eventhubs.sending.selfcheck import RESENDS, why_not
from tailrace_eventhubs.target import Target

SECONDS = 4.0
"""How long one of the two connections may take, with the look at what stands in the way: a port that says
nothing is told in that time."""
IDENTITY_SECONDS = 10.0
"""The same with an identity, whose token has to be fetched from elsewhere first."""

NAMESPACE, CREDENTIALS, HUB, SEND = "namespace", "credentials", "event hub", "write permission"

_NETWORK = frozenset(code for rule in NETWORK_RULES for code in rule.codes) | {
    "AddressRefused",
    "NotInstalled",
}
_TOKEN = frozenset(code for rule in TOKEN_RULES for code in rule.codes)
_NO_HUB = frozenset(
    {
        "amqp:not-found",
        "amqp:resource-deleted",
        "com.microsoft:entity-not-found",
        "management 404",
        "token 404",
    }
)


def check(target: Target, context: HookContext) -> AuthReport:
    """The whole step. Raises Misconfigured only where nothing can be asked at all: a connection string
    that cannot be read, credentials that cannot be made."""
    client = HubClient(target, context)
    try:
        seconds = IDENTITY_SECONDS if client.scheme == "identity" else SECONDS
        checks, limits = _look(client, min(seconds, context.write_timeout))
        accepted = any(check.name == CREDENTIALS and check.status == "ok" for check in checks)
        identity = client.identity() if accepted or client.scheme != "identity" else None
        return AuthReport(identity=identity, checks=tuple(checks), limits=limits)
    finally:
        client.close()


def _look(client: HubClient, seconds: float) -> tuple[list[Check], dict[str, str]]:
    """Checks and limits, by the transport."""
    if client.target.transport == "kafka":
        from tailrace_eventhubs.kafka.look import look

        return look(client, seconds)
    properties = client.try_properties(seconds)
    checks, limits = _looked(client, properties), _limits(properties)
    if any(check.status == "failed" for check in checks):
        return checks, limits
    reason = why_not()
    if reason is not None:
        return [*checks, *_public_only(reason)], limits
    link = client.try_link(seconds)
    if isinstance(link, Link):
        limits |= _link_limits(link)
        link.close()
    return _with_link(client, checks, link), limits


def _looked(client: HubClient, found: Properties | Said) -> list[Check]:
    """What reading the properties proves."""
    reached = Check(name=NAMESPACE, status="ok", detail=client.where)
    accepted = Check(name=CREDENTIALS, status="ok", detail=f"accepted: {client.shown}")
    if isinstance(found, Properties):
        return [reached, accepted, hub_check(found.name, len(found.partition_ids))]
    name = _about(found)
    if name == NAMESPACE:
        return [failed(NAMESPACE, client, found)]
    if name == CREDENTIALS:
        return [reached, failed(CREDENTIALS, client, found)]
    if found.code in _NO_HUB:
        return [reached, *([accepted] if found.code != "token 404" else []), failed(HUB, client, found)]
    return [reached, accepted, failed(HUB, client, found)]


def hub_check(name: str, partitions: int) -> Check:
    plural = "" if partitions == 1 else "s"
    return Check(name=HUB, status="ok", detail=f"{name} has {partitions} partition{plural}")


def _with_link(client: HubClient, checks: list[Check], link: Link | Said) -> list[Check]:
    """What the sender link proves beside."""
    if isinstance(link, Link):
        hint = None
        if client.shown == ROOT_POLICY and client.scheme != "identity":
            hint = "this policy may do anything in the namespace; one of the event hub with Send is enough"
        detail = "a sender link was opened and closed; nothing was sent"
        return [*checks, Check(name=SEND, status="ok", detail=detail, hint=hint)]
    name = _about(link)
    return [*(check for check in checks if check.name != name), failed(name, client, link)]


def _public_only(reason: str) -> list[Check]:
    """An SDK whose inside is another one: its public client says that a link is open that was refused, and
    sends a batch twice by itself."""
    detail = "the SDK does not tell whether a sender link was refused"
    return [
        Check(name=SEND, status="unproven", detail=detail, hint="the first export shows it"),
        Check(
            name="sending",
            status="unproven",
            detail=f"{reason}; {RESENDS}",
            hint="use a version of azure-eventhub that this one knows",
        ),
    ]


def _about(said: Said) -> str:
    """Which of the checks an answer is about."""
    if said.code in _NETWORK:
        return NAMESPACE
    if said.code in _NO_HUB or _is_about_looking(said):
        return HUB
    return CREDENTIALS if said.code in _TOKEN else SEND


def failed(name: str, client: HubClient, said: Said) -> Check:
    """A check that failed, or that proves nothing: where the answer passes, or where only looking at the
    event hub was refused."""
    detail, hint = said.describe(_place(name, client)), _hint(client, said)
    passing = said.rule.action in ("retry", "throttled", "ambiguous", "bisect") and name in (HUB, SEND)
    if passing or (_is_about_looking(said) and said.code not in _NO_HUB):
        return Check(name=name, status="unproven", detail=detail, hint=hint)
    codes: dict[str, Literal[3, 4, 6]] = {"authentication": 4, "misconfigured": 3}
    code = codes.get(said.rule.action, 6)
    return Check(name=name, status="failed", detail=detail, hint=hint, exit_code=code)


def _is_about_looking(said: Said) -> bool:
    return said.code.startswith("management")


def _place(name: str, client: HubClient) -> str:
    return client.address if name == NAMESPACE else client.hub if name != CREDENTIALS else client.shown


def _hint(client: HubClient, said: Said) -> str | None:
    if said.code == "amqp:unauthorized-access":
        if client.scheme == "identity":
            return f"assign the role {SENDER_ROLE}; `tailrace connection policy` prints the scope"
        return f"give the policy {client.shown} the claim Send, or use another one"
    return said.rule.hint.format(hub=client.hub) if said.rule.hint else None


def _limits(found: Properties | Said) -> dict[str, str]:
    return {} if isinstance(found, Said) else {"partitions": str(len(found.partition_ids))}


def _link_limits(link: Link) -> dict[str, str]:
    if link.max_bytes is None:
        return {}
    return {"event size": f"{link.max_bytes:,} bytes, key and properties included"}
