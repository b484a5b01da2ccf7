"""The error table: what each answer of Kinesis means and what is done about it.

One place, so that it can be documented and tested row by row. `action` is one of:

    retry           this record again
    throttled       this record, or the whole request, again and slower
    ambiguous       it may have been accepted: sent again and counted apart
    wait            the whole request again
    refresh         new credentials, then the request once more
    bisect          something in the request is to blame: it is halved down to the record, which is rejected
    misconfigured   keep everything and pause; somebody has to change something (exit code 3 in the end)
    authentication  keep everything and pause; the credentials are refused or may not write (exit code 4)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal[
    "retry", "throttled", "ambiguous", "wait", "refresh", "bisect", "misconfigured", "authentication"
]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. `meaning` completes "Kinesis answered CODE: …"."""

    codes: tuple[str, ...]
    action: Action
    meaning: str
    hint: str | None = None


RECORD_RULES: tuple[Rule, ...] = (
    Rule(
        ("ProvisionedThroughputExceededException",),
        "throttled",
        "the shard takes no more at the moment",
    ),
    Rule(("InternalFailure",), "retry", "the record failed inside Kinesis"),
)
"""Codes of single records in an answer of PutRecords."""

UNLISTED_RECORD = Rule((), "ambiguous", "an answer that is not in the table")

DENIED = ("AccessDeniedException", "AccessDenied", "UnauthorizedException", "NotAuthorized")
"""Codes for a caller who may not do what was asked."""

_MAY_NOT = {
    "kinesis:DescribeStreamSummary": "the credentials may not describe the stream",
    "sts:AssumeRole": "the credentials may not assume the role",
    "sts:GetCallerIdentity": "the credentials may not ask who they are",
}

REQUEST_RULES: tuple[Rule, ...] = (
    Rule(
        (
            "ProvisionedThroughputExceededException",
            "ThrottlingException",
            "Throttling",
            "LimitExceededException",
            "RequestLimitExceeded",
            "TooManyRequestsException",
            "KMSThrottlingException",
        ),
        "throttled",
        "too many requests at the moment",
    ),
    Rule(("ResourceInUseException",), "wait", "the stream is being created, updated or deleted"),
    Rule(
        ("ResourceNotFoundException",),
        "misconfigured",
        "there is no such stream",
        "check the stream's name, the region and the account; a stream is never created",
    ),
    Rule(
        ("KMSAccessDeniedException",),
        "misconfigured",
        "the stream is encrypted and the credentials may not use its key",
        "grant kms:GenerateDataKey on the stream's KMS key",
    ),
    Rule(
        ("KMSDisabledException", "KMSInvalidStateException"),
        "misconfigured",
        "the KMS key that encrypts the stream is disabled or about to be deleted",
        "enable the KMS key, or change the stream's encryption",
    ),
    Rule(
        ("KMSNotFoundException",),
        "misconfigured",
        "the KMS key that encrypts the stream does not exist",
        "restore the KMS key, or change the stream's encryption",
    ),
    Rule(
        ("KMSOptInRequired",),
        "misconfigured",
        "the account is not subscribed to AWS KMS",
        "subscribe the account to AWS KMS",
    ),
    Rule(
        ("UnknownOperationException", "InvalidAction", "UnsupportedOperation", "SerializationException"),
        "misconfigured",
        "the server does not know the request",
        "check the endpoint URL: it must speak the Kinesis protocol",
    ),
    Rule(
        ("OptInRequired", "SubscriptionRequiredException"),
        "authentication",
        "the AWS account is not subscribed to Kinesis or has not enabled the region",
        "enable the service or the region for the account",
    ),
    Rule(
        DENIED,
        "authentication",
        "the credentials may not write to the stream",
        "grant kinesis:PutRecords on {arn}; `tailrace connection policy` prints the policy",
    ),
    Rule(
        ("ExpiredTokenException", "ExpiredToken", "RequestExpired", "TokenRefreshRequired"),
        "refresh",
        "the credentials have expired",
        "renew the session token, or use a role or profile, which renew themselves",
    ),
    Rule(
        ("UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"),
        "authentication",
        "the access key or session token is not known",
        "check the access key, the session token and the region",
    ),
    Rule(
        (
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "RequestTimeTooSkewed",
        ),
        "authentication",
        "the signature does not match",
        "check the secret key and the clock of this machine",
    ),
    Rule(
        ("MissingAuthenticationToken", "MissingAuthenticationTokenException"),
        "authentication",
        "the request carried no credentials that the server knows",
        "check the endpoint URL and the credentials",
    ),
    Rule(
        ("ValidationException", "InvalidArgumentException"),
        "bisect",
        "a record or the request is not valid",
    ),
)
"""Codes of whole requests."""

STATUS_RULES: dict[int, Rule] = {
    400: Rule((), "bisect", "a code that is not in the table"),
    401: Rule(
        (), "authentication", "the server wants other credentials", "check the endpoint URL and the account"
    ),
    403: Rule(
        (), "authentication", "the server refuses access", "check the credentials, the proxy and the firewall"
    ),
    407: Rule(
        (),
        "misconfigured",
        "the proxy wants a user name and password",
        "give them in the HTTPS_PROXY variable",
    ),
    408: Rule((), "ambiguous", "the request took too long"),
    413: Rule((), "bisect", "the server or a proxy refuses the size of the request"),
    429: Rule((), "throttled", "too many requests at the moment"),
}
"""Statuses of answers whose code is not in the table, or that have none."""

SERVER_ERROR = Rule((), "ambiguous", "the server failed")
UNREADABLE = Rule((), "ambiguous", "the answer cannot be read")
NOT_KINESIS = Rule(
    (),
    "misconfigured",
    "this is not an answer of Kinesis",
    "check the endpoint URL, the proxy and the firewall; redirects are not followed",
)

_BY_RECORD_CODE = {code: rule for rule in RECORD_RULES for code in rule.codes}
_BY_REQUEST_CODE = {code: rule for rule in REQUEST_RULES for code in rule.codes}


def record_rule(code: str) -> Rule:
    return _BY_RECORD_CODE.get(code, UNLISTED_RECORD)


def meaning(rule: Rule, doing: str) -> str:
    """What the rule's answer means where it answers this operation. The table is about PutRecords."""
    if rule.codes == DENIED:
        return _MAY_NOT.get(doing.partition(" ")[0], rule.meaning)
    return rule.meaning


def request_rule(status: int, code: str | None) -> Rule:
    """The rule for an answer other than 200. A server error stays ambiguous whatever its code says,
    but for throttling, which refuses before anything is written."""
    rule = _BY_REQUEST_CODE.get(code or "")
    if rule is not None and (status < 500 or rule.action == "throttled"):
        return rule
    if status >= 500:
        return SERVER_ERROR
    if status == 400 and code is None:
        return NOT_KINESIS
    return STATUS_RULES.get(status, NOT_KINESIS)
