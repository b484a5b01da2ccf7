"""`tailrace export` to Event Hubs beside the SDK's own loops: client CPU per event, against one emulator in
another process.

    .venv/bin/python -m tests.bench.eventhubs                       # 200,000 events; the loops a tenth
    .venv/bin/python -m tests.bench.eventhubs --events 1000000 --cases key,client-hash --delays 0,20

`tailrace export` is the whole command. The loops send the same file with the SDK as its examples do, in two
ways: `lean` sends each line as it is, so that it costs what the SDK costs and nothing else; `same work` reads
each update, picks the segments and attributes and writes the record, as the export does. CPU is that of the
command and of all its processes, user and system. A case and its loops run in turn, and what counts is their
ratio. After each run the number of events that the server stored is compared with what was to arrive.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tailrace

ROOT = Path(__file__).parents[2]
SEGMENT = "0b7f4c1e-53d6-4e0e-9d2a-6c1f0a9be301"
HUB, PARTITIONS = "bench", 8
TIMEOUT = 900.0
LOOPS = {"key": "key", "client-hash": "plain", "round-robin": "plain", "kafka": "kafka"}
"""The loop that a case is compared with: the SDK's, for Kafka that of confluent-kafka."""
KAFKA = "--kafka"
PUBLIC = "--public"
WORK = ("lean", "same work")
SHARE = 10
"""Where each event is a batch of its own the SDK sends so many times less: it takes long."""


@dataclass(frozen=True, slots=True)
class Taken:
    events: int
    cpu: float
    seconds: float
    peak_bytes: int

    @property
    def each(self) -> float:
        """Microseconds of CPU per event."""
        return self.cpu / self.events * 1e6

    @property
    def rate(self) -> float:
        return self.events / self.seconds


