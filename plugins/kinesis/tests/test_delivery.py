"""Sizes, poison records, and how few requests it takes to find one."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.kinesis.tests.kit import KEY, SECRET, batch, delivered, exporting, numbers
from tailrace import Batch, Misconfigured
from tailrace_kinesis.fakeserver import (
    FailRecords,
    Fault,
    KinesisServer,
    Raw,
    Refuse,
    Request,
    Reset,
    Silence,
    Stream,
)
from tailrace_kinesis.sizes import Sizes

LIMIT = 1 << 20


@pytest.fixture
def small(server: KinesisServer) -> KinesisServer:
    server.streams["hot-leads"] = Stream(record_limit=LIMIT)
    return server


def poison(code: str = "SomethingNew", status: int = 400) -> Callable[[Request], Fault | None]:
    """Refuses every request that holds a record of the bytes `poison`."""

    def step(request: Request) -> Fault | None:
        return Refuse(code, status=status) if b"poison" in request.data else None

    return step


@pytest.mark.parametrize("culprit", [0, 1, 77, 249, 250, 251, 498, 499])
def test_one_record_too_large_among_500(small: KinesisServer, culprit: int) -> None:
    with exporting(small) as exporter:
        result = exporter.write(batch(500, large={culprit: LIMIT + 1}))
    assert delivered(result) == set(range(500)) - {culprit}
    assert numbers(small) == sorted(delivered(result))
    failure = result.failures[culprit]
    assert (failure.kind, failure.code) == ("rejected", "RecordTooLarge")
    assert f"the record is {LIMIT + 1 + len(f'key-{culprit}'):,} bytes with its key" in failure.message
    assert len(small.calls_of("PutRecords")) <= 2 * math.log2(500) + 2


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_poison_is_found(server: KinesisServer, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 60))
    bad = data.draw(st.sets(st.integers(0, size - 1), max_size=3))
    server.always("PutRecords", poison("ValidationException"))
    before, calls = len(server.accepted()), len(server.calls)
    made = batch(size)
    made = Batch(made.keys, [b"poison" if n in bad else made.data[n] for n in range(size)])
    with exporting(server) as exporter:
        result = exporter.write(made)
    assert set(result.failures) == bad
    assert {f.kind for f in result.failures.values()} <= {"rejected"}
    assert len(server.accepted()) - before == size - len(bad)
    used = len(server.calls) - calls - 1  # one of them describes the stream
    assert used <= max(1, len(bad)) * (2 * math.ceil(math.log2(size)) + 1)


def test_what_was_learnt_of_records_saves_requests(small: KinesisServer) -> None:
    with exporting(small) as exporter:
        exporter.write(batch(100, large={10: LIMIT + 100}))
        before = len(small.calls)
        result = exporter.write(batch(100, large={20: LIMIT + 200, 30: LIMIT + 100, 40: LIMIT - 100}))
        assert len(small.calls) - before == 1
    assert {n: f.code for n, f in result.failures.items()} == {20: "RecordTooLarge", 30: "RecordTooLarge"}
    size, refused = LIMIT + 200 + len("key-20"), LIMIT + 100 + len("key-10")
    assert result.failures[20].message == (
        f"the record is {size:,} bytes with its key; the stream refused one of {refused:,} bytes"
    )


def test_a_batch_of_records_that_are_all_too_large_needs_no_request(small: KinesisServer) -> None:
    with exporting(small) as exporter:
        exporter.write(batch(1, large={0: LIMIT + 1}))
        before = len(small.calls)
        result = exporter.write(batch(3, large=dict.fromkeys(range(3), LIMIT + 5)))
    assert len(small.calls) == before
    assert len(result.failures) == 3


@pytest.mark.parametrize(("length", "fits"), [(LIMIT - 6, True), (LIMIT - 5, True), (LIMIT - 4, False)])
def test_the_key_counts(small: KinesisServer, length: int, fits: bool) -> None:
    with exporting(small) as exporter:  # "key-0" has five bytes
        assert (exporter.write(batch(1, large={0: length})).failures == {}) is fits


@pytest.mark.parametrize(("length", "fits"), [(4096 - 5, True), (4096 - 4, False)])
def test_a_reported_limit_needs_no_refusal(server: KinesisServer, length: int, fits: bool) -> None:
    server.streams["hot-leads"] = Stream(record_limit=4096, reports_limit=True)
    with exporting(server) as exporter:
        result = exporter.write(batch(3, large={0: length}))
    assert (result.failures == {}) is fits
    assert {call.status for call in server.calls} == {200}
    assert numbers(server) == ([0, 1, 2] if fits else [1, 2])
    if not fits:
        known = "the record is 4,097 bytes with its key; the limit of the stream is 4,096 bytes"
        assert result.failures[0].message == known


def test_a_limit_lowered_while_running_is_learnt_again(server: KinesisServer) -> None:
    stream = server.streams["hot-leads"] = Stream(record_limit=2 * LIMIT, reports_limit=True)
    with exporting(server) as exporter:
        assert exporter.write(batch(64, large={9: LIMIT + 500})).failures == {}
        stream.record_limit = LIMIT
        before = len(server.calls)
        result = exporter.write(batch(64, large={9: LIMIT + 500}))
    assert set(result.failures) == {9}
    assert len(server.calls) - before <= 2 * math.log2(64) + 2


def test_a_request_too_large_has_no_culprit(server: KinesisServer) -> None:
    server.streams["hot-leads"] = Stream(request_limit=10_000)
    records = batch(16, large=dict.fromkeys(range(16), 1000))
    with exporting(server) as exporter:
        assert exporter.write(records).failures == {}
        refused = [call for call in server.calls if call.status == 400]
        assert len(refused) == 1
        assert exporter.write(records).failures == {}
    assert [call for call in server.calls if call.status == 400] == refused
    assert len(server.accepted()) == 32


def test_a_proxy_that_answers_413(server: KinesisServer) -> None:
    def step(request: Request) -> Fault | None:
        return Raw(b"<html>too large</html>", 413) if sum(map(len, request.data)) > 9000 else None

    server.always("PutRecords", step)
    with exporting(server) as exporter:
        assert exporter.write(batch(16, large=dict.fromkeys(range(16), 1000))).failures == {}
        result = exporter.write(batch(4, large={2: 9500}))
        assert exporter.write(batch(4, large={1: 8000})).failures == {}
    assert {n: f.code for n, f in result.failures.items()} == {2: "HTTP413"}
    assert "the size is not the reason: the record is 9,505 bytes" in result.failures[2].message


CONSTRAINT = "Value at 'records.1.member.data' failed: Member must have length less than or equal to 1"
REFUSALS: dict[str, Raw | Refuse] = {
    "413": Raw(b"<html>too large</html>", 413),
    "size": Refuse("ValidationException", CONSTRAINT),
    "validation": Refuse("ValidationException"),
    "argument": Refuse("InvalidArgumentException", "Records size exceeds 1 bytes limit"),
    "unknown": Refuse("SomethingNew"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_server_that_refuses_everything_stops_the_run(server: KinesisServer, refusal: str) -> None:
    fault = REFUSALS[refusal]
    server.always("PutRecords", fault)
    with exporting(server) as exporter:
        with pytest.raises(Misconfigured, match="no record was ever accepted") as caught:
            exporter.write(batch(500))
        assert len(server.calls_of("PutRecords")) <= 2 * math.log2(500) + 8
        before = len(server.calls)
        with pytest.raises(Misconfigured):  # another write need not search again
            exporter.write(batch(500))
        assert len(server.calls) - before == 1
    code = fault.code if isinstance(fault, Refuse) else "no error code"
    assert f"answered {code} (HTTP {fault.status}, request " in caught.value.message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusals_of_everything_add_up_over_the_writes(server: KinesisServer, refusal: str) -> None:
    """At most seven records get a fate of their own, none of them a size that it does not have."""
    server.always("PutRecords", REFUSALS[refusal])
    with exporting(server) as exporter:
        results = [exporter.write(batch(1)) for _ in range(7)]
        with pytest.raises(Misconfigured, match="no record was ever accepted"):
            exporter.write(batch(1))
    for result in results:
        assert result.failures[0].code != "RecordTooLarge"
        assert "too large" not in result.failures[0].message


def test_an_accepted_record_ends_the_suspicion(server: KinesisServer) -> None:
    server.always("PutRecords", poison("ValidationException"))
    with exporting(server) as exporter:
        assert exporter.write(batch(1)).failures == {}
        result = exporter.write(Batch([f"k{n}" for n in range(20)], [b"poison"] * 20))
    assert {f.code for f in result.failures.values()} == {"ValidationException"}
    assert len(result.failures) == 20


@pytest.mark.parametrize("size", [1, 9])
def test_a_record_over_a_mebibyte_that_comes_first_is_one_dead_letter(
    small: KinesisServer, size: int
) -> None:
    with exporting(small) as exporter:
        result = exporter.write(batch(size, large={0: 1_200_000}))
    assert {n: (f.kind, f.code) for n, f in result.failures.items()} == {0: ("rejected", "RecordTooLarge")}
    assert "1,200,005 bytes" in result.failures[0].message
    assert len(small.accepted()) == size - 1


def test_501_records_are_the_core_s_business_but_a_lower_count_is_learnt(server: KinesisServer) -> None:
    server.streams["hot-leads"] = Stream(count_limit=100)
    with exporting(server) as exporter:
        assert exporter.write(batch(500)).failures == {}
    assert len(server.accepted()) == 500


@pytest.mark.parametrize("key", ["", "k" * 257])
def test_a_bad_key_costs_one_record_and_teaches_no_size(server: KinesisServer, key: str) -> None:
    with exporting(server) as exporter:
        result = exporter.write(batch(20, keys={7: key}))
        assert {n: (f.kind, f.code) for n, f in result.failures.items()} == {
            7: ("rejected", "ValidationException")
        }
        assert exporter.write(batch(2, large={0: 5000})).failures == {}


def test_a_key_that_is_no_text(server: KinesisServer) -> None:
    with exporting(server) as exporter:
        result = exporter.write(batch(8, keys={3: "half \ud83d"}))
    assert {n: (f.kind, f.code) for n, f in result.failures.items()} == {3: ("rejected", "InvalidKey")}
    assert len(server.accepted()) == 7


def test_an_unknown_400_keeps_its_code(server: KinesisServer) -> None:
    server.always("PutRecords", poison("SomethingNew"))
    with exporting(server) as exporter:
        result = exporter.write(Batch(["a", "b", "c"], [b"1", b"poison", b"3"]))
    assert {n: (f.kind, f.code) for n, f in result.failures.items()} == {1: ("rejected", "SomethingNew")}


def test_an_unknown_400_for_everything_is_not_the_records_fault(server: KinesisServer) -> None:
    server.always("PutRecords", Refuse("SomethingNew"))
    with exporting(server) as exporter, pytest.raises(Misconfigured, match="SomethingNew"):
        exporter.write(batch(500))
    assert len(server.calls_of("PutRecords")) < 40


def test_a_server_error_while_searching_leaves_the_rest_open(small: KinesisServer) -> None:
    """The large record is found; a half whose answer is lost stays ambiguous, and nothing is raised."""
    small.script("PutRecords", None, None, Raw(b"oops", 500))
    with exporting(small) as exporter:
        result = exporter.write(batch(4, large={3: LIMIT + 1}))
    kinds = {n: f.kind for n, f in result.failures.items()}
    assert kinds == {2: "ambiguous", 3: "ambiguous"}
    assert numbers(small)[:2] == [0, 1]


def test_a_lost_permission_while_searching_is_met_again(small: KinesisServer) -> None:
    small.script("PutRecords", None, None, Refuse("AccessDeniedException"))
    with exporting(small) as exporter:
        result = exporter.write(batch(4, large={3: LIMIT + 1}))
    assert {n: f.kind for n, f in result.failures.items()} == {2: "retry", 3: "retry"}


@pytest.mark.parametrize(
    ("fault", "accepted"),
    [
        (Raw(b"", 200, accept=True), True),
        (Raw(b'{"FailedRecordCount":0,"Records":[{"SequenceNumber":"1","Sh', 200, accept=True), True),
        (Raw(b'{"FailedRecordCount":0,"Records":[]}', 200), False),
        (Raw(b'{"FailedRecordCount":0}', 200), False),
        (Raw(b"<html>login</html>", 200), False),
        (Raw(b'"FailedRecordCount":0', 200), False),
        (Raw(b'{"FailedRecordCount":0,"Records":[{},{},{}]}', 200), False),
    ],
)
def test_a_200_that_cannot_be_read_is_ambiguous(server: KinesisServer, fault: Raw, accepted: bool) -> None:
    server.script("PutRecords", fault)
    with exporting(server) as exporter:
        result = exporter.write(batch(3))
    assert [f.kind for f in result.failures.values()] == ["ambiguous"] * 3
    assert (len(server.accepted()) == 3) is accepted


def test_counts_that_do_not_agree(server: KinesisServer) -> None:
    entry = b'{"SequenceNumber":"1","ShardId":"shardId-000000000000"}'
    failed = b'{"ErrorCode":"InternalFailure","ErrorMessage":"x"}'
    body = b'{"FailedRecordCount":2,"Records":[%b,%b,%b]}' % (entry, failed, entry)
    server.script("PutRecords", Raw(body))
    with exporting(server) as exporter:
        result = exporter.write(batch(3))
    assert {n: f.kind for n, f in result.failures.items()} == {0: "ambiguous", 1: "retry", 2: "ambiguous"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"FailedRecordCount":0,"Records":[E,E]}',
        b' { "FailedRecordCount" : 0 , "Records" : [ E , E ] } ',
        b'{"EncryptionType":"KMS","Records":[E,E],"FailedRecordCount":0}',
        b'{"Records":[E,E]}',
    ],
)
def test_spacing_and_order_of_an_answer_do_not_matter(server: KinesisServer, body: bytes) -> None:
    entry = b'{"ShardId": "shardId-000000000000", "SequenceNumber": "1"}'
    server.script(
        "PutRecords",
        Raw(body.replace(b"E,", entry + b",").replace(b"E]", entry + b"]").replace(b"E ", entry + b" ")),
    )
    with exporting(server) as exporter:
        assert exporter.write(batch(2)).failures == {}


def test_ten_failures_are_not_read_as_none(server: KinesisServer) -> None:
    server.script("PutRecords", FailRecords(dict.fromkeys(range(10), "InternalFailure")))
    with exporting(server) as exporter:
        assert set(exporter.write(batch(10)).failures) == set(range(10))


@pytest.mark.parametrize("fault", [Reset(accept=True), Silence(accept=True)])
def test_accepted_without_an_answer_is_ambiguous(server: KinesisServer, fault: Fault) -> None:
    from tailrace import Transient

    server.script("PutRecords", fault)
    with exporting(server, write_timeout=1.0) as exporter:
        with pytest.raises(Transient) as caught:
            exporter.write(batch(3))
        assert caught.value.ambiguous
        assert exporter.write(batch(3)).failures == {}
    assert numbers(server) == [0, 0, 1, 1, 2, 2]
    assert len(server.calls_of("PutRecords")) == 2


def test_sizes_are_only_lowered_by_what_a_refusal_proves() -> None:
    sizes = Sizes()
    assert not sizes.refused_record(1 << 20)  # every stream takes that
    sizes.accepted(5_000_000)
    assert not sizes.refused_record(4_000_000)
    assert sizes.record == 10 << 20
    assert sizes.refused_record(6_000_000)
    assert sizes.refused_record(7_000_000)
    assert sizes.record == 5_999_999
    sizes.refused_request(4000)
    sizes.refused_request(9000)
    assert sizes.request == 4000


def test_the_bytes_and_keys_arrive_as_they_are() -> None:
    keys = ["é", '"\\\n\x00', "日本", "😀", "a" * 256, "\u2028"]
    data = [b"", bytes(range(256)), b'{"a":"\xc3\xa9"}', b"\xff\xfe", b"x" * 70_000, b"\n"]
    with KinesisServer(streams={"hot-leads": Stream()}, credentials={KEY: SECRET}) as server:
        with exporting(server) as exporter:
            assert exporter.write(Batch(keys, data)).failures == {}
        assert [(record.key, record.data) for record in server.accepted()] == list(
            zip(keys, data, strict=True)
        )
