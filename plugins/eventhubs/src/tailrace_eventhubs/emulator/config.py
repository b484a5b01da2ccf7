"""What an emulator serves: event hubs, keys with their claims, the tier, how much it keeps.

    Config(hubs=[Hub("orders", partitions=4, consumer_groups=["billing"])])
    Config.read("Config.json")                     # the official emulator's file

A value that cannot be is refused when it is given, with `ConfigError`, which says where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Literal

NAMESPACE = "emulatorNs1"
KEY_NAME = "RootManageSharedAccessKey"
KEY_VALUE = "SAS_KEY_VALUE"
DEFAULT_GROUP = "$Default"
CLAIMS = frozenset({"Manage", "Send", "Listen"})

Tier = Literal["basic", "standard", "premium"]
SIZE_LIMITS: dict[Tier, int] = {"basic": 262_144, "standard": 1_048_576, "premium": 1_048_576}
"""Bytes of one message or batch that a link of a tier takes."""

JwtRule = Callable[[str, float], Iterable[str] | None]
"""Given a token and the time: the claims it carries, None if it is refused."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,254}[A-Za-z0-9])?")
_MOST_PARTITIONS = 2048


class ConfigError(ValueError):
    """A configuration that cannot be. `where` is the place: `hubs[0].partitions`, or a path in the file."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Key:
    """A shared access policy: a key, and what it may do. Manage includes Send and Listen."""

    name: str
    value: str = field(repr=False)
    claims: frozenset[str] = CLAIMS

    def __init__(self, name: str, value: str, claims: Iterable[str] = CLAIMS) -> None:
        given = frozenset([claims] if isinstance(claims, str) else claims)
        if not name or not value:
            raise ConfigError("key", "a key has a name and a value")
        if not given or not given <= CLAIMS:
            raise ConfigError(f"key {name!r}", "the claims are some of Send, Listen and Manage")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "claims", CLAIMS if "Manage" in given else given)


@dataclass(frozen=True, slots=True)
class ConsumerGroup:
    """A consumer group; `$Default` is in every hub."""

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"consumer group {self.name!r}", "letters, digits, '.', '-' and '_'")


@dataclass(frozen=True, slots=True)
class Hub:
    """An event hub. `keys` are policies of this hub alone, beside those of the namespace."""

    name: str
    partitions: int = 4
    consumer_groups: tuple[ConsumerGroup, ...] = ()
    keys: tuple[Key, ...] = ()

    def __init__(
        self,
        name: str,
        partitions: int = 4,
        consumer_groups: Iterable[ConsumerGroup | str] = (),
        keys: Iterable[Key] = (),
    ) -> None:
        where = f"hub {name!r}"
        if not _NAME.fullmatch(name):
            raise ConfigError(where, "a name is 1 to 256 letters, digits, '.', '-' and '_'")
        if not 1 <= partitions <= _MOST_PARTITIONS:
            raise ConfigError(where, f"partitions: 1 to {_MOST_PARTITIONS}, not {partitions}")
        groups = tuple(ConsumerGroup(g) if isinstance(g, str) else g for g in consumer_groups)
        _no_twice(f"{where}, consumer groups", [DEFAULT_GROUP, *(group.name for group in groups)])
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "partitions", partitions)
        object.__setattr__(self, "consumer_groups", groups)
        object.__setattr__(self, "keys", tuple(keys))
        _no_twice(f"{where}, keys", [key.name for key in self.keys])

    def has_group(self, name: str) -> bool:
        """Whether there is such a consumer group; names do not differ by case."""
        return name.lower() in {
            DEFAULT_GROUP.lower(),
            *(group.name.lower() for group in self.consumer_groups),
        }


@dataclass(frozen=True, slots=True)
class Config:
    """All that an emulator is told.

    `retained_bytes` is how much each partition keeps; what is older is forgotten, as if it had expired.
    `jwt_key` is what `tokens.jwt` signs the emulator's own tokens with; `jwt_rule` replaces that check.
    """

    hubs: tuple[Hub, ...]
    keys: tuple[Key, ...] = (Key(KEY_NAME, KEY_VALUE),)
    tier: Tier = "standard"
    retained_bytes: int = 64 << 20
    namespace: str = NAMESPACE
    jwt_key: str = field(default="JWT_KEY_VALUE", repr=False)
    jwt_rule: JwtRule | None = None

    def __init__(
        self,
        hubs: Iterable[Hub | str] = ("hub",),
        *,
        keys: Iterable[Key] = (Key(KEY_NAME, KEY_VALUE),),
        tier: Tier = "standard",
        retained_bytes: int = 64 << 20,
        namespace: str = NAMESPACE,
        jwt_key: str = "JWT_KEY_VALUE",
        jwt_rule: JwtRule | None = None,
    ) -> None:
        if tier not in SIZE_LIMITS:
            raise ConfigError("tier", f"basic, standard or premium, not {tier!r}")
        if retained_bytes < 1:
            raise ConfigError("retained_bytes", "at least 1")
        object.__setattr__(self, "hubs", tuple(Hub(hub) if isinstance(hub, str) else hub for hub in hubs))
        object.__setattr__(self, "keys", tuple(keys))
        object.__setattr__(self, "tier", tier)
        object.__setattr__(self, "retained_bytes", retained_bytes)
        object.__setattr__(self, "namespace", namespace)
        object.__setattr__(self, "jwt_key", jwt_key)
        object.__setattr__(self, "jwt_rule", jwt_rule)
        _no_twice("hubs", [hub.name for hub in self.hubs])
        _no_twice("keys", [key.name for key in self.keys])

    @property
    def size_limit(self) -> int:
        """Bytes of one message or batch that a link takes."""
        return SIZE_LIMITS[self.tier]

    def hub(self, name: str) -> Hub | None:
        """The hub of this name, in any case."""
        return next((hub for hub in self.hubs if hub.name.lower() == name.lower()), None)

    @staticmethod
    def read(path: str | PathLike[str]) -> Config:
        """Read the official emulator's `Config.json`. Raises `ConfigError`, also if there is no such file."""
        from tailrace_eventhubs.emulator.configfile import read

        return read(path)


def _no_twice(where: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise ConfigError(where, f"{name!r} is there twice")
        seen.add(name.lower())
