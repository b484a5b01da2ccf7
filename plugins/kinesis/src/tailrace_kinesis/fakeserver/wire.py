"""The HTTP side of the fake Kinesis server: requests, signatures, answers and broken answers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import socket
import ssl
import struct
from collections.abc import Mapping
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tailrace_kinesis.fakeserver.model import (
    AwsError,
    Call,
    Change,
    Drip,
    Fault,
    Raw,
    Refuse,
    Request,
    Reset,
    Silence,
)

if TYPE_CHECKING:
    from tailrace_kinesis.fakeserver.server import KinesisServer

XMLNS = "https://sts.amazonaws.com/doc/2011-06-15/"


def xml(operation: str, content: str) -> str:
    return (
        f'<{operation}Response xmlns="{XMLNS}"><{operation}Result>{content}</{operation}Result>'
        f"<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{operation}Response>"
    )


class HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, fake: KinesisServer) -> None:
        super().__init__(("127.0.0.1", 0), handler_for(fake))
        self.fake = fake

    def get_request(self) -> Any:
        try:
            return super().get_request()
        except ssl.SSLError:
            self.fake.count("tls")
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are part of the play."""


class Signed:
    """The Authorization header, and an own computation of the signature."""

    _FIELDS = re.compile(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/([0-9]{8})/([^/]+)/([^/]+)/aws4_request, ?"
        r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
    )

    def __init__(self, fields: tuple[str, ...], date: str) -> None:
        self.access_key, self.day, self.region, self.service, names, self.signature = fields
        self.names = names.split(";")
        self.date = date

    @classmethod
    def read(cls, handler: BaseHTTPRequestHandler) -> Signed:
        match = cls._FIELDS.fullmatch(handler.headers.get("Authorization", ""))
        if match is None:
            raise AwsError(
                "MissingAuthenticationTokenException", "Request is missing Authentication Token", 403
            )
        return cls(match.groups(), handler.headers.get("X-Amz-Date", ""))

    def expected(self, handler: BaseHTTPRequestHandler, body: bytes, secret: str) -> str:
        headers = "".join(
            f"{name}:{' '.join(handler.headers.get(name, '').split())}\n" for name in self.names
        )
        path = urlsplit(handler.path).path or "/"  # a proxy gets a whole URL
        canonical = "\n".join(
            ["POST", path, "", headers, ";".join(self.names), hashlib.sha256(body).hexdigest()]
        )
        scope = f"{self.day}/{self.region}/{self.service}/aws4_request"
        text = "\n".join(
            ["AWS4-HMAC-SHA256", self.date, scope, hashlib.sha256(canonical.encode()).hexdigest()]
        )
        key = b"AWS4" + secret.encode()
        for part in (self.day, self.region, self.service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, text.encode(), "sha256").hex()


def handler_for(server: KinesisServer) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        fake = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    fake: KinesisServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(self.fake.now() if timestamp is None else timestamp, usegmt=True)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        target = self.headers.get("X-Amz-Target")
        if target is not None:
            self._kinesis(target.rpartition(".")[2], body)
        else:
            self._sts(body)

    def _kinesis(self, operation: str, body: bytes) -> None:
        self._records = 0
        try:
            request = _read_request(operation, body)
            self._records = len(request.data)
            fault = self.fake.next_step(request)
            if isinstance(fault, Refuse):
                self._refuse(operation, body, fault)
                return
            self.fake.authenticate(self, body)
            answer = self._serve(request, fault)
        except AwsError as error:
            self._refuse(operation, body, error.refusal)
            return
        self._finish(operation, body, fault, answer)

    def _serve(self, request: Request, fault: Fault | None) -> dict[str, Any]:
        if isinstance(fault, Raw | Reset | Silence | Drip) and not fault.accept:
            return {}
        if request.operation == "PutRecords":
            return self.fake.put_records(request, fault)
        if request.operation == "DescribeStreamSummary":
            return self.fake.describe(request)
        if request.operation == "ListShards":
            return self.fake.list_shards(request)
        raise AwsError("UnknownOperationException")

    def _finish(self, operation: str, body: bytes, fault: Fault | None, answer: dict[str, Any]) -> None:
        if isinstance(fault, Change | Reset | Silence | Raw | Drip):
            self.fake.count(type(fault).__name__.lower())
        if isinstance(fault, Change):
            answer = fault.change(answer)
        if isinstance(fault, Reset | Silence):
            self._note(operation, body, 0, None)
            if isinstance(fault, Silence):
                self.fake.stopped.wait()
            self._reset()
        elif isinstance(fault, Raw):
            self._note(operation, body, fault.status, None)
            self._send(
                fault.status, fault.body, {"Content-Type": "application/x-amz-json-1.1", **fault.headers}
            )
        else:
            self._note(operation, body, 200, None)
            content = json.dumps(answer, separators=(",", ":")).encode()
            drip = fault.seconds if isinstance(fault, Drip) else 0.0
            self._send(200, content, {"Content-Type": "application/x-amz-json-1.1"}, drip)

    def _sts(self, body: bytes) -> None:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        operation = form.get("Action", "")
        self._records = 0
        try:
            fault = self.fake.next_step(Request(operation, form))
            if isinstance(fault, Reset | Silence):
                self._finish(operation, body, fault, {})
                return
            if isinstance(fault, Raw):
                self._finish(operation, body, fault, {})
                return
            if isinstance(fault, Refuse):
                raise AwsError(fault.code, fault.message, fault.status)
            self.fake.authenticate(self, body)
            if operation == "AssumeRole":
                content = self.fake.assume_role(form)
            elif operation == "GetCallerIdentity":
                content = self.fake.caller_identity(self._access_key())
            else:
                raise AwsError("InvalidAction")
        except AwsError as error:
            refusal = error.refusal
            self._note(operation, body, refusal.status, refusal.code)
            self.fake.count(refusal.code)
            text = f"<Error><Code>{refusal.code}</Code><Message>{refusal.message}</Message></Error>"
            content = f'<ErrorResponse xmlns="{XMLNS}">{text}</ErrorResponse>'
            self._send(refusal.status, content.encode(), {"Content-Type": "text/xml"})
            return
        self._note(operation, body, 200, None)
        self._send(200, content.encode(), {"Content-Type": "text/xml"})

    def _refuse(self, operation: str, body: bytes, refusal: Refuse) -> None:
        self._note(operation, body, refusal.status, refusal.code)
        self.fake.count(refusal.code)
        content = json.dumps({"__type": refusal.code, "message": refusal.message}).encode()
        headers = {"Content-Type": "application/x-amz-json-1.1", **refusal.headers}
        self._send(refusal.status, content, headers)

    def _note(self, operation: str, body: bytes, status: int, code: str | None) -> None:
        self.fake.note(Call(operation, self._records, len(body), status, code, self._access_key()))

    def _access_key(self) -> str | None:
        match = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        return match[1] if match else None

    def _send(self, status: int, content: bytes, headers: Mapping[str, str], drip: float = 0.0) -> None:
        self.send_response(status)
        self.send_header("x-amzn-RequestId", secrets.token_hex(16))
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not drip:
            self.wfile.write(content)
            self.wfile.flush()
            return
        for byte in content:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.fake.stopped.wait(drip):
                return

    def _reset(self) -> None:
        """Close with a reset, not an orderly end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _read_request(operation: str, body: bytes) -> Request:
    try:
        content = json.loads(body)
        records = content.get("Records", [])
        keys = tuple(record["PartitionKey"] for record in records)
        data = tuple(base64.b64decode(record["Data"], validate=True) for record in records)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AwsError("SerializationException") from None
    return Request(operation, content, keys, data)