def lines(count: int) -> Iterator[bytes]:
    """Updates of one kilobyte, each of another profile, all of one segment."""
    note = "n" * 640
    for number in range(count):
        update = {
            "_id": f"u-{number:09}",
            "identityMap": {"crm": [{"id": f"C-{number:09}", "primary": True}]},
            "person": {"name": {"firstName": "Aino", "lastName": f"Almeida {number:09}"}},
            "homeAddress": {"city": "Tromsø", "postalCode": f"{number % 100000:05}"},
            "note": note,
            "segmentMembership": {
                "ups": {SEGMENT: {"lastQualificationTime": "2026-01-01T00:00:00Z", "status": "realized"}}
            },
        }
        yield json.dumps(update, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


@contextmanager
def server(case: str, delay_ms: float) -> Iterator[dict[str, str]]:
    """An emulator of its own for each run, or a broker; `stored` appears when it has ended."""
    command = [sys.executable, "-m", "tailrace_eventhubs.emulator", "--port", "0"]
    command += ["--hub", f"{HUB}:{PARTITIONS}"]
    if case == "kafka":
        command = [sys.executable, "-m", "tests.bench.eventhubs", "broker", f"{delay_ms:g}"]
    elif delay_ms:
        command += ["--fault", f"delay-ack ms={delay_ms:g}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said: dict[str, str] = json.loads(process.stdout.readline())
        yield said
        process.send_signal(signal.SIGTERM)
        said["stored"] = json.loads(process.stdout.readline())["stored"][HUB]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def measured(case: str, command: Sequence[str], folder: Path, events: int, delay_ms: float) -> Taken:
    with server(case, delay_ms) as said:
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "TAILRACE_HOME": str(folder / "home"),
            "TAILRACE_CONFIG_DIR": str(folder / "config"),
            "EVENTHUBS": said["connection_string"] + f";EntityPath={HUB}",
            "BROKER": said.get("broker", ""),
        }
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or int(said["stored"]) != events:
        raise SystemExit(f"{command}: exit code {process.returncode}, stored {said['stored']} of {events}")
    return Taken(events, usage.ru_utime + usage.ru_stime, seconds, usage.ru_maxrss * 1024)


def export_command(partitioning: str, file: Path, fallback: bool) -> list[str]:
    module = "tests.bench.eventhubs"
    way = [KAFKA] if partitioning == "kafka" else [PUBLIC] if fallback else []
    return [
        *(sys.executable, "-m", module, "cli", *way, "--"),
        *("export", partitioning, str(file), "--quiet", "--from-start"),
    ]


def set_up(home: Path) -> None:
    with tailrace.open(home, database_url="") as t:
        for case in LOOPS:
            kafka = case == "kafka"
            settings = {"connection_string": "env:EVENTHUBS", "transport": "kafka" if kafka else "amqp"}
            t.accounts.add(case, destination="eventhubs", settings=settings)
            settings = {"event_hub_name": HUB, "partitioning": "key" if kafka else case}
            t.connections.add(case, account=case, settings=settings)
            t.activations.add(
                case,
                connection=case,
                segments=(SEGMENT,),
                attributes=("person.name.firstName", "person.name.lastName", "homeAddress.city", "note"),
                every_update=True,
                ordering="none" if case == "round-robin" else "key",
            )


def run(options: argparse.Namespace) -> None:
    folder = Path(tempfile.mkdtemp(prefix="tailrace-bench-"))
    try:
        set_up(folder / "home")
        whole, tenth = folder / "whole.jsonl", folder / "tenth.jsonl"
        for file, count in ((whole, options.events), (tenth, options.events // SHARE)):
            with open(file, "wb") as opened:
                opened.writelines(lines(count))
        print(f"{options.events:,} updates of {whole.stat().st_size / options.events:.0f} bytes")
        print(f"{'case':34} {'µs CPU/event':>12} {'events/s':>9} {'MiB':>5}  ratio")
        for partitioning in options.cases.split(",") * options.repeats:
            compare(folder, partitioning, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compare(folder: Path, partitioning: str, options: argparse.Namespace) -> None:
    whole, kind = folder / "whole.jsonl", LOOPS[partitioning]
    file, count = whole, options.events
    if kind == "key":
        file, count = folder / "tenth.jsonl", options.events // SHARE
    loops: dict[str, Taken] = {}
    for work in () if options.no_loops else WORK:
        command = [sys.executable, "-m", "tests.bench.eventhubs", "loop", kind, work, str(file)]
        loops[work] = measured(partitioning, command, folder, count, 0)
        show(f"loop, {kind}, {work}", loops[work])
    if options.fallback and partitioning != "kafka":
        taken = measured(partitioning, export_command(partitioning, file, True), folder, count, 0)
        show(f"{partitioning}, public client", taken, times(loops, taken))
    own: Taken | None = None
    for delay in map(float, options.delays.split(",")):
        taken = measured(
            partitioning, export_command(partitioning, whole, False), folder, options.events, delay
        )
        slower = [] if own is None else [f"{taken.rate / own.rate:.2f} of its own speed"]
        show(f"{partitioning}, {delay:g} ms", taken, ", ".join([*slower, times(loops, taken)]))
        own = own or taken


def times(loops: dict[str, Taken], taken: Taken) -> str:
    """How many times as cheap as the loops."""
    return ", ".join(f"{loop.each / taken.each:.1f} x {work}" for work, loop in loops.items())


def show(name: str, taken: Taken, said: str = "") -> None:
    peak = taken.peak_bytes / 2**20
    print(f"{name:34} {taken.each:12.1f} {taken.rate:9,.0f} {peak:5.0f}  {said}", flush=True)


# --- what the children do ------------------------------------------------------------------------


def loop(kind: str, work: str, file: Path) -> None:
    """The SDK as its own examples use it."""
    from azure.eventhub import EventData, EventHubProducerClient

    if kind == "kafka":
        return kafka_loop(work, file)
    make = record_of if work == "same work" else lambda line: (line[34:46].decode(), line[:-1])
    client = EventHubProducerClient.from_connection_string(os.environ["EVENTHUBS"])
    with client, open(file, "rb") as opened:
        if kind == "key":
            for line in opened:
                key, body = make(line)
                batch = client.create_batch(partition_key=key)
                batch.add(EventData(body))
                client.send_batch(batch)
            return
        batch = client.create_batch()
        for line in opened:
            event = EventData(make(line)[1])
            try:
                batch.add(event)
            except ValueError:
                client.send_batch(batch)
                batch = client.create_batch()
                batch.add(event)
        client.send_batch(batch)


def kafka_loop(work: str, file: Path) -> None:
    """`produce` as its documentation has it."""
    from confluent_kafka import Producer

    make = record_of if work == "same work" else lambda line: (line[34:46].decode(), line[:-1])
    producer: Any = Producer({"bootstrap.servers": os.environ["BROKER"], "linger.ms": 5})
    failed: list[Any] = []

    def delivered(error: Any, message: Any) -> None:
        if error is not None:
            failed.append(error)

    with open(file, "rb") as opened:
        for line in opened:
            key, body = make(line)
            while True:
                try:
                    producer.produce(HUB, body, key=key, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
    producer.flush()
    sys.exit(len(failed) > 0)


def broker(delay_ms: str) -> None:
    """The broker that librdkafka brings for tests, until SIGTERM. It knows no SASL and keeps little."""
    from confluent_kafka import Consumer, Producer, TopicPartition

    options = {"bootstrap.servers": "none:1", "test.mock.num.brokers": 1, "log_level": 0}
    owner: Any = Producer({**options, "test.mock.broker.rtt": int(float(delay_ms))})
    found = [f"{each.host}:{each.port}" for each in owner.list_topics(HUB, timeout=10).brokers.values()]
    string = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true"
    print(json.dumps({"broker": ",".join(found), "connection_string": string}), flush=True)
    signal.sigwait({signal.SIGTERM})
    consumer: Any = Consumer({"bootstrap.servers": ",".join(found), "group.id": "bench"})
    places = [
        TopicPartition(HUB, each) for each in consumer.list_topics(HUB, timeout=10).topics[HUB].partitions
    ]
    stored = sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
    consumer.close()
    print(json.dumps({"stored": {HUB: stored}}), flush=True)


def record_of(line: bytes) -> tuple[str, bytes]:
    """The key and the record of an update, as one would write it with the standard library."""
    update = json.loads(line)
    namespaces = update["identityMap"]
    key = next(one["id"] for each in namespaces.values() for one in each if one.get("primary"))
    status = update["segmentMembership"]["ups"].get(SEGMENT)
    if status is None:
        raise ValueError("an update of no mapped segment")
    name, address = update["person"]["name"], update["homeAddress"]
    record = {
        "person": {"name": {"firstName": name["firstName"], "lastName": name["lastName"]}},
        "homeAddress": {"city": address["city"]},
        "note": update["note"],
        "identityMap": namespaces,
        "segmentMembership": {"ups": {SEGMENT: status}},
    }
    return key, json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def command_line(arguments: list[str]) -> None:
    """`tailrace`, if wanted as with an SDK that cannot be sent below, or with a broker that knows no SASL."""
    if arguments[0] == KAFKA:
        import tailrace_eventhubs.kafka
        import tailrace_eventhubs.kafka.look

        def options(client: Any, on_error: Any) -> dict[str, Any]:
            return {"bootstrap.servers": os.environ["BROKER"], "error_cb": on_error, "log_level": 0}

        for module in (tailrace_eventhubs.kafka, tailrace_eventhubs.kafka.look):
            setattr(module, "kafka_options", options)  # noqa: B010 # not a name that it exports
    if arguments[0] == PUBLIC:
        from tailrace_eventhubs.sending import selfcheck

        selfcheck.why_not = lambda: "the public client was asked for"  # type: ignore[assignment]
    from tailrace.cli import main

    sys.exit(main(arguments[arguments.index("--") + 1 :]))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests.bench.eventhubs", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--cases", default=",".join(LOOPS))
    parser.add_argument("--delays", default="0,20", help="milliseconds of acknowledgement delay")
    parser.add_argument("--fallback", action="store_true", help="also with the SDK's public client")
    parser.add_argument("--no-loops", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.argv[1:2] == ["loop"]:
        loop(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    elif sys.argv[1:2] == ["broker"]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        broker(sys.argv[2])
    elif sys.argv[1:2] == ["cli"]:
        command_line(sys.argv[2:])
    else:
        run(read_options())
