"""A Kinesis of one's own for the demo: moto's server, on loopback, inside this process.

moto loses acknowledged records when several requests write at once, so the demo has one in flight.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tailrace import DemoPlace, Misconfigured
from tailrace_kinesis.machine import this_machine_alone

REGION = "eu-west-1"
STREAM = "hot-leads"
SHARDS = 4


@contextmanager
def demo_place() -> Iterator[DemoPlace]:
    """Start the server and create a stream on it; stop it at the end. Raises Misconfigured."""
    server = _server()
    requests = logging.getLogger("werkzeug")
    level = requests.level
    requests.setLevel(logging.ERROR)  # it logs every request
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        with this_machine_alone(), TemporaryDirectory(prefix="tailrace-demo-") as folder:
            client = _client(endpoint)
            client.create_stream(StreamName=STREAM, ShardCount=SHARDS)
            client.get_waiter("stream_exists").wait(StreamName=STREAM, WaiterConfig={"Delay": 1})
            # A reference, so that nothing has to be encrypted with the user's own key.
            secret = Path(folder, "secret")
            secret.write_text("demo")
            yield DemoPlace(
                about=f"stream {STREAM!r} with {SHARDS} shards, on moto's server at {endpoint}",
                account={
                    "region": REGION,
                    "access_key_id": "demo",
                    "secret_key": f"file:{secret}",
                    "endpoint_url": endpoint,
                },
                connection={"stream": STREAM},
                read=lambda: _read(client),
                in_flight=1,
            )
    finally:
        server.stop()
        requests.setLevel(level)


def _server() -> Any:
    try:
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        raise Misconfigured(
            f"the demo needs moto's server, and {error.name or 'a part of it'} is not installed",
            hint="pip install 'tailrace-kinesis[demo]'",
        ) from None
    return ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)


def _client(endpoint: str) -> Any:
    from botocore.session import Session

    return Session().create_client(
        "kinesis",
        region_name=REGION,
        endpoint_url=endpoint,
        aws_access_key_id="demo",
        aws_secret_access_key="demo",
    )


def _read(client: Any) -> Sequence[tuple[str, bytes]]:
    """Every record of every shard, from the oldest."""
    records: list[tuple[str, bytes]] = []
    for shard in client.list_shards(StreamName=STREAM)["Shards"]:
        iterator = client.get_shard_iterator(
            StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator:
            answer = client.get_records(ShardIterator=iterator)
            if not answer["Records"]:
                break
            records += [(record["PartitionKey"], record["Data"]) for record in answer["Records"]]
            iterator = answer.get("NextShardIterator")
    return records
