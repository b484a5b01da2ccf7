"""One event hub, through the SDK: links to send on, and what the service says of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tailrace import HookContext, Misconfigured, TailraceError
from tailrace_eventhubs import connections
from tailrace_eventhubs.answers import UNLISTED, Said, error_of, understand
from tailrace_eventhubs.connections import Link, quiet_sdk, trust
from tailrace_eventhubs.credentials import Access, Identity, Scheme, access_of, holder_of
from tailrace_eventhubs.networkerrors import network_rule
from tailrace_eventhubs.reach import Way, why_not
from tailrace_eventhubs.sending import selfcheck
from tailrace_eventhubs.target import Target
from tailrace_eventhubs.waiting import within

KEEP_ALIVE_SECONDS = 30
PROBE_SECONDS = 3.0
VAGUE = frozenset({"NoAnswer", "ConnectionLost", "ConnectTimeout", "Unreachable", "TlsFailed", UNLISTED})
"""What deserves a second look."""
VAGUE_BEHIND_PROXY = frozenset({"ConnectionRefused", "HostNotFound"})
"""What may be the proxy's fault."""
WORK_SHARE = 0.7
"""Of the time to open a link; the rest is for the second look."""
GRACE = 0.1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Properties:
    """What the service tells of an event hub."""

    name: str
    partition_ids: tuple[str, ...]


