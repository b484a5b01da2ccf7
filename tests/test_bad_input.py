"""Bad input, row by row: exit code, first line on standard error, what is on the stream, the ledger
and the dead letters of the installed command."""

from __future__ import annotations

import gzip
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.tests.updates import OTHER, SEGMENT, update
from tailrace_kinesis.fakeserver import Refuse
from tests.endtoend import Site

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# --- what a line becomes ----------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """A record on the stream; a key of None is one drawn at random."""

    key: str | None
    data: bytes


@dataclass(frozen=True)
class Dead:
    """A dead letter with this reason. `held` is False where the original was too long to be kept."""

    reason: str
    held: bool = True


FILTERED = "filtered"
BLANK = "blank"
Fate = Sent | Dead | str
Line = tuple[bytes, Fate]

MEMBERSHIP = b'{"lastQualificationTime":"2026-01-01T00:00:00Z","status":"realized"}'
MEMBERSHIPS = b'"segmentMembership":{"ups":{"%s":%s}}' % (SEGMENT.encode(), MEMBERSHIP)
IDENTITY = b'"identityMap":{"ecid":[{"id":"k"}]}'


def person(value: bytes) -> bytes:
    return b'"person":{"name":{"firstName":%s}}' % value


def line(*members: bytes, end: bytes = b"\n") -> bytes:
    """A selected update with these members before the two that every update has."""
    return b"{" + b",".join([*members, MEMBERSHIPS, IDENTITY]) + b"}" + end


def sent(name: bytes, key: str | None = "k", identity: bytes = IDENTITY) -> Sent:
    return Sent(key, b"{" + b",".join(filter(None, [person(name), MEMBERSHIPS, identity])) + b"}")


def good(number: int, end: bytes = b"\n") -> Line:
    name = b'"n%d"' % number
    return line(person(name), end=end), sent(name)


def dead(reason: str, *lines: bytes) -> list[Line]:
    return [(each, Dead(reason)) for each in lines]


def deep(opening: bytes, closing: bytes) -> bytes:
    return opening * 100_000 + b"1" + closing * 100_000


def without(*names: str, **fields: object) -> bytes:
    return update(1, dict.fromkeys(names) | fields) + b"\n"


# --- the table: lines -------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """Lines and their fate; `start` are bytes before them."""

    lines: Sequence[Line]
    activation: str = "hot"
    options: tuple[str, ...] = ()
    start: bytes = b""
    name: str = "in.jsonl"
    pack: Callable[[bytes], bytes] = bytes
    warnings: tuple[str, ...] = ()


NO_MEMBER = b'"segmentMembership":null'
LONG = 2000

