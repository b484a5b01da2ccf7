"""The objects a user keeps: account, connection, activation, run. Frozen values; `Tailrace` changes
them. Each has an immutable id (UUIDv7), a unique name and an integer version."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from tailrace import arguments
from tailrace.errors import InvalidSettings
from tailrace.ledger import Ledger

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
DEFAULT_NAMESPACE = "ups"
SEGMENT_HINT = "write --segment [NAMESPACE/]ID[=NAME]"
MOST_IN_FLIGHT = 256
"""Each write in flight has a thread."""


def check_name(name: str) -> str:
    """Return the name, or raise InvalidSettings."""
    if not NAME.fullmatch(arguments.text("name", name)):
        raise InvalidSettings(
            f"{name!r} is not a name",
            hint="a name is 1 to 63 of a-z, 0-9, '.', '_' and '-', and starts with a letter or digit",
            fields={"name": "1 to 63 of a-z, 0-9, '.', '_', '-'; starts with a letter or digit"},
        )
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Credentials and where they are valid. `settings` hold references, never a secret."""

    id: str
    name: str
    version: int
    destination: str
    description: str = ""
    settings: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One place inside an account."""

    id: str
    name: str
    version: int
    account_id: str
    account: str
    destination: str
    description: str = ""
    settings: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


Trigger = Literal["segments", "identities", "attributes"]
"""A part of a profile whose change causes an export."""

RefuseStale = Literal["version", "qualification", "none"]
"""By what an update is older than what was delivered, so that it is not exported."""

SubjectForm = Literal["hashed", "plain"]
"""How a format with an envelope names the profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One mapped segment. `created_at` and `updated_at` (epoch milliseconds) are those of the
    mapping: they become `mappingCreatedAt` and `mappingUpdatedAt`."""

    id: str
    namespace: str = DEFAULT_NAMESPACE
    name: str | None = None
    created_at: int = 0
    updated_at: int = 0

    @classmethod
    def parse(cls, text: str) -> Segment:
        """Read `[NAMESPACE/]ID[=NAME]`: the namespace ends at the first slash, the id at the first
        equals sign, which the name does not begin with. Raises InvalidSettings."""
        head, equals, name = text.partition("=")
        namespace, slash, identifier = head.partition("/")
        if not slash:
            namespace, identifier = DEFAULT_NAMESPACE, head
        if not namespace or not identifier or (equals and not name):
            raise InvalidSettings(f"{text!r} is not a segment", hint=SEGMENT_HINT)
        if name.startswith("="):  # an id such as YWJj== would lose its end without a word
            raise InvalidSettings(
                f"{text!r} is not a segment: what is the id's and what the name's is not clear",
                hint=f"{SEGMENT_HINT}; an id that holds '=' can be given from Python, as Segment(id=...)",
            )
        return cls(id=identifier, namespace=namespace, name=name if equals else None)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.id}" + (f"={self.name}" if self.name is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """What flows to a connection.

    `attributes` are XDM paths (`tailrace.paths`); `identities` is None for all namespaces;
    `memberships` is `mapped` for those of `segments` only, `all` for every membership of a
    selected update. `ordering` is `key` where records of one partition key are accepted in input
    order, `none` where they need not be, which takes `every_update`.

    `every_update` exports each update with a mapped membership; else one that changed something of
    `triggers` since what was last delivered for the profile. With `requalification` a newer time of
    qualification alone changes a segment. `profile_key` is the key rule that tells profiles apart,
    None for the partition key's (`tailrace.keys.profile_rule`).

    `version_attribute` is the XDM path of the value that says how new an update is, None for none.
    `refuse_stale` says which updates are not exported, as they are older than what was delivered:
    `version` by that value, `qualification` by the times of the mapped segments, `none` none.
    `subject` is how a format with an envelope names the profile: `hashed` or `plain`. With `exits` the
    identities of members are kept, so that they can be told when a segment is removed.
    """

    id: str
    name: str
    version: int
    connection_id: str
    connection: str
    destination: str
    enabled: bool = True
    description: str = ""
    segments: tuple[Segment, ...]
    attributes: tuple[str, ...] = ()
    memberships: Literal["mapped", "all"] = "mapped"
    identities: tuple[str, ...] | None = None
    include_segment_names: bool = False
    include_segment_timestamps: bool = False
    keep_extra_fields: bool = False
    format: str = "xdm-json"
    format_version: str = "1"
    ordering: Literal["key", "none"] = "key"
    every_update: bool = False
    triggers: tuple[Trigger, ...] = ("segments", "identities", "attributes")
    requalification: bool = False
    profile_key: str | None = None
    version_attribute: str | None = None
    refuse_stale: RefuseStale = "none"
    subject: SubjectForm = "hashed"
    exits: bool = False
    created_at: datetime
    updated_at: datetime


RunKind = Literal["export", "backfill", "exits"]
"""What a run sends: the updates of its sources, those of one segment only, or exits of a segment that
was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One export. `status`: `running`, `finished`, `failed`, `interrupted`. `sources` holds, per
    source, the position before which everything is settled."""

    id: int
    activation_id: str
    activation: str
    activation_version: int
    kind: RunKind = "export"
    status: str
    exit_code: int | None
    error: str | None
    started_at: datetime
    ended_at: datetime | None
    ledger: Ledger
    sources: tuple[Mapping[str, Any], ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """What a running export says of itself. `paused`: it was told to read and send nothing; `in_flight`
    writes may still be under way then. `waiting` is the number of seconds until the next write while the
    destination refuses, else None. `needs` says what somebody has to grant or mend, where it waits for
    that. `ledger` is as of this moment, with where each source stands."""

    activation: str
    run: int
    pid: int
    host: str
    started_at: datetime
    paused: bool
    in_flight: int
    waiting: float | None
    needs: str | None
    ledger: Ledger
