"""The server itself: what it keeps, what it is told to do, and how it serves a call.

One lock guards one list of what was accepted, in the order of acceptance, and every count.
"""

from __future__ import annotations

import hmac
import secrets
import ssl
import threading
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any

from tailrace_kinesis.fakeserver.model import (
    ACCOUNT,
    REGION,
    Accepted,
    AwsError,
    Call,
    Fault,
    Request,
    Role,
    Step,
    Stream,
)
from tailrace_kinesis.fakeserver.records import code_of, failed_entry, shard_of, validate
from tailrace_kinesis.fakeserver.wire import HttpServer, Signed, xml


class KinesisServer:
    """See the module."""

    def __init__(
        self,
        *,
        streams: Mapping[str, Stream] | None = None,
        credentials: Mapping[str, str] | None = None,
        roles: Mapping[str, Role] | None = None,
        region: str = REGION,
        account: str = ACCOUNT,
        skew: float = 0.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.streams = dict(streams if streams is not None else {"hot-leads": Stream()})
        self.roles = dict(roles or {})
        self.region = region
        self.account = account
        self.skew = skew
        self.client_ahead = 0.0
        """Seconds by which a script wants the client's clock ahead; the server itself does not look."""
        self._credentials = None if credentials is None else dict(credentials)
        self._temporary: dict[str, tuple[str, str, float]] = {}
        self._lock = threading.Lock()
        self._accepted: list[Accepted] = []
        self._grown = threading.Condition(self._lock)
        self._calls: list[Call] = []
        self._met: Counter[str] = Counter()
        self._scripts: dict[str, list[Step]] = {}
        self._defaults: dict[str, Step] = {}
        self._sequence = 49_645_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000
        self.stopped = threading.Event()
        self._http = HttpServer(self)
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self._scheme = "http" if tls is None else "https"
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, name="fake-kinesis", daemon=True
        )

    def __enter__(self) -> KinesisServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopped.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def calls(self) -> list[Call]:
        with self._lock:
            return list(self._calls)

    def calls_of(self, operation: str) -> list[Call]:
        return [call for call in self.calls if call.operation == operation]

    def accepted(self, stream: str = "hot-leads") -> list[Accepted]:
        with self._lock:
            return [record for record in self._accepted if record.stream == stream]

    def wait_for_more(self, count: int, timeout: float) -> bool:
        """Wait until more than so many records are accepted; whether it came to that in so many seconds."""
        with self._grown:
            return self._grown.wait_for(lambda: len(self._accepted) > count, timeout)

    def take(self) -> list[Accepted]:
        """What was accepted since the last time, of all streams; it is forgotten here."""
        with self._lock:
            taken, self._accepted = self._accepted, []
        return taken

    def met(self, *faults: str) -> int:
        """How often a call or a record really met one of these faults: an AWS code, or the name of a
        fault in lower case (`raw`, `change`, `reset`, `silence`, `drip`, `tls`)."""
        with self._lock:
            return sum(self._met[fault] for fault in faults)

    def script(self, operation: str, *steps: Step) -> None:
        """Add steps for the next calls of an operation."""
        with self._lock:
            self._scripts.setdefault(operation, []).extend(steps)

    def always(self, operation: str, step: Step) -> None:
        """For every call that no script says anything about; None ends it."""
        with self._lock:
            self._defaults[operation] = step

    def expire(self) -> None:
        """All temporary credentials handed out so far expire now."""
        with self._lock:
            self._temporary = {key: (a, b, 0.0) for key, (a, b, _) in self._temporary.items()}

    def arn(self, stream: str) -> str:
        return f"arn:aws:kinesis:{self.region}:{self.account}:stream/{stream}"

    # What follows is used by the handler.

    def next_step(self, request: Request) -> Fault | None:
        with self._lock:
            script = self._scripts.get(request.operation)
            step = script.pop(0) if script else self._defaults.get(request.operation)
        return step(request) if callable(step) else step

    def note(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)

    def count(self, fault: str) -> None:
        with self._lock:
            self._met[fault] += 1

    def now(self) -> float:
        return time.time() + self.skew

    def authenticate(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """Check the signature. Raises AwsError as AWS does."""
        if self._credentials is None:
            return
        signed = Signed.read(handler)
        secret = self._credentials.get(signed.access_key)
        if secret is None:
            with self._lock:
                temporary = self._temporary.get(signed.access_key)
            if temporary is None or handler.headers.get("X-Amz-Security-Token") != temporary[1]:
                raise AwsError(
                    "UnrecognizedClientException", "The security token included in the request is invalid."
                )
            if temporary[2] <= time.time():
                raise AwsError(
                    "ExpiredTokenException", "The security token included in the request is expired"
                )
            secret = temporary[0]
        when = datetime.strptime(signed.date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        if abs(when - self.now()) > 300:
            raise AwsError(
                "InvalidSignatureException", f"Signature expired: {signed.date} is now earlier than …"
            )
        if not hmac.compare_digest(signed.signature, signed.expected(handler, body, secret)):
            raise AwsError(
                "InvalidSignatureException", "The request signature we calculated does not match …"
            )

    def describe(self, request: Request) -> dict[str, Any]:
        name, stream = self._stream(request.body)
        summary: dict[str, Any] = {
            "StreamName": name,
            "StreamARN": self.arn(name),
            "StreamStatus": stream.status,
            "StreamModeDetails": {"StreamMode": stream.mode},
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": 1700000000,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "OpenShardCount": stream.shards,
        }
        if stream.reports_limit:
            summary["MaxRecordSizeInKiB"] = stream.record_limit // 1024
        return {"StreamDescriptionSummary": summary}

    def list_shards(self, request: Request) -> dict[str, Any]:
        _, stream = self._stream(request.body)
        return {"Shards": [{"ShardId": f"shardId-{n:012d}"} for n in range(stream.shards)]}

    def put_records(self, request: Request, fault: Fault | None) -> dict[str, Any]:
        name, stream = self._stream(request.body)
        validate(stream, request)
        if request.body.get("DryRun") and stream.knows_dry_run:
            raise AwsError("DryRunOperationException", "The request would have succeeded.")
        answers: list[dict[str, Any]] = []
        failed = 0
        with self._lock:
            for index, (key, data) in enumerate(zip(request.keys, request.data, strict=True)):
                code = code_of(fault, index, key, data)
                shard = shard_of(key, stream)
                if code is not None:
                    failed += 1
                    entry = failed_entry(code, shard, name, self.account)
                    self._met[entry["ErrorCode"]] += 1
                    answers.append(entry)
                    continue
                self._sequence += 1
                sequence = str(self._sequence)
                self._accepted.append(Accepted(name, key, data, sequence, shard))
                self._grown.notify_all()
                answers.append({"SequenceNumber": sequence, "ShardId": shard})
        return {"FailedRecordCount": failed, "Records": answers}

    def assume_role(self, form: Mapping[str, str]) -> str:
        role = self.roles.get(form.get("RoleArn", ""))
        if role is None or role.external_id != form.get("ExternalId"):
            raise AwsError("AccessDenied", "User is not authorized to perform: sts:AssumeRole", 403)
        key, secret, token = (
            "ASIA" + secrets.token_hex(8).upper(),
            secrets.token_hex(20),
            secrets.token_hex(40),
        )
        expires = time.time() + role.seconds
        with self._lock:
            self._temporary[key] = (secret, token, expires)
        moment = datetime.fromtimestamp(expires, UTC).isoformat().replace("+00:00", "Z")
        return xml(
            "AssumeRole",
            f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
            f"<SessionToken>{token}</SessionToken><Expiration>{moment}</Expiration></Credentials>",
        )

    def caller_identity(self, access_key: str | None) -> str:
        who = "assumed-role/writer/tailrace" if (access_key or "").startswith("ASIA") else "user/writer"
        service = "sts" if who.startswith("assumed") else "iam"
        return xml(
            "GetCallerIdentity",
            f"<Arn>arn:aws:{service}::{self.account}:{who}</Arn><UserId>AIDA</UserId>"
            f"<Account>{self.account}</Account>",
        )

    def _stream(self, body: Mapping[str, Any]) -> tuple[str, Stream]:
        name = body.get("StreamName") or str(body.get("StreamARN", "")).rpartition("/")[2]
        stream = self.streams.get(name)
        if stream is None:
            raise AwsError(
                "ResourceNotFoundException", f"Stream {name} under account {self.account} not found."
            )
        return name, stream
