"""The two operations of Kinesis that Tailrace uses, with credentials that renew themselves."""

from __future__ import annotations

import json
import logging
import random

from tailrace import Clock, HookContext, TailraceError
from tailrace_kinesis.answers import Answer, error_code, error_for
from tailrace_kinesis.credentials import Credentials, RoleCredentials, base_credentials
from tailrace_kinesis.deadlines import CONTROL_SECONDS, Attempt, Deadlines
from tailrace_kinesis.endpoints import endpoint_of, has_custom_endpoint, is_aws, partition_of, region_of
from tailrace_kinesis.errors import request_rule
from tailrace_kinesis.http import HttpClient
from tailrace_kinesis.streams import Stream
from tailrace_kinesis.sts import StsClient
from tailrace_kinesis.target import Target

log = logging.getLogger("tailrace_kinesis")

_USER_AGENT = "tailrace-kinesis"


class KinesisClient:
    """Speaks to one stream. Made where it is used; holds sockets and secrets, so it never travels."""

    def __init__(self, target: Target, context: HookContext, *, connections: int) -> None:
        quiet_sdk()
        self.target = target
        self.stream = Stream.parse(target.stream)
        self.region = region_of(target)
        self.clock: Clock = context.clock
        # A write may need several calls, so one silent server must not eat all of its time.
        self.deadlines = Deadlines(context.write_timeout * 0.9)
        self._read_seconds = context.write_timeout * 0.45
        self._connections = connections
        self.url = endpoint_of(target, "kinesis", self.region)
        self._data = self._http(self.url, "kinesis")
        control = endpoint_of(target, "kinesis", self.region, "control") if self.stream.arn else self.url
        self._control = self._data if control == self.url else self._http(control, "kinesis")
        self._base = base_credentials(target, context.secret)
        self._sts: StsClient | None = None
        self.credentials: Credentials = self._base
        if target.role_arn is not None:
            sts = self.sts()
            self.credentials = RoleCredentials(lambda: sts.assume(target), self.clock)

    @property
    def arn(self) -> str:
        """The stream's ARN for messages; the account is a `*` where it is not known."""
        if self.stream.arn:
            return self.stream.arn
        return f"arn:{partition_of(self.region)}:kinesis:{self.region}:*:stream/{self.stream.name}"

    @property
    def asks_sts(self) -> bool:
        """Whether STS belongs to where this client writes: credentials for another server than AWS's
        are not shown to AWS."""
        return self.target.role_arn is not None or is_aws(self.url) or has_custom_endpoint(self.target, "sts")

    def error(self, answer: Answer, doing: str) -> TailraceError:
        """What the error table says about an answer to this client."""
        return error_for(answer, doing=doing, arn=self.arn, clock=self.clock)

    def put_records(self, body: bytes, attempt: Attempt) -> Answer:
        return self._call(self._data, "PutRecords", body, attempt)

    def describe(self) -> Answer:
        """DescribeStreamSummary."""
        body = json.dumps(self.stream.reference).encode()
        with self.deadlines.attempt(CONTROL_SECONDS) as attempt:
            return self._call(self._control, "DescribeStreamSummary", body, attempt)

    def dry_run(self) -> Answer:
        """Ask whether PutRecords would be allowed. Only for servers that know the parameter: others
        write the record."""
        record = {"Data": "dGFpbHJhY2U=", "PartitionKey": f"{random.getrandbits(64):x}"}
        body = json.dumps({**self.stream.reference, "Records": [record], "DryRun": True}).encode()
        with self.deadlines.attempt(CONTROL_SECONDS) as attempt:
            return self._call(self._data, "PutRecords", body, attempt)

    def sts(self) -> StsClient:
        """Made when first needed."""
        if self._sts is None:
            http = self._http(endpoint_of(self.target, "sts", self.region), "sts")
            self._sts = StsClient(http, self._base, self.deadlines, self.clock)
        return self._sts

    def close(self) -> None:
        self._data.close()
        self._control.close()
        if self._sts is not None:
            self._sts.close()
        self.deadlines.close()

    def _http(self, url: str, service: str) -> HttpClient:
        return HttpClient(
            url,
            service=service,
            region=self.region,
            connections=self._connections,
            read_seconds=self._read_seconds,
            ca_bundle=self.target.ca_bundle,
            proxy=self.target.proxy,
        )

    def _call(self, http: HttpClient, operation: str, body: bytes, attempt: Attempt) -> Answer:
        """One request; once more with new credentials where the server calls them expired."""
        headers = {
            "X-Amz-Target": f"Kinesis_20131202.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
            "User-Agent": _USER_AGENT,
        }
        keys = self.credentials.keys()
        answer = http.post(body, headers, keys, attempt)
        if log.isEnabledFor(logging.DEBUG):
            said = (operation, len(body), answer.status, answer.request_id())
            log.debug("%s: %d bytes, HTTP %d, request %s", *said)
        if _action(answer) == "refresh" and self.credentials.renew(keys):
            keys = self.credentials.keys()
            answer = http.post(body, headers, keys, attempt)
        # Who may write need not be allowed to look, so that only a write says something of the credentials.
        if operation == "PutRecords" and _action(answer) == "authentication":
            self.credentials.doubt(keys)
        return answer


def _action(answer: Answer) -> str | None:
    return None if answer.status == 200 else request_rule(answer.status, error_code(answer)).action


def quiet_sdk() -> None:
    """botocore logs session tokens and signatures at debug level. An application that turns on debug
    logging for everything does not want that; one that asks botocore for it by name gets it."""
    logger = logging.getLogger("botocore")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
