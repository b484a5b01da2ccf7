"""What a destination plugin hands to the core, and what the core hands to it.

A plugin implements the four hooks of `tailrace.hooks`. The values they exchange are here: plain,
frozen, picklable, and free of pydantic so that importing this module costs nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tailrace.settings import Secret

API_VERSION = "1.0"
"""The author API this core speaks. A plugin states the one it was written for as `api_version`;
the major part must be equal, the minor part at most the core's."""

FailureKind = Literal["retry", "throttled", "rejected", "ambiguous"]
"""`retry`: try this record again. `throttled`: again, but slower. `rejected`: never as it is, so it
becomes a dead letter. `ambiguous`: it may have been accepted; it is sent again and counted apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationSpec:
    """The answer of the `account` hook: everything the core asks before there is any I/O.

    `account` and `connection` are subclasses of `tailrace.Settings`; their fields become
    `--set NAME=VALUE`, prompts, JSON Schema and documentation. `formats` names the format contracts
    that the destination takes, the default first. `limits` is for people: name to text.
    """

    title: str
    description: str
    account: type[BaseModel]
    connection: type[BaseModel]
    formats: tuple[str, ...] = ("xdm-json",)
    limits: Mapping[str, str] = field(default_factory=dict)
    documentation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing the auth step looked at. `status`: `ok`, `failed`, or `unproven` (could not be
    told without sending data, or may not be asked). `exit_code` is what a failed check makes of
    `tailrace connection test`: 3 configuration, 4 authentication, 6 destination unavailable."""

    name: str
    status: Literal["ok", "failed", "unproven"]
    detail: str
    hint: str | None = None
    exit_code: Literal[3, 4, 6] = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthReport:
    """The answer of the `auth` hook. `identity` says who the credentials are; `limits` are the
    limits that the destination really reported, name to text."""

    identity: str | None = None
    checks: tuple[Check, ...] = ()
    limits: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """No check failed (an unproven one is not a failure)."""
        return all(check.status != "failed" for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one write may hold. Sizes are in bytes.

    A record's size is `len(data) + len(key in UTF-8) + record_overhead`. A record over
    `record_bytes` is dead-lettered before it is sent.
    """

    records: int
    bytes: int
    record_bytes: int
    record_overhead: int = 0
    key_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlan:
    """How the partition key is made. `rule` is the text of a KeyRule (see `tailrace.keys`)."""

    rule: str = "identity"
    hash: Literal["none", "sha256"] = "none"
    missing: Literal["dead-letter", "random"] = "dead-letter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The answer of the `activate` hook: what one export needs, picklable and without secrets.

    `settings` belongs to the plugin: it comes back unchanged in the `export` hook. It may hold
    `Secret` values, which are references. `in_flight` is the number of threads that call `write`.
    """

    destination: str
    format: str
    limits: Limits
    key: KeyPlan = KeyPlan()
    in_flight: int = 8
    order_within_write: Literal["none", "kept"] = "none"
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one `write` gets: parallel sequences of equal length, no object per record.

    `data[i]` are the bytes of a record in the plan's format, `keys[i]` its partition key.
    `ids` are event ids, present only where the format carries them.
    """

    keys: Sequence[str]
    data: Sequence[bytes]
    ids: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.data)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one record was not delivered.

    `message` is for people and holds neither the record nor a secret. `retry_after` is in seconds.
    `domain` is opaque text naming what is congested (part of the place, or all); the core paces by it.
    """

    kind: FailureKind
    code: str
    message: str = ""
    retry_after: float | None = None
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a batch of `size` records: an index that is not in `failures` was delivered."""

    size: int
    failures: Mapping[int, Failure] = field(default_factory=dict)


@runtime_checkable
class Exporter(Protocol):
    """What the `export` hook returns.

    `write` blocks until the fate of each record is known, is called from up to `plan.in_flight`
    threads at once, and returns within `context.write_timeout` seconds. For a batch that failed as
    a whole it raises `AuthenticationFailed`, `Misconfigured`, `NotConnected` or `Transient`;
    anything else it raises counts as a defect of the plugin. After `AuthenticationFailed` or
    `Misconfigured` the run waits and writes again now and then: look again at what somebody may have
    put right meanwhile, credentials above all. Retry nothing else: the core does. `close` comes once,
    after the last write, and may be called after a failed one.
    """

    def write(self, batch: Batch, /) -> BatchResult: ...

    def close(self) -> None: ...


class Clock(Protocol):
    """Time as the engine sees it; a test gives its own."""

    def time(self) -> float: ...

    def monotonic(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HookContext:
    """What a hook that does I/O may ask the core for.

    `secret(value)` gives the text behind a `Secret`; it raises `SecretUnavailable` or `KeyLost`.
    `write_timeout` is the number of seconds within which a `write` must return. `stop` is set when
    the run should end soon: a plugin that waits should wait on it.
    """

    secret: Callable[[Secret], str]
    clock: Clock = time
    write_timeout: float = 60.0
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationInfo:
    """What the `activate` hook is told about the activation. It says nothing of mapping, which the
    core owns."""

    name: str
    format: str
    options: Mapping[str, object] = field(default_factory=dict)


@runtime_checkable
class SupportsPolicy(Protocol):
    """Optional: a destination that can print the least-privilege policy a connection needs."""

    def policy(self, account: BaseModel, connection: BaseModel) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlace:
    """A place on this machine that a demo exports into.

    `account` and `connection` are settings as a user types them; a secret in them is a reference.
    `read()` gives all (partition key, record bytes) that have arrived, in any order; the key is None
    where the place keeps none. `about` names the place for people. `in_flight` is the number of writes at
    once that the place can stand.
    """

    about: str
    account: Mapping[str, object]
    connection: Mapping[str, object]
    read: Callable[[], Sequence[tuple[str | None, bytes]]]
    in_flight: int = 1


@runtime_checkable
class SupportsDemo(Protocol):
    """Optional: a destination that can start a server of its kind inside this process.

    The place exists until the context ends. Raises `Misconfigured`, with what to install as its
    hint, where something that the server needs is missing.
    """

    def demo(self) -> AbstractContextManager[DemoPlace]: ...
