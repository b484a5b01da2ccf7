"""What an emulator may be told, in Python and in the official `Config.json`."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailrace_eventhubs.emulator.config import CLAIMS, Config, ConfigError, ConsumerGroup, Hub, Key

OFFICIAL: dict[str, Any] = {
    "UserConfig": {
        "NamespaceConfig": [
            {
                "Type": "EventHub",
                "Name": "emulatorNs1",
                "Entities": [
                    {"Name": "eh1", "PartitionCount": "2", "ConsumerGroups": [{"Name": "cg1"}]},
                    {"Name": "eh2", "PartitionCount": "32"},
                ],
            }
        ],
        "LoggingConfig": {"Type": "File"},
    }
}


def saved(folder: Path, document: object) -> Path:
    path = folder / "Config.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_the_official_file(tmp_path: Path) -> None:
    config = Config.read(saved(tmp_path, OFFICIAL))
    assert config.hubs == (Hub("eh1", 2, [ConsumerGroup("cg1")]), Hub("eh2", 32))
    assert config.keys == (Key("RootManageSharedAccessKey", "SAS_KEY_VALUE"),)
    assert config.size_limit == 1_048_576


def test_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "Config.json"
    path.write_text(json.dumps(OFFICIAL), encoding="utf-8-sig")
    assert len(Config.read(path).hubs) == 2


def test_our_own_options(tmp_path: Path) -> None:
    own = {
        "Tier": "Basic",
        "RetainedBytes": 1000,
        "Keys": [
            {"Name": "root", "Value": "r"},
            {"Name": "sender", "Value": "s", "Claims": ["Send"], "Hub": "EH1"},
        ],
    }
    config = Config.read(saved(tmp_path, OFFICIAL | {"EmulatorOptions": own}))
    assert (config.tier, config.size_limit, config.retained_bytes) == ("basic", 262_144, 1000)
    assert config.keys == (Key("root", "r", CLAIMS),)
    assert [hub.keys for hub in config.hubs] == [(Key("sender", "s", ["Send"]),), ()]


def namespace(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["UserConfig"]["NamespaceConfig"][0]
    return found


def hub(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = namespace(document)["Entities"][0]
    return found


SPACE = "UserConfig.NamespaceConfig"
EH1 = f"{SPACE}[0].Entities[0]"
BAD: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no user config": (lambda d: d.pop("UserConfig"), "the file"),
    "no logging": (lambda d: d["UserConfig"].pop("LoggingConfig"), "UserConfig"),
    "unknown logging": (
        lambda d: d["UserConfig"]["LoggingConfig"].update(Type="Syslog"),
        "UserConfig.LoggingConfig.Type",
    ),
    "no namespace": (lambda d: d["UserConfig"].update(NamespaceConfig=[]), SPACE),
    "two namespaces": (lambda d: d["UserConfig"]["NamespaceConfig"].append({}), SPACE),
    "another namespace": (lambda d: namespace(d).update(Name="mine"), f"{SPACE}[0].Name"),
    "another type": (lambda d: namespace(d).update(Type="ServiceBus"), f"{SPACE}[0].Type"),
    "no hubs": (lambda d: namespace(d).update(Entities=[]), f"{SPACE}[0].Entities"),
    "eleven hubs": (
        lambda d: namespace(d).update(Entities=[{"Name": f"h{n}", "PartitionCount": "1"} for n in range(11)]),
        f"{SPACE}[0].Entities",
    ),
    "the same hub twice": (
        lambda d: namespace(d)["Entities"][1].update(Name="EH1"),
        f"{SPACE}[0].Entities",
    ),
    "a hub that is text": (lambda d: namespace(d).update(Entities=["eh1"]), EH1),
    "partitions as a number": (lambda d: hub(d).update(PartitionCount=2), f"{EH1}.PartitionCount"),
    "partitions as a word": (lambda d: hub(d).update(PartitionCount="two"), f"{EH1}.PartitionCount"),
    "no partitions": (lambda d: hub(d).update(PartitionCount="0"), EH1),
    "a superscript for a digit": (lambda d: hub(d).update(PartitionCount="²"), f"{EH1}.PartitionCount"),
    "a name with a slash": (lambda d: hub(d).update(Name="a/b"), EH1),
    "no consumer groups": (lambda d: hub(d).update(ConsumerGroups=[]), f"{EH1}.ConsumerGroups"),
    "21 consumer groups": (
        lambda d: hub(d).update(ConsumerGroups=[{"Name": f"g{n}"} for n in range(21)]),
        f"{EH1}.ConsumerGroups",
    ),
    "the default group": (
        lambda d: hub(d).update(ConsumerGroups=[{"Name": "$Default"}]),
        f"{EH1}.ConsumerGroups[0].Name",
    ),
    "the same group twice": (lambda d: hub(d).update(ConsumerGroups=[{"Name": "a"}, {"Name": "A"}]), EH1),
    "an unknown tier": (lambda d: d.update(EmulatorOptions={"Tier": "Gold"}), "EmulatorOptions.Tier"),
    "a cap of true": (
        lambda d: d.update(EmulatorOptions={"RetainedBytes": True}),
        "EmulatorOptions.RetainedBytes",
    ),
    "a key of a hub that is not there": (
        lambda d: d.update(EmulatorOptions={"Keys": [{"Name": "k", "Value": "SECRET", "Hub": "nope"}]}),
        "EmulatorOptions.Keys",
    ),
    "an unknown option": (lambda d: d.update(EmulatorOptions={"tier": "Basic"}), "EmulatorOptions.tier"),
    "an unknown name in a key": (
        lambda d: d.update(EmulatorOptions={"Keys": [{"Name": "k", "Value": "SECRET", "Claim": ["Send"]}]}),
        "EmulatorOptions.Keys[0].Claim",
    ),
    "options that are a list": (lambda d: d.update(EmulatorOptions=[]), "EmulatorOptions"),
    "a claim that is not": (
        lambda d: d.update(EmulatorOptions={"Keys": [{"Name": "k", "Value": "SECRET", "Claims": ["Own"]}]}),
        "EmulatorOptions.Keys[0]",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_breaks_the_rules(tmp_path: Path, name: str) -> None:
    change, where = BAD[name]
    document = copy.deepcopy(OFFICIAL)
    change(document)
    with pytest.raises(ConfigError) as caught:
        Config.read(saved(tmp_path, document))
    assert caught.value.where == where
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '{"UserConfig": 1}', "[" * 100_000])
def test_a_file_that_is_something_else(tmp_path: Path, text: str) -> None:
    path = tmp_path / "Config.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError):
        Config.read(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Config.read(tmp_path / "absent.json")
    (tmp_path / "latin").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ConfigError, match="UTF-8"):
        Config.read(tmp_path / "latin")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Hub("hub", partitions=0),
        lambda: Hub("a hub"),
        lambda: Hub(""),
        lambda: Hub("hub", consumer_groups=["$default"]),
        lambda: Config(hubs=["hub", "HUB"]),
        lambda: Config(tier="gold"),  # type: ignore[arg-type]
        lambda: Config(retained_bytes=0),
        lambda: Key("name", ""),
        lambda: Key("name", "value", []),
        lambda: Key("name", "value", ["Owner"]),
        lambda: Config(keys=[Key("a", "1"), Key("a", "2")]),
    ],
)
def test_values_that_cannot_be(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        make()


def test_names_do_not_differ_by_case() -> None:
    config = Config(hubs=[Hub("Orders", consumer_groups=["Billing"])])
    found = config.hub("orders")
    assert found is not None and found.has_group("BILLING") and found.has_group("$default")
    assert not found.has_group("other") and config.hub("other") is None


def test_manage_includes_the_others_and_no_key_is_shown() -> None:
    key = Key("name", "SECRET", ["Manage"])
    assert key.claims == CLAIMS
    assert "SECRET" not in repr(Config(keys=[key], jwt_key="SECRET", hubs=[Hub("hub", keys=[key])]))