ROWS = {
    "truncated": Row(
        [
            good(1),
            *dead("invalid-json", line()[:-10] + b"\n", b"{\n", b'{"a\n', b'{"a":\n'),
            *dead("invalid-json", line()[:-10] + b"\n"),
            good(2),
        ]
    ),
    "not an object": Row(
        [good(1), *dead("not-an-object", b"[]\n", b'"text"\n', b"1\n", b"null\n", b"true\n"), good(2)]
    ),
    "invalid utf-8": Row(
        [
            good(1),
            *dead(
                "invalid-utf8", line(person(b'"\xff"')), line(b'"other":"\xc3("'), line(b'"\xed\xa0\x80":1')
            ),
            *dead("invalid-utf8", b"\xfe\n", line(b'"other":"\xf4\x90\x80\x80"')),
            good(2),
        ]
    ),
    "nan": Row(
        [
            good(1),
            *dead("invalid-json", line(person(b"NaN")), line(b'"other":NaN'), line(b'"other":[-Infinity]')),
            *dead("invalid-json", line(b'"other":Infinity'), line(b'"other":nan')),
            good(2),
        ]
    ),
    "trailing text": Row(
        [
            good(1),
            *dead("invalid-json", line(end=b" x\n"), line(end=b"{}\n"), line(end=b",\n"), line(end=b"]\n")),
            (line(person(b'"n"'), end=b" \t \n"), sent(b'"n"')),
            good(2),
        ]
    ),
    "lone surrogate": Row(
        [
            good(1),
            *dead("lone-surrogate", line(person(b'"\\ud800"')), line(person(b'"\\uDFFFx"'))),
            *dead("lone-surrogate", line(b'"other":"\\ud83d\\u0041"'), line(b'"other":{"a":["\\udc00"]}')),
            *dead("lone-surrogate", line(b'"\\ud800":1'), line(b'"other":"\\ud800\\ud800\\udc00"')),
            (line(person(b'"\\ud83d\\ude00"')), sent(b'"\\ud83d\\ude00"')),
            (line(person(b'"\\\\ud800"')), sent(b'"\\\\ud800"')),
            good(2),
        ]
    ),
    "too deep": Row(
        [
            good(1),
            *dead("too-deep", line(person(deep(b"[", b"]"))), line(person(deep(b'{"a":', b"}")))),
            *dead("too-deep", line(b'"other":' + deep(b"[", b"]")), line(b'"other":' + deep(b'{"a":', b"}"))),
            *dead("too-deep", line(b'"other":' + b"[" * 100000)),
            *dead(
                "too-deep",
                b'{"identityMap":{"ecid":[{"id":' + deep(b"[", b"]") + b"}]}," + MEMBERSHIPS + b"}\n",
            ),
            good(2),
        ]
    ),
    "duplicate keys": Row(
        [
            (line(person(b'"first"'), person(b'"last"')), sent(b'"last"')),
            (line(person(b'{"a":1,"a":2}')), sent(b'{"a":1,"a":2}')),
            (line(person(b'"n"'), NO_MEMBER), sent(b'"n"')),
            (b"{" + MEMBERSHIPS + b"," + IDENTITY + b"," + NO_MEMBER + b"}\n", FILTERED),
            (line(person(b'"m"'), b'"identityMap":{"ecid":[{"id":"first"}]}'), sent(b'"m"')),
        ]
    ),
    "10 000 digits": Row(
        [
            (line(person(b"9" * 10_000)), sent(b"9" * 10_000)),
            (line(person(b"-1." + b"0" * 10_000 + b"e9999")), sent(b"-1." + b"0" * 10_000 + b"e9999")),
            (line(person(b'"n"'), b'"other":' + b"1" * 10_000), sent(b'"n"')),
        ]
    ),
    "segmentMembership": Row(
        [
            good(1),
            (without("segmentMembership"), FILTERED),
            (b'{"segmentMembership":null}\n', FILTERED),
            (without(segmentMembership={}), FILTERED),
            (without(segmentMembership={"ups": None}), FILTERED),
            (without(segmentMembership={"ups": {SEGMENT: None}}), FILTERED),
            (without(segmentMembership={"aam": {SEGMENT: {}}}), FILTERED),
            (update(1, segment=OTHER) + b"\n", FILTERED),
            (b"{}\n", FILTERED),
            *dead("wrong-type", without(segmentMembership=[]), without(segmentMembership={"ups": "x"})),
        ]
    ),
    "identityMap, by identity": Row(
        [
            good(1),
            *dead("no-identity", without("identityMap"), b"{" + MEMBERSHIPS + b',"identityMap":null}\n'),
            *dead("no-identity", without(identityMap={}), without(identityMap={"ecid": []})),
            *dead("no-identity", without(identityMap={"ecid": None}), without(identityMap={"ecid": [{}]})),
            *dead("wrong-type", without(identityMap=[]), without(identityMap={"ecid": "x"})),
        ]
    ),
    "identityMap, at random": Row(
        [
            (line(person(b'"n"')), sent(b'"n"', None)),
            (b"{" + person(b'"a"') + b"," + MEMBERSHIPS + b"}\n", sent(b'"a"', None, b"")),
            (b"{" + person(b'"b"') + b"," + MEMBERSHIPS + b',"identityMap":null}\n', sent(b'"b"', None, b"")),
            (b"{" + person(b'"c"') + b"," + MEMBERSHIPS + b',"identityMap":{}}\n', sent(b'"c"', None, b"")),
        ],
        activation="random",
    ),
    "identityMap, by attribute": Row(
        [
            (line(b'"crm":{"key":"c1"}', person(b'"n"')), sent(b'"n"', "c1")),
            (b'{"crm":{"key":"c2"},' + person(b'"a"') + b"," + MEMBERSHIPS + b"}\n", sent(b'"a"', "c2", b"")),
            (
                b'{"crm":{"key":"c3"},' + person(b'"b"') + b"," + MEMBERSHIPS + b',"identityMap":null}\n',
                sent(b'"b"', "c3", b""),
            ),
            *dead("no-key", line(), line(b'"crm":null'), line(b'"crm":{"key":7}'), line(b'"crm":{"key":""}')),
            *dead("no-key", line(b'"crm":"x"'), line(b'"crm":{"key":"' + b"k" * 257 + b'"}')),
            (line(b'"crm":{"key":"' + b"k" * 128 + b'"}', person(b'"n"')), sent(b'"n"', "k" * 128)),
        ],
        activation="attribute",
    ),
    "no usable key": Row(
        [
            good(1),
            *dead(
                "no-key",
                without(identityMap={"ecid": [{"id": ""}]}),
                without(identityMap={"ecid": [{"id": 7}]}),
            ),
            *dead("no-key", without(identityMap={"ecid": [{"id": "x" * 257}]})),
            *dead("no-key", without(identityMap={"ecid": [{"id": "€" * 86}]})),
            good(2),
        ]
    ),
    "blank lines": Row(
        [
            (b"\n", BLANK),
            good(1),
            (b"  \t\n", BLANK),
            (b"\r\n", BLANK),
            good(2),
            (b"\n", BLANK),
            (b"  ", BLANK),
        ]
    ),
    "byte order mark": Row([good(1), *dead("invalid-json", b"nonsense\n"), good(2)], start=b"\xef\xbb\xbf"),
    "byte order mark in the middle": Row([good(1), *dead("invalid-json", b"\xef\xbb\xbf{}\n"), good(2)]),
    "carriage returns": Row(
        [good(1, end=b"\r\n"), *dead("invalid-json", b"nonsense\r\n"), (b"\r\n", BLANK), good(2, end=b"\r\n")]
    ),
    "no last newline": Row([good(1), good(2, end=b"")]),
    "no last newline, no identity": Row([good(1), *dead("no-identity", without("identityMap")[:-1])]),
    "no last newline, of a wrong type": Row([good(1), *dead("wrong-type", line(b'"person":7', end=b""))]),
    "no last newline, not an object": Row([good(1), *dead("not-an-object", b"[" + b"1" * 10_000 + b"]")]),
    "no last newline, half of a pair": Row(
        [good(1), *dead("lone-surrogate", line(person(b'"\\ud83d"'), end=b""))]
    ),
    "no last newline, too deep": Row(
        [good(1), *dead("too-deep", line(b'"other":' + b"[" * 100_000, end=b""))]
    ),
    "long lines": Row(
        [
            (b"x" * (LONG + 1) + b"\n", Dead("line-too-long", held=False)),
            good(1),
            (line(b'"other":"' + b"y" * 300_000 + b'"'), Dead("line-too-long", held=False)),
            (
                line(person(b'"n"'), end=b" " * (LONG - len(line(person(b'"n"'), end=b""))) + b"\n"),
                sent(b'"n"'),
            ),
            good(2),
            (b"z" * 70_000, Dead("line-too-long", held=False)),
        ],
        options=("--max-line-bytes", str(LONG)),
    ),
    "several gzip members": Row(
        [good(1), good(2), *dead("invalid-json", b"nonsense\n"), good(3)],
        name="in.gz",
        pack=lambda data: (
            b"".join(gzip.compress(data[n : n + 100]) for n in range(0, len(data), 100)) + b"\0\0"
        ),
    ),
    "several zstd frames": Row(
        [good(1), good(2), *dead("invalid-json", b"nonsense\n"), good(3)],
        name="in.zst",
        pack=lambda data: b"".join(zstd.compress(data[n : n + 100]) for n in range(0, len(data), 100)),
    ),
    "zstd behind a frame without content": Row(
        [good(1), good(2)],
        name="in.zst",
        pack=lambda data: b"\x50\x2a\x4d\x18\x04\x00\x00\x00\x01\x02\x03\x04" + zstd.compress(data),
    ),
    "compressed by another name": Row([good(1)], start=b"\xef\xbb\xbf", pack=gzip.compress),
    "segment never seen": Row(
        [(update(1, segment=OTHER) + b"\n", FILTERED), *dead("invalid-json", b"nonsense\n")],
        warnings=(f"segment ups/{SEGMENT} was not seen in this run",),
    ),
    "attribute never seen": Row(
        [(line(), Sent("k", b"{" + MEMBERSHIPS + b"," + IDENTITY + b"}"))],
        warnings=("attribute person.name.firstName was not seen in this run",),
    ),
    "seen in updates that cannot be delivered": Row([*dead("no-identity", without("identityMap"))]),
    "attribute never seen in updates that cannot be delivered": Row(
        [*dead("no-identity", b"{" + MEMBERSHIPS + b"}\n")],
        warnings=("attribute person.name.firstName was not seen in this run",),
    ),
    "none could be read": Row(
        [*dead("invalid-json", b"nonsense\n"), *dead("wrong-type", without(segmentMembership=[]))]
    ),
    "attributes that cannot be read": Row([*dead("wrong-type", line(b'"person":7'))]),
    "empty": Row([]),
    "empty .gz": Row([], name="in.gz"),
    "gzip of nothing": Row([], name="in.gz", pack=gzip.compress),
    "byte order mark alone": Row([], start=b"\xef\xbb\xbf"),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_lines(each_site: Site, row: Row) -> None:
    content = row.start + b"".join(text for text, _ in row.lines)
    path = each_site.file(row.name, row.pack(content))
    ended = each_site.export(path, *row.options, activation=row.activation)

    letters, offset = [], len(row.start)
    for number, (text, fate) in enumerate(row.lines, 1):
        if isinstance(fate, Dead):
            whole = text.removesuffix(b"\n")
            letters.append((fate.reason, offset, number, len(whole), whole if fate.held else b""))
        offset += len(text)
    fates = [fate for _, fate in row.lines]
    records = [fate for fate in fates if isinstance(fate, Sent)]
    assert [
        (letter.reason, letter.offset, letter.line, letter.size, letter.original)
        for letter in each_site.letters()
    ] == letters
    assert {letter.source for letter in each_site.letters()} <= {str(path)}
    stream = each_site.stream()
    random = row.activation == "random"
    assert sorted((None if random else record.key, record.data) for record in stream) == sorted(
        (record.key, record.data) for record in records
    )
    assert all(record.key for record in stream)
    assert ended.code == (5 if letters else 0)
    assert ended.first == _first_line(len(letters), row.warnings)
    assert ended.ledger["warnings"] == list(row.warnings)
    counts = {"delivered": len(records), "filtered": fates.count(FILTERED), "dead_lettered": len(letters)}
    received = {"received": len(fates) - fates.count(BLANK)}
    assert ended.counts == {name: count for name, count in (received | counts).items() if count}
    assert ended.ledger["reasons"] == Counter(reason for reason, *_ in letters)
    assert [position["offset"] for position in ended.ledger["sources"]] == [offset if row.lines else 0]


def _first_line(letters: int, warnings: Sequence[str]) -> str:
    if letters:
        noun = "dead letter" if letters == 1 else "dead letters"
        return f"warning: {letters} {noun}; see: tailrace dead-letters list --run 1"
    return f"warning: {warnings[0]}" if warnings else ""


# --- the table: sources that break ------------------------------------------------------------

MANY = [good(number) for number in range(3000)]
CONTENT = b"".join(text for text, _ in MANY)


def broken(packed: bytes) -> bytes:
    """Overwritten from the middle on."""
    return packed[: len(packed) // 2] + b"\xa5" * (len(packed) // 2)


def then_broken(packed: bytes) -> bytes:
    """A second gzip member that begins with a block of a kind that does not exist."""
    return packed + packed[:10] + b"\x07" * 1000


def window(exponent: int) -> bytes:
    """A zstd frame with a window of 2 ** exponent bytes and one uncompressed block."""
    text = MANY[0][0]
    header = (len(text) << 3 | 1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd\x00" + bytes([(exponent - 10) << 3]) + header + text


BROKEN = {
    "gzip broken": ("in.gz", then_broken(gzip.compress(CONTENT)), 3000),
    "gzip truncated": ("in.gz", gzip.compress(CONTENT)[:-500], 1000),
    "gzip without its end": ("in.gz", gzip.compress(CONTENT)[:-8], 3000),
    "gzip of another sum": ("in.gz", gzip.compress(CONTENT)[:-8] + b"\0\0\0\0\0\0\0\0", 2000),
    "gzip with something behind": ("in.gz", gzip.compress(CONTENT) + b"nonsense", 3000),
    "zstd broken": ("in.zst", broken(zstd.compress(CONTENT)), 0),
    "zstd truncated": ("in.zst", zstd.compress(CONTENT)[:-10], 1000),
    "zstd with something behind": ("in.zst", zstd.compress(CONTENT) + b"nonsense", 3000),
    "zstd with too large a window": ("in.zst", window(28), 0),
    "not gzip": ("in.gz", CONTENT, 0),
    "not zstd": ("in.zst", CONTENT, 0),
}


SPOILT = ("gzip of another sum", "zstd broken", "zstd with too large a window")
"""What was read may have been wrong, so nothing of these counts as settled."""


@pytest.mark.parametrize("case", BROKEN)
def test_broken_sources(site: Site, case: str) -> None:
    """What came before is delivered, and so are the sources after it."""
    name, content, least = BROKEN[case]
    path, after = site.file(name, content), site.file("after.jsonl", good(-1)[0])
    ended = site.export(path, after)
    assert ended.code == 8
    assert ended.first.startswith(f"error: source {path}")
    stream = sorted(record.data for record in site.stream())
    whole = [fate.data for _, fate in MANY if isinstance(fate, Sent)]
    before = len(stream) - 1
    assert before >= least
    assert stream == sorted([*whole[:before], sent(b'"n-1"').data])
    assert ended.counts == {"received": before + 1, "delivered": before + 1}
    assert site.letters() == []
    settled = [position["line"] for position in ended.ledger["sources"]]
    assert settled == [1 if case in SPOILT else before + 1, 2]


def test_the_largest_zstd_window(site: Site) -> None:
    ended = site.export(site.file("in.zst", window(27)))
    assert (ended.code, ended.counts) == (0, {"received": 1, "delivered": 1})


# --- the table: what is refused as a whole ----------------------------------------------------


def test_sources_that_cannot_be_opened(site: Site) -> None:
    """Found before anything is sent, even where the others are good."""
    good_one = site.file("good.jsonl", CONTENT)
    missing, folder = site.folder / "missing.jsonl", site.folder / "folder"
    folder.mkdir()
    for bad, message in (
        (missing, f"source {missing}: No such file or directory"),
        (folder, "is a directory"),
    ):
        ended = site.export(good_one, bad)
        assert ended.code == 2
        assert ended.first.startswith("error: source ")
        assert message in ended.first
        assert ended.json["error"]["code"] == "source-not-found"
    assert site.server.calls == []
    with site.client() as t:
        assert t.runs.list() == []


def test_the_stream_is_missing(site: Site) -> None:
    del site.server.streams["hot-leads"]
    ended = site.export(site.file("in.jsonl", CONTENT))
    assert ended.code == 3
    assert ended.first.startswith("error: there is no stream 'hot-leads' in region eu-west-1")
    assert set(ended.counts) <= {"received", "pending"}


def test_the_secret_is_wrong(site: Site) -> None:
    ended = site.export(site.file("in.jsonl", MANY[0][0] * 10), environ={"SITE_SECRET": "wrong"})
    assert ended.code == 4
    assert ended.first.startswith("error: ")
    assert "kinesis:PutRecords" in ended.first
    assert ended.counts == {"received": 10, "pending": 10}
    assert site.letters() == []
    assert len(site.server.calls_of("PutRecords")) == 1


def test_the_secret_is_not_set(site: Site) -> None:
    """It is looked up at the start, not only when something has to be sent."""
    unset = {"SITE_SECRET": ""}
    one = site.file("one.jsonl", MANY[0][0])
    assert site.export(one).code == 0
    for path, counts in (
        (site.file("empty.jsonl", b""), {}),
        (site.file("filtered.jsonl", update(1, segment=OTHER)), {"received": 1, "filtered": 1}),
        (site.file("dead.jsonl", b"nonsense\n"), {"received": 1, "dead_lettered": 1}),
        (site.file("unchanged.jsonl", MANY[0][0]), {"received": 1, "unchanged": 1}),
        (one, {}),
    ):
        ended = site.export(path, environ=unset)
        assert (ended.code, ended.counts) == (3, counts)
        assert ended.first == "error: the environment variable SITE_SECRET is empty"
        assert "export SITE_SECRET=" in ended.json["error"]["hint"]
    assert len(site.stream()) == 1


def test_there_is_no_network(site: Site) -> None:
    with site.client() as t:
        t.accounts.update("prod", settings={"endpoint_url": "http://127.0.0.1:9"})
    path = site.file("in.jsonl", MANY[0][0] * 10)
    ended = site.export(path, "--give-up-after", "0.3")
    assert ended.code == 6
    assert ended.first.startswith("error: destination kinesis accepted nothing for 0.3 s; last answer: ")
    assert "the connection was refused" in ended.first
    assert ended.counts == {"received": 10, "pending": 10}
    assert [position["offset"] for position in ended.ledger["sources"]] == [0]
    assert site.letters() == []


@pytest.mark.parametrize(
    "code",
    ["KMSAccessDeniedException", "KMSDisabledException", "KMSNotFoundException", "KMSInvalidStateException"],
)
def test_the_key_of_the_stream_is_out_of_reach(site: Site, code: str) -> None:
    site.server.always("PutRecords", Refuse(code))
    ended = site.export(site.file("in.jsonl", MANY[0][0] * 10))
    assert ended.code == 3
    assert ended.first.startswith("error: ")
    assert code in ended.first
    assert ended.counts == {"received": 10, "pending": 10}
    assert site.letters() == []


def test_one_record_is_too_large_for_the_stream(site: Site) -> None:
    """The stream takes 1 MiB and does not say so."""
    big = line(person(b'"' + b"x" * 1_200_000 + b'"'))
    lines = [text for text, _ in MANY[:1200]]
    lines[700] = big
    ended = site.export(site.file("in.jsonl", b"".join(lines)))
    assert ended.code == 5
    assert ended.first.startswith("warning: 1 dead letter; ")
    assert ended.counts == {"received": 1200, "delivered": 1199, "dead_lettered": 1}
    assert len(site.stream()) == 1199
    [letter] = site.letters()
    assert (letter.reason, letter.code, letter.line) == ("rejected", "RecordTooLarge", 701)
    assert letter.original == big.removesuffix(b"\n")


# --- memory -----------------------------------------------------------------------------------

BOMB = 200 * 2**20


def bombs() -> dict[str, tuple[str, Callable[[Path], None]]]:
    def gzipped(path: Path) -> None:
        piece = b"\0" * 2**20
        with gzip.open(path, "wb", compresslevel=1) as file:
            for _ in range(BOMB // len(piece)):
                file.write(piece)

    def zstandard(path: Path) -> None:
        piece = b"\0" * 2**20
        with zstd.open(path, "wb", level=1) as file:
            for _ in range(BOMB // len(piece)):
                file.write(piece)

    def sparse(path: Path) -> None:
        with open(path, "wb") as file:
            file.truncate(BOMB)

    return {"plain": ("in.jsonl", sparse), "gzip": ("in.gz", gzipped), "zstd": ("in.zst", zstandard)}


@pytest.mark.parametrize(("name", "make"), bombs().values(), ids=bombs())
def test_a_line_without_an_end(site: Site, name: str, make: Callable[[Path], Any]) -> None:
    """It is never held: the peak of memory is far from the length of the line."""
    path = site.folder / name
    make(path)
    ended, peak = site.measured("export", "hot", path, "--json", "--quiet")
    assert ended.code == 5
    assert ended.counts == {"received": 1, "dead_lettered": 1}
    [letter] = site.letters()
    assert (letter.reason, letter.offset, letter.size, letter.original) == ("line-too-long", 0, BOMB, b"")
    assert peak < 140 * 2**20
