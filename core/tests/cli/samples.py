"""The JSON shapes by example, made with the code that makes them in a command."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tailrace.cli import selftests, shapes
from tailrace.cli.console import error_shape
from tailrace.deadletters import DeadLetter
from tailrace.destination import AuthReport, Check
from tailrace.errors import InvalidSettings, Unavailable
from tailrace.faults import FaultRow
from tailrace.ledger import Ledger, SourcePosition
from tailrace.objects import Account, Activation, Connection, Run, RunStatus, Segment
from tailrace.registry import PluginRecord
from tailrace.remembered import ActivationState, CompactedState, RepairedState, SourceState
from tailrace.selftest.matrix import Verdict
from tailrace.store.repair import RepairedPart

WHEN = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
STORED: dict[str, Any] = {"version": 1, "created_at": WHEN, "updated_at": WHEN}
IDS = [f"019c13e5-0000-7000-8000-00000000000{number}" for number in range(3)]

ACCOUNT = Account(
    id=IDS[0],
    name="prod",
    destination="kinesis",
    settings={"region": "eu-west-1", "access_key_id": "AKIA…", "secret_key": "env:AWS_SECRET"},
    **STORED,
)
CONNECTION = Connection(
    id=IDS[1],
    name="leads",
    account_id=ACCOUNT.id,
    account=ACCOUNT.name,
    destination=ACCOUNT.destination,
    description="Hot leads",
    settings={"stream": "hot-leads"},
    **STORED,
)
STATE = ActivationState(
    activation="hot",
    folder="/home/me/.local/share/tailrace/journal/019c13e5-0000-7000-8000-000000000002",
    bytes=32768,
    profiles=0,
    sources=(SourceState(number=1, source="/data/profiles.jsonl", offset=1234, line=6, settled_beyond=0),),
)
REPAIRED = RepairedState(
    activation="hot",
    parts=(
        RepairedPart(number=0, file="journal.mdb", damage=None, profiles=62_481),
        RepairedPart(number=1, file="journal-01.mdb", damage="its checksums do not fit", profiles=None),
    ),
)
COMPACTED = CompactedState(activation="hot", before=3_145_728, after=1_310_720)
ACTIVATION = Activation(
    id=IDS[2],
    name="hot",
    connection_id=CONNECTION.id,
    connection=CONNECTION.name,
    destination=ACCOUNT.destination,
    segments=(
        Segment(
            id="7841ba61-23c1-4bb3-a495-00d695fe1e93",
            name="High propensity",
            created_at=1769860800000,
            updated_at=1769860800000,
        ),
    ),
    attributes=("person.name.firstName",),
    **STORED,
)
REPORT = AuthReport(
    identity="arn:aws:iam::123456789012:user/tailrace",
    checks=(Check(name="stream", status="ok", detail="hot-leads is active"),),
    limits={"record size": "1 MiB"},
)
LEDGER = Ledger(
    run=3,
    received=5000,
    delivered=1204,
    filtered=3790,
    dead_lettered=6,
    writes=3,
    seconds=0.8,
    sources=(SourcePosition(source="profiles.jsonl", number=1, offset=2_411_003, line=5001),),
    reasons={"no-key": 6},
)
TOLD = Ledger(run=4, generated=1204, delivered=1204, writes=3, seconds=0.4)
FAILED = Ledger(run=4, received=2000, delivered=1500, pending=500, writes=4, seconds=61.2)
RUN = Run(
    id=3,
    activation_id=ACTIVATION.id,
    activation=ACTIVATION.name,
    activation_version=1,
    status="finished",
    exit_code=5,
    error=None,
    started_at=WHEN,
    ended_at=WHEN,
    ledger=LEDGER,
    sources=tuple(shapes.plain(source) for source in LEDGER.sources),
)
STATUS = RunStatus(
    activation="hot",
    run=5,
    pid=4711,
    host="exporter-1",
    started_at=WHEN,
    paused=False,
    in_flight=8,
    waiting=None,
    needs=None,
    ledger=Ledger(
        run=5,
        received=700,
        delivered=640,
        pending=60,
        writes=10,
        spooled=900,
        seconds=2.5,
        sources=(SourcePosition(source="-", number=4, offset=308_640, line=641),),
    ),
)
LETTER = DeadLetter(
    id="3-1",
    run=3,
    activation="hot",
    reason="no-key",
    message="the update has no identity",
    code=None,
    source="profiles.jsonl",
    offset=4810,
    line=11,
    size=302,
    event_id="5d41402abc4b2a76b9719d911017c592",
    time=WHEN,
    original=b'{"segmentMembership":{}}',
    source_number=1,
)
PLUGIN = PluginRecord(
    name="kinesis",
    group="tailrace.destinations",
    distribution="tailrace-kinesis",
    version="0.1.0",
    value="tailrace_kinesis:destination",
)
PREVIEW = {
    "source": "profiles.jsonl",
    "offset": 0,
    "line": 1,
    "key": "655332b5fa2aea4498bf7a290cff017cb4",
    "data": shapes.body(b'{"segmentMembership":{},"identityMap":{}}'),
}
FIELD = {
    "name": "secret_key",
    "title": "Secret key",
    "description": "The secret that belongs to the access key.",
    "required": False,
    "secret": True,
    "default": None,
    "choices": [],
    "also": ["secretKey"],
}
STEP = {"fields": [FIELD], "schema": {"type": "object"}}
DESTINATION = {
    "name": "kinesis",
    "title": "Amazon Kinesis",
    "description": "…",
    "documentation": "…",
    "account": STEP,
    "connection": STEP,
    "formats": ["xdm-json"],
    "limits": {"records per request": "500"},
}
FORMAT = {"name": "xdm-json", "version": "1", "content_type": "application/json"}
DOWN = Unavailable("no record was accepted for 60 s", hint="try again later")
WRONG = InvalidSettings("account 'prod' is not valid: …", fields={"region": "is not a region"})
REPORTED = shapes.report(REPORT)

VERDICT = Verdict(
    FaultRow(
        name="token-expires",
        group="Credentials",
        fault="ExpiredToken in the middle, with a role",
        expected="one new token from STS, sent again at once",
        broken="credentials are not renewed",
    ),
    "kinesis",
    "pass",
    "60 delivered",
    (),
    1,
    0.061,
)

SHAPES: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("account add", "account show", "account update"),
        {"account": shapes.stored(ACCOUNT)},
    ),
    (("account list",), {"accounts": ["…"]}),
    (("account rekey",), {"rekeyed": 2}),
    (("account remove",), {"removed": {"account": "prod"}}),
    (
        ("connection add", "connection show", "connection update"),
        {"connection": shapes.stored(CONNECTION)},
    ),
    (("connection list",), {"connections": ["…"]}),
    (("connection test",), {"report": REPORTED}),
    (("connection add --test",), {"connection": "…", "report": "…"}),
    (("connection policy",), {"policy": "…"}),
    (
        (
            "activation add",
            "activation show",
            "activation update",
            "activation enable",
            "activation disable",
        ),
        {"activation": shapes.stored(ACTIVATION)},
    ),
    (("activation list",), {"activations": ["…"]}),
    (("preview",), {"records": [PREVIEW], "filtered": 3, "invalid": {"not-an-object": 1}}),
    (("activation exits",), {"exits": ["…"]}),
    (
        ("activation update --emit-exits",),
        {"activation": "…", "exits": [shapes.plain(TOLD)]},
    ),
    (("export", "backfill", "any ending, dead letters or not"), {"ledger": shapes.plain(LEDGER)}),
    (
        ("export", "backfill", "ended by an error"),
        {"ledger": shapes.plain(FAILED), "error": error_shape(DOWN)},
    ),
    (("state show", "state verify"), {"state": shapes.plain(STATE)}),
    (("state repair",), {"repaired": shapes.plain(REPAIRED)}),
    (("state compact",), {"compacted": shapes.plain(COMPACTED)}),
    (("state forget",), {"forgotten": True}),
    (("state reset",), {"reset": "hot"}),
    (("runs show",), {"run": shapes.plain(RUN)}),
    (("runs list",), {"runs": ["…"]}),
    (("runs status", "runs pause", "runs resume"), {"status": shapes.plain(STATUS)}),
    (("dead-letters show",), {"dead_letter": shapes.dead_letter(LETTER)}),
    (
        ("dead-letters show --reveal",),
        {"dead_letter": {"id": LETTER.id, "…": "…", "original": shapes.body(LETTER.original)}},
    ),
    (("dead-letters list",), {"dead_letters": ["…"]}),
    (("destinations", "destinations list"), {"destinations": [shapes.plain(PLUGIN)]}),
    (("destinations show",), {"destination": DESTINATION}),
    (("formats", "formats list"), {"formats": [FORMAT]}),
    (
        ("formats show",),
        {
            "format": FORMAT
            | {
                "title": "…",
                "schema": {"type": "object"},
                "examples": [{"title": "…", "record": "…"}],
            }
        },
    ),
    (
        ("selftest faults",),
        {
            "passed": 60,
            "failed": 0,
            "not_built": 10,
            "seconds": 15.5,
            "rows": [selftests.row_shape(VERDICT)],
        },
    ),
    (
        ("demo",),
        {
            "destination": "kinesis",
            "place": "…",
            "ok": True,
            "arrived": 1204,
            "missing": 0,
            "unexpected": 0,
            "ledger": "…",
        },
    ),
    (("any error",), {"error": error_shape(WRONG)}),
)
