"""A whole run against a server that refuses whatever it gets, or one record for good reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import tailrace
from plugins.kinesis.tests.kit import KEY, SECRET
from tailrace import Misconfigured, Tailrace
from tailrace_kinesis.fakeserver import Fault, KinesisServer, Raw, Refuse

SEGMENT = "7841ba61-23c1-4bb3-a495-00d695fe1e93"


@pytest.fixture
def client(server: KinesisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tailrace]:
    monkeypatch.setenv("KINESIS_SECRET", SECRET)
    with tailrace.open(tmp_path / "home") as t:
        account = {
            "region": "eu-west-1",
            "access_key_id": KEY,
            "secret_key": "env:KINESIS_SECRET",
            "endpoint_url": server.url,
        }
        t.accounts.add("prod", destination="kinesis", settings=account)
        t.connections.add("leads", account="prod", settings={"stream": "hot-leads"})
        t.activations.add("hot", connection="leads", segments=[SEGMENT], attributes=["note"])
        yield t


def updates(count: int, *, large: int | None = None) -> bytes:
    member = {"ups": {SEGMENT: {"lastQualificationTime": "2026-01-01T00:00:00Z", "status": "realized"}}}
    lines = []
    for number in range(count):
        value = {"identityMap": {"ecid": [{"id": f"id-{number}"}]}, "segmentMembership": member}
        note = {"note": "x" * 1_200_000} if number == large else {}
        lines.append(json.dumps({**value, **note}).encode() + b"\n")
    return b"".join(lines)


@pytest.mark.parametrize(
    "fault",
    [
        Raw(b"<html>too large</html>", 413),
        Refuse("ValidationException", "Member must have length less than or equal to 1"),
        Refuse("InvalidArgumentException"),
        Refuse("SomethingNew"),
    ],
)
def test_refusing_everything_keeps_the_input(
    server: KinesisServer, client: Tailrace, tmp_path: Path, fault: Fault
) -> None:
    server.always("PutRecords", fault)
    source = tmp_path / "in.jsonl"
    source.write_bytes(updates(4000))
    with pytest.raises(Misconfigured, match=r"HTTP 4\d\d, request .*no record was ever accepted") as caught:
        client.export("hot", source)
    assert caught.value.exit_code == 3
    ledger = caught.value.ledger
    assert ledger is not None
    assert ledger.delivered == 0
    assert ledger.dead_lettered < 8
    assert ledger.pending == ledger.received - ledger.dead_lettered
    assert len(server.calls_of("PutRecords")) < 100  # eight writes at once
    assert "RecordTooLarge" not in {letter.code for letter in client.dead_letters.list()}


@pytest.mark.parametrize(("count", "large"), [(1500, 700), (1500, 0), (1, 0)])
def test_one_record_over_the_limit(
    server: KinesisServer, client: Tailrace, tmp_path: Path, count: int, large: int
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(updates(count, large=large))
    ledger = client.export("hot", source)
    assert (ledger.exit_code, ledger.delivered, ledger.dead_lettered) == (5, count - 1, 1)
    assert len(server.accepted()) == count - 1
    [letter] = client.dead_letters.list()
    assert (letter.reason, letter.code, letter.line) == ("rejected", "RecordTooLarge", large + 1)