class HubClient:
    """Speaks to one event hub. Made where it is used; holds secrets, so it never travels. Thread-safe."""

    def __init__(self, target: Target, context: HookContext) -> None:
        """Reads the secrets, and asks nobody. Raises Misconfigured, SecretUnavailable or KeyLost."""
        quiet_sdk()
        self.target = target
        self.hub = target.event_hub_name
        self._reveal = context.secret
        self._lock = threading.Lock()
        self._doubted = False
        self._access = access_of(target, context.secret)
        self._trust = trust(target.ca_bundle) if self._access.endpoint.tls else None

    @property
    def _way(self) -> Way:
        return Way.of(self._access.endpoint, self.target.transport, self.target.proxy)

    @property
    def namespace(self) -> str:
        """The host name of the namespace, which is what is throttled."""
        return self._access.host

    @property
    def scheme(self) -> Scheme:
        """What the credentials are: `key`, `token` or `identity`."""
        return self._access.scheme

    @property
    def shown(self) -> str:
        """The name of the SAS policy, or the kind of the identity."""
        return self._access.shown

    @property
    def address(self) -> str:
        """Host and port that are connected to."""
        return f"{self._way.host}:{self._way.port}"

    @property
    def where(self) -> str:
        """The namespace and how it is reached, for people."""
        by = self.target.transport + ("" if self._access.endpoint.tls else " without TLS")
        if self._way.proxy:  # that of the environment may hold a password
            by += f" through {self.target.proxy or 'a proxy'}"
        return f"{self.address} answers ({by})"

    def identity(self) -> str | None:
        """Who the credentials are, as far as they say it themselves. For an identity it asks for its token
        again, so only once there was one."""
        if not isinstance(self._access.credential, Identity):
            return f"SAS policy {self.shown}"
        try:
            token = self._access.credential.get_token("https://eventhubs.azure.net//.default")
        except Exception:
            return None
        return holder_of(token.token)

    def open_link(self, seconds: float, partition: str | None = None) -> Link:
        """A sender link that the server attached and gave credit to, within so many seconds. Raises an error
        of the tree, by the table."""
        return self._must(self.try_link(seconds, partition), "opening a sender link")

    def properties(self, seconds: float) -> Properties:
        """What the service says of the event hub. Raises an error of the tree, by the table."""
        return self._must(self.try_properties(seconds), "reading the event hub's properties")

    def try_link(self, seconds: float, partition: str | None = None) -> Link | Said:
        """The same as `open_link`, or what was answered instead."""

        def open_it(client: Any, tls: bool, seconds: float) -> Link:
            return connections.open_link(client, tls=tls, seconds=seconds, partition=partition)

        return self._try(open_it, seconds, Link.close)

    def try_properties(self, seconds: float) -> Properties | Said:
        """The same as `properties`, or what was answered instead."""

        def read(client: Any, tls: bool, seconds: float) -> Properties:
            if selfcheck.why_not() is not None:  # only its public names are known to be what they are
                told = client.get_eventhub_properties()
                return Properties(told["eventhub_name"], tuple(told["partition_ids"]))
            found = connections.read_properties(client, tls=tls, seconds=seconds)
            return Properties(_text(found[b"name"]), tuple(map(_text, found[b"partition_ids"])))

        return self._try(read, seconds)

    def why_not(self, seconds: float) -> Said | None:
        """What stands in the way to the namespace, found without a secret."""
        code = why_not(self._way, self._trust, seconds)
        return None if code is None else Said(code, network_rule(code))

    def sdk(self) -> Any:
        """A new public client, not connected yet: azure.eventhub.EventHubProducerClient."""
        return self._sdk(self.access())

    def access(self) -> Access:
        """What to show: read again where it was doubted."""
        if self._doubted:
            with self._lock:
                if self._doubted:
                    self._access = access_of(self.target, self._reveal)
                    self._doubted = False
        return self._access

    def doubt(self) -> None:
        """The credentials were refused, for a reason that somebody may mend at their source: look there
        again before the next link."""
        self._doubted = True

    def error(self, error: BaseException, doing: str, *, sent: bool = False) -> TailraceError:
        """What the error table says of an error of the SDK; `sent`: something of a batch was sent and not
        answered. It asks nobody."""
        if isinstance(error, TailraceError):
            return error
        return error_of(self.understand(error), doing=doing, hub=self.hub, sent=sent)

    def understand(self, error: BaseException, seconds: float = 0.0) -> Said:
        """Look an error up in the table, and, for so many seconds, at what stands in the way where it does
        not say that."""
        credential = self._access.credential
        said = understand(error, credential.problem if isinstance(credential, Identity) else None)
        vague = said.code in VAGUE or (said.code in VAGUE_BEHIND_PROXY and self._way.proxy is not None)
        if vague and seconds > 0:
            said = self.why_not(min(seconds, PROBE_SECONDS)) or said
        if said.rule.action == "authentication":
            self.doubt()
        return said

    def close(self) -> None:
        if isinstance(self._access.credential, Identity):
            self._access.credential.close()

    def _must(self, found: T | Said, doing: str) -> T:
        if isinstance(found, Said):
            raise error_of(found, doing=doing, hub=self.hub)
        return found

    def _try(
        self,
        work: Callable[[Any, bool, float], T],
        seconds: float,
        discard: Callable[[T], None] = lambda result: None,
    ) -> T | Said:
        """Most of the time is for the work; what is left of it is for a second look."""
        ends = time.monotonic() + seconds
        access = self.access()
        client = self._sdk(access)
        mine = seconds * WORK_SHARE
        try:
            return within(mine + GRACE, lambda: work(client, access.endpoint.tls, mine), discard)
        except TailraceError:
            raise
        except Exception as error:
            return self.understand(error, ends - time.monotonic())

    def _sdk(self, access: Access) -> Any:
        try:
            from azure.eventhub import EventHubProducerClient, TransportType
        except ImportError:
            raise Misconfigured("the package azure-eventhub is missing", hint="install it") from None
        web = self.target.transport == "websocket"
        options: dict[str, Any] = {
            "transport_type": TransportType.AmqpOverWebsocket if web else TransportType.Amqp,
            "retry_total": 0,
            "retry_backoff_factor": 0,
            "keep_alive": KEEP_ALIVE_SECONDS,
            "auth_timeout": 15,
            "use_tls": access.endpoint.tls,
            "user_agent": "tailrace-eventhubs",
        }
        if self._trust is not None:
            options["ssl_context"] = self._trust
        if self.target.proxy is not None:
            options["http_proxy"] = _proxy(self._way)
        if self._custom(access):
            options["custom_endpoint_address"] = f"sb://{access.endpoint.host}:{self._way.port}"
        made = EventHubProducerClient(access.host, access.hub, access.credential, **options)
        other = made._config.transport_type != options["transport_type"] and self._way.proxy is None
        if other and access.endpoint.tls:
            raise Misconfigured(
                "this version of azure-eventhub reaches an endpoint over WebSocket only",
                hint="use azure-eventhub 5.14 or later, or transport=websocket",
            )
        return made

    def _custom(self, access: Access) -> bool:
        """Whether the address has to be given beside the namespace: the SDK takes a port from the name of
        the namespace only for plain AMQP."""
        named = access.endpoint.port is not None and (access.endpoint.tls or self._way.transport != "amqp")
        return self.target.endpoint is not None or named


def _proxy(way: Way) -> dict[str, Any]:
    parts = urlsplit(way.proxy or "")
    return {"proxy_hostname": parts.hostname, "proxy_port": parts.port}


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
