"""Two calls of AWS STS: who am I, and assume a role."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

from tailrace import AuthenticationFailed, Clock, Transient
from tailrace_kinesis.answers import Answer, error_for
from tailrace_kinesis.credentials import Credentials, Keys
from tailrace_kinesis.deadlines import CONTROL_SECONDS, Deadlines
from tailrace_kinesis.errors import DENIED
from tailrace_kinesis.http import HttpClient
from tailrace_kinesis.target import Target

_HEADERS = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
_VERSION = "2011-06-15"


class StsClient:
    """Signs with the credentials before any role, unless a call is given others."""

    def __init__(
        self, http: HttpClient, credentials: Credentials, deadlines: Deadlines, clock: Clock
    ) -> None:
        self._http = http
        self._credentials = credentials
        self._deadlines = deadlines
        self._clock = clock

    def caller(self, credentials: Credentials | None = None) -> str:
        """The ARN of whoever the credentials are."""
        answer = self._call(
            {"Action": "GetCallerIdentity"}, credentials or self._credentials, "sts:GetCallerIdentity"
        )
        return _text(_parse(answer), "Arn")

    def assume(self, target: Target) -> tuple[Keys, float]:
        """Temporary credentials of the target's role, and the time at which they expire."""
        form = {
            "Action": "AssumeRole",
            "RoleArn": str(target.role_arn),
            "RoleSessionName": target.role_session_name,
        }
        if target.external_id is not None:
            form["ExternalId"] = target.external_id
        root = _parse(self._call(form, self._credentials, f"sts:AssumeRole on {target.role_arn}"))
        keys = Keys(_text(root, "AccessKeyId"), _text(root, "SecretAccessKey"), _text(root, "SessionToken"))
        try:
            expires = datetime.fromisoformat(_text(root, "Expiration")).timestamp()
        except ValueError:
            raise Transient("AWS STS gave no time of expiry") from None
        return keys, expires

    def close(self) -> None:
        self._http.close()

    def _call(self, form: dict[str, str], credentials: Credentials, doing: str) -> Answer:
        body = urlencode({**form, "Version": _VERSION}).encode()
        keys = credentials.keys()
        answer = self._send(body, keys)
        code = _error_code(answer)
        if code in ("ExpiredToken", "ExpiredTokenException") and credentials.renew(keys):
            answer = self._send(body, credentials.keys())
            code = _error_code(answer)
        if answer.status == 200:
            return answer
        kept = {name: answer.headers.get(name, "") for name in ("date", "x-amzn-requestid", "retry-after")}
        headers = {**kept, "x-amzn-errortype": code or ""}
        refused = Answer(answer.status, headers, b"")
        error = error_for(refused, doing=doing, arn="", clock=self._clock, hints=_HINTS)
        if isinstance(error, AuthenticationFailed):
            credentials.doubt(keys)
        raise error

    def _send(self, body: bytes, keys: Keys) -> Answer:
        with self._deadlines.attempt(CONTROL_SECONDS) as attempt:
            return self._http.post(body, _HEADERS, keys, attempt)


_HINTS = {
    **dict.fromkeys(
        DENIED, "check the role's trust policy and external ID, and that the credentials may assume it"
    ),
    "ValidationError": "check role_arn, role_session_name and external_id",
}


def _error_code(answer: Answer) -> str | None:
    if answer.status == 200:
        return None
    try:
        return _text(ElementTree.fromstring(answer.body), "Code")
    except (ElementTree.ParseError, Transient):
        return None


def _parse(answer: Answer) -> Any:
    try:
        return ElementTree.fromstring(answer.body)
    except ElementTree.ParseError:
        raise Transient("the answer of AWS STS cannot be read") from None


def _text(root: Any, name: str) -> str:
    """The text of the first element of that name, in whatever namespace."""
    for element in root.iter():
        if element.tag.rpartition("}")[2] == name and element.text:
            return str(element.text)
    raise Transient(f"the answer of AWS STS has no {name}")
