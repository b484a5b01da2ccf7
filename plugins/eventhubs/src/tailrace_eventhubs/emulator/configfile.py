"""The official emulator's `Config.json`, by the rules of its schema, and this emulator's own options in it.

    {"UserConfig": {"NamespaceConfig": [{"Type": "EventHub", "Name": "emulatorNs1", "Entities": [
        {"Name": "orders", "PartitionCount": "4", "ConsumerGroups": [{"Name": "billing"}]}]}],
      "LoggingConfig": {"Type": "File"}},
     "EmulatorOptions": {"Tier": "Basic", "RetainedBytes": 1048576, "Keys": [
        {"Name": "sender", "Value": "…", "Claims": ["Send"], "Hub": "orders"}]}}

`EmulatorOptions` is ours, and a file without it is good for both; a name in it that is not known is refused.
A key with a `Hub` is of that hub alone. The key of the namespace is `RootManageSharedAccessKey` with
`SAS_KEY_VALUE`, unless one without a hub is given.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, cast

from tailrace_eventhubs.emulator.config import NAMESPACE, SIZE_LIMITS, Config, ConfigError, Hub, Key, Tier

_LOGGING = ("File", "Console", "File,Console", "Console,File")
_MOST_HUBS = 10
_MOST_GROUPS = 20


def read(path: str | PathLike[str]) -> Config:
    """See `Config.read`."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        document = json.loads(text)
    except OSError as error:
        raise ConfigError(str(path), error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise ConfigError(str(path), "is not UTF-8") from None
    except json.JSONDecodeError as error:
        problem = f"is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        raise ConfigError(str(path), problem) from None
    except RecursionError:
        raise ConfigError(str(path), "is nested too deeply") from None
    return parse(document)


def parse(document: object) -> Config:
    """The configuration that a parsed file describes. Raises `ConfigError`."""
    root = _At("", document)
    user = root.get("UserConfig")
    logging = user.get("LoggingConfig").get("Type")
    if logging.value not in _LOGGING:
        raise logging.error(f"one of {', '.join(_LOGGING)}")
    (space,) = user.get("NamespaceConfig").items(1, 1)
    for name, only in (("Type", "EventHub"), ("Name", NAMESPACE)):
        if space.get(name).value != only:
            raise space.get(name).error(f"only {only!r} is possible")
    options = root.find("EmulatorOptions")
    if options is not None:
        options.only("Tier", "RetainedBytes", "Keys")
    keys = _keys(options.find("Keys") if options is not None else None)
    entities = space.get("Entities").items(1, _MOST_HUBS)
    hubs = [_hub(entity, keys) for entity in entities]
    if unknown := keys.keys() - {"", *(hub.name.lower() for hub in hubs)}:
        raise ConfigError("EmulatorOptions.Keys", f"there is no hub {sorted(unknown)[0]!r}")
    return _config(space.get("Entities"), hubs, keys, options)


@dataclass(frozen=True, slots=True)
class _At:
    """A value of the file, and where it stands."""

    where: str
    value: Any

    def error(self, problem: str) -> ConfigError:
        return ConfigError(self.where or "the file", problem)

    def find(self, name: str) -> _At | None:
        if not isinstance(self.value, Mapping):
            raise self.error("an object is needed")
        if name not in self.value:
            return None
        return _At(f"{self.where}.{name}" if self.where else name, self.value[name])

    def get(self, name: str) -> _At:
        found = self.find(name)
        if found is None:
            raise self.error(f"{name!r} is missing")
        return found

    def only(self, *names: str) -> None:
        """Refuse what is named otherwise: a misspelt name would be a default, unnoticed."""
        if not isinstance(self.value, Mapping):
            raise self.error("an object is needed")
        for name in self.value:
            if name not in names:
                problem = f"there is no such option; there are {', '.join(names)}"
                raise ConfigError(f"{self.where}.{name}", problem)

    def items(self, least: int, most: int) -> list[_At]:
        if not isinstance(self.value, list):
            raise self.error("a list is needed")
        if not least <= len(self.value) <= most:
            count = f"{least} to {most}" if least < most else f"exactly {most}"
            raise self.error(f"{count} allowed, {len(self.value)} given")
        return [_At(f"{self.where}[{number}]", item) for number, item in enumerate(self.value)]

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.error("a string is needed")
        return self.value

    @contextmanager
    def named(self) -> Iterator[None]:
        """An error of what is made from this value says where it stands."""
        try:
            yield
        except ConfigError as error:
            raise self.error(str(error)) from None

    def number(self) -> int:
        if type(self.value) is not int or self.value < 1:
            raise self.error("a whole number above 0 is needed")
        return self.value


def _hub(entity: _At, keys: Mapping[str, list[Key]]) -> Hub:
    count = entity.get("PartitionCount")
    # The official schema wants a string here.
    if not (count.text().isascii() and count.text().isdigit() and len(count.text()) <= 6):
        raise count.error('a number in quotes is needed, such as "4"')
    name = entity.get("Name").text()
    groups = entity.find("ConsumerGroups")
    found = [] if groups is None else [_group(item) for item in groups.items(1, _MOST_GROUPS)]
    with entity.named():
        return Hub(name, int(count.text()), found, keys.get(name.lower(), ()))


def _group(item: _At) -> str:
    name = item.get("Name")
    if name.text().lower() == "$default":
        raise name.error("'$default' is in every hub, and not to be listed")
    return name.text()


def _keys(listed: _At | None) -> dict[str, list[Key]]:
    """By the lower-case name of their hub; those of the namespace under the empty name."""
    keys: dict[str, list[Key]] = {}
    for item in [] if listed is None else listed.items(1, 1000):
        item.only("Name", "Value", "Claims", "Hub")
        hub, claims = item.find("Hub"), item.find("Claims")
        names = ["Manage"] if claims is None else [claim.text() for claim in claims.items(1, 3)]
        name, value = item.get("Name").text(), item.get("Value").text()
        with item.named():
            made = Key(name, value, names)
        keys.setdefault("" if hub is None else hub.text().lower(), []).append(made)
    return keys


def _config(at: _At, hubs: list[Hub], keys: Mapping[str, list[Key]], options: _At | None) -> Config:
    more: dict[str, Any] = {"keys": keys[""]} if "" in keys else {}
    tier = None if options is None else options.find("Tier")
    if tier is not None:
        if tier.text().lower() not in SIZE_LIMITS:
            raise tier.error("Basic, Standard or Premium")
        more["tier"] = cast(Tier, tier.text().lower())
    kept = None if options is None else options.find("RetainedBytes")
    if kept is not None:
        more["retained_bytes"] = kept.number()
    with at.named():
        return Config(hubs, **more)
