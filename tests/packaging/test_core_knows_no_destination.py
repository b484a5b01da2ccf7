"""The core knows no destination: not by name, nor by a word of its protocol or of its vendor."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.registry.published import published

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "core/src"
WORDS = re.compile(
    r"kinesis|shard|put_?records|sigv4|boto|event.?hub|amqp|azure|servicebus|moto\b"
    r"|\baws|\barns?\b|\bs[at]s[ _-]?(key|token)|\bkms\b|\bregions?\b|dry.?run",
    re.IGNORECASE,
)


def findings(folder: Path) -> Iterator[str]:
    """Each line, of whatever text file there is, that holds such a word."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            if WORDS.search(path.name):
                yield str(path.relative_to(folder))
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if WORDS.search(line):
                    yield f"{path.relative_to(folder)}:{number}: {line.strip()}"


def test_nothing_in_the_core_names_one() -> None:
    assert [*findings(CORE)] == []


@pytest.mark.parametrize(
    "word",
    [
        "kinesis", "KinesisX", "shard", "PutRecords", "put_records", "sigv4", "SigV4", "botocore", "eventhub",
        "EventHub", "event hub", "event-hub", "amqp", "AMQP", "AWS_REGION", "arn:", "Azure", "sas_key",
        "region",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["module.py", "schema.json", "notes.txt"])
def test_the_search_finds(tmp_path: Path, word: str, name: str) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / name).write_text(f"nothing\n# in a comment: x {word} y\n")
    assert [*findings(tmp_path)] == [f"deep/{name}:2: # in a comment: x {word} y"]


@pytest.mark.parametrize("plugin", ["eventhubs", "kinesis"])
def test_the_search_finds_much_in_a_plugin(plugin: str) -> None:
    """Or it would prove nothing of the core."""
    assert len([*findings(ROOT / "plugins" / plugin / "src")]) >= 3


def test_each_plugin_of_the_project_is_an_extra_of_the_core() -> None:
    """From these the advice for a missing destination is made."""
    names = {}
    for path in (ROOT / "plugins").glob("*/pyproject.toml"):
        project = tomllib.loads(path.read_text())["project"]
        for destination in project["entry-points"]["tailrace.destinations"]:
            names[destination] = project["name"]
    assert len(names) >= 2
    assert published() == names
