"""A server written by others: the requests are what it expects of any client."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from plugins.kinesis.tests.kit import batch, context, exporting, settings
from tailrace_kinesis import destination

STREAM = "moto-leads"  # moto's state is one for the whole process


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    pytest.importorskip("moto.server")
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def kinesis(moto: str) -> Iterator[Any]:
    from botocore.session import Session

    client: Any = Session().create_client(
        "kinesis",
        region_name="eu-west-1",
        endpoint_url=moto,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    client.create_stream(StreamName=STREAM, ShardCount=1)
    yield client
    client.delete_stream(StreamName=STREAM)


def test_records_arrive(kinesis: Any, moto: str) -> None:
    written = batch(50)
    arn = kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]["StreamARN"]
    for stream in (STREAM, arn):
        with exporting(None, stream=stream, endpoint_url=moto) as exporter:
            assert exporter.write(written).failures == {}
    iterator = kinesis.get_shard_iterator(
        StreamName=STREAM, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records = kinesis.get_records(ShardIterator=iterator)["Records"]
    found = sorted((record["PartitionKey"], record["Data"]) for record in records)
    assert found == sorted(list(zip(written.keys, written.data, strict=True)) * 2)


def test_one_record_too_large(kinesis: Any, moto: str) -> None:
    with exporting(None, stream=STREAM, endpoint_url=moto) as exporter:
        result = exporter.write(batch(20, large={7: (10 << 20) + 1}))
    assert {n: f.kind for n, f in result.failures.items()} == {7: "rejected"}


def test_the_authentication_step(kinesis: Any, moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto)
    spec = destination.account()
    account = spec.account(**settings(None, endpoint_url=moto))
    report = destination.auth(account, spec.connection(stream=STREAM), context())
    assert {check.name: check.status for check in report.checks} == {
        "identity": "ok",
        "stream": "ok",
        "capacity mode": "ok",
        "open shards": "ok",
        "write permission": "unproven",
    }
    assert str(report.identity).startswith("arn:aws:sts::123456789012:")


def test_a_role(kinesis: Any, moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto)
    role = "arn:aws:iam::123456789012:role/writer"
    with exporting(None, stream=STREAM, endpoint_url=moto, role_arn=role, external_id="ext-1") as exporter:
        assert exporter.write(batch(3)).failures == {}


def test_base64_is_what_others_write(kinesis: Any, moto: str) -> None:
    from tailrace_kinesis.records import PutRecordsBody

    body = PutRecordsBody({"StreamName": "s"})(["k"], [b"\x00\xff"])
    encoded = base64.b64encode(b"\x00\xff")
    assert body == b'{"StreamName":"s","Records":[{"Data":"%b","PartitionKey":"k"}]}' % encoded
