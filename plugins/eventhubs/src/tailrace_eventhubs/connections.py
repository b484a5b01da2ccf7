"""Opening links of the SDK, with deadlines that it does not have.

The SDK's own way to open a link has three holes: a TLS handshake, a greeting or a token without an answer
is waited for without end (`auth_timeout` reaches none of them); a refused link counts as ready, since the
reason comes in the frame after the refusal; and the peer's address is never looked at. So the steps are
walked here one by one, below the public client, with a watchdog that shuts the socket.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tailrace import Misconfigured, check_peer
from tailrace_eventhubs.waiting import OutOfTime

HANDSHAKE_SECONDS = 10.0
REASON_SECONDS = 2.0
"""How long to wait for the reason of a refused link."""

_ATTACHED = 3


class LinkRefused(Exception):
    """The server refused a link and gave no reason."""


class AddressRefused(Exception):
    """The name led to an address that no connection may have."""


class Link:
    """A sender link that is open and may be used: the server attached it and gave credit."""

    def __init__(self, handler: Any) -> None:
        self.handler = handler

    @property
    def max_bytes(self) -> int | None:
        """The largest message that the link takes, where the server says one."""
        return self.handler._link.remote_max_message_size or None

    def close(self) -> None:
        """Close link and connection; the other side may be gone."""
        _discard(self.handler)

    def abort(self) -> None:
        """Shut the socket, from any thread: a call that is blocked on it fails at once."""
        shut(self.handler)


def open_link(client: Any, *, tls: bool, seconds: float, partition: str | None = None) -> Link:
    """A link to the event hub or to one partition. Raises what the SDK raises, or one of the above; the
    server has accepted the credentials and the permission to send when it returns."""
    producer = client._create_producer(partition_id=partition)
    producer._keep_alive = None
    producer._create_handler(client._create_auth())
    handler = producer._handler
    handler._auth_timeout = seconds
    handler._link_credit = 0  # the SDK supposes credit that nobody gave
    try:
        with _watched(handler, seconds) as ends:
            _authenticate(handler, tls, ends)
            _attach(handler, ends)
    except BaseException:
        _discard(handler)
        raise
    return Link(handler)


def read_properties(client: Any, *, tls: bool, seconds: float) -> Any:
    """What `$management` says of the event hub, a mapping with keys of bytes. Raises what the SDK raises, or
    one of the above."""
    transport = client._amqp_transport
    auth = client._create_auth()
    handler = transport.create_mgmt_client(client._address, mgmt_auth=auth, config=client._config)
    handler._auth_timeout = seconds
    request = transport.build_message(
        application_properties={"name": client.eventhub_name, "security_token": auth.get_token().token}
    )
    try:
        with _watched(handler, seconds) as ends:
            _authenticate(handler, tls, ends)
            status, description, answer = handler.mgmt_request(
                request,
                operation="READ",
                operation_type="com.microsoft:eventhub",
                status_code_field=b"status-code",
                description_fields=b"status-description",
                timeout=seconds,
            )
    finally:
        _discard(handler)
    if int(status) >= 400:
        text = description.decode("utf-8", "replace") if isinstance(description, bytes) else description
        raise transport.get_error(int(status), text)
    return answer.value


def shut(handler: Any) -> None:
    """The plain shutdown, below TLS and WebSocket: it wakes a blocked read; its thread stays the owner."""
    held = getattr(getattr(getattr(handler, "_connection", None), "_transport", None), "sock", None)
    held = getattr(held, "sock", held)  # websocket-client keeps the socket inside
    if isinstance(held, socket.socket):
        with suppress(OSError):
            socket.socket.shutdown(held, socket.SHUT_RDWR)


def ca_file(ca_bundle: str | None) -> str:
    """The file with the certificates to trust."""
    import certifi

    return ca_bundle or os.environ.get("SSL_CERT_FILE") or certifi.where()


def trust(ca_bundle: str | None) -> ssl.SSLContext:
    """What a connection trusts. Raises Misconfigured where the file cannot be used."""
    context = _BoundedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    file = ca_file(ca_bundle)
    try:
        context.load_verify_locations(file)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(
            f"the CA bundle {file} cannot be read ({type(error).__name__})", hint="check ca_bundle"
        ) from None
    return context


class _BoundedContext(ssl.SSLContext):
    """The SDK makes the handshake on a socket without a timeout."""

    def wrap_socket(self, sock: socket.socket, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        if sock.gettimeout() is None:
            sock.settimeout(HANDSHAKE_SECONDS)
        return super().wrap_socket(sock, *arguments, **options)


@contextmanager
def _watched(handler: Any, seconds: float) -> Iterator[float]:
    """Raise OutOfTime where the body is not done in time; what it blocks on is shut. Gives the time at which
    that is, on the monotonic clock."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        shut(handler)

    watch = threading.Timer(seconds, expire)
    watch.name, watch.daemon = "eventhubs-deadline", True
    watch.start()
    try:
        yield time.monotonic() + seconds
    except Exception:
        if expired.is_set():
            raise OutOfTime from None
        raise
    finally:
        watch.cancel()


def _authenticate(handler: Any, tls: bool, ends: float) -> None:
    """Connect, and show the token once it is known where the connection led."""
    handler.open()
    _check_peer(handler, tls)
    while not handler.auth_complete():
        _check_time(ends)


def _attach(handler: Any, ends: float) -> None:
    """A refused link is answered by a link to nowhere, at which the SDK raises ValueError, and then by the
    reason, which it raises when it looks at the link next. An open one gets credit at once."""
    refused: float | None = None
    while not (handler._client_ready() and handler._link.current_link_credit > 0):
        _check_time(ends)
        if refused is not None and time.monotonic() - refused > REASON_SECONDS:
            raise LinkRefused
        try:
            handler._connection.listen(wait=handler._socket_timeout)
        except ValueError:
            refused = refused or time.monotonic()


def _check_time(ends: float) -> None:
    if time.monotonic() > ends:
        raise OutOfTime


def _check_peer(handler: Any, tls: bool) -> None:
    held = getattr(handler._connection._transport, "sock", None)
    held = getattr(held, "sock", held)
    if handler._http_proxy or not isinstance(held, socket.socket):
        return
    try:
        peer = held.getpeername()[0]
    except OSError:
        return  # lost already: the next read says so
    try:
        check_peer(str(peer), encrypted=tls)
    except ValueError as error:
        raise AddressRefused(str(error)) from None


def _discard(handler: Any) -> None:
    """The SDK forgets to close a socket over which no session came about."""
    transport = getattr(handler._connection, "_transport", None)
    with suppress(Exception):
        handler.close()
    if transport is not None:
        with suppress(Exception):
            transport.close()


def quiet_sdk() -> None:
    """The SDK warns of every lost connection, which is told here in its own way, and quotes what servers say.
    Who asks one of its loggers by name for more gets it."""
    logger = logging.getLogger("azure")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.ERROR)
