"""An export that ended, however it did, goes on where everything before was settled."""

from __future__ import annotations

import gzip
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tests.engine import rig
from core.tests.engine.rig import Fault, Fickle
from core.tests.updates import keys, update, updates
from tailrace import Ledger
from tailrace.destination import Limits
from tailrace.errors import StateError
from tailrace.pipeline import commit as committing
from tailrace.store.journal import Checkpoint
from tailrace_kinesis.fakeserver import Stream
from tests.endtoend import Ended, Site

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

AGAIN = b"warning: nothing is new since an earlier run; --from-start reads all of it again\n"


def fresh(ended: Ended) -> int:
    """The number of records that an export delivered, and nothing else happened."""
    assert ended.code == 0
    assert set(ended.counts) <= {"received", "delivered"}
    return ended.counts.get("delivered", 0)


def test_a_file_that_was_exported_is_not_exported_again(each_site: Site) -> None:
    path = each_site.file("in.jsonl", updates(10))
    assert fresh(each_site.export(path)) == 10
    again = each_site.export(path)
    assert fresh(again) == 0
    assert again.err == AGAIN
    assert again.ledger["sources"][0]["line"] == 11
    assert each_site.arrived() == keys(10)
    once_more = each_site.run("export", "hot", path, "--json", "--quiet", "--from-start")
    assert once_more.counts == {"received": 10, "stale": 10}
    assert each_site.arrived() == keys(10)
    assert fresh(each_site.export(path, activation="every")) == 10
    assert fresh(each_site.run("export", "every", path, "--json", "--quiet", "--from-start")) == 10
    assert fresh(each_site.export(path, activation="random")) == 10  # each activation has its own place


def test_a_file_that_is_named_twice_is_read_once(site: Site) -> None:
    path = site.file("in.jsonl", updates(10))
    other = site.file("other.jsonl", updates(5, 10))
    link = site.folder / "link.jsonl"
    link.symlink_to(path)
    ended = site.export(path, other, path, link)
    assert fresh(ended) == 15
    assert [position["number"] for position in ended.ledger["sources"]] == [1, 2]
    assert f"warning: {path} was named before, so it is read once\n".encode() in ended.err
    assert f"warning: {link} was named before, so it is read once\n".encode() in ended.err
    assert site.arrived() == keys(15)


def test_a_file_that_grew_goes_on(each_site: Site) -> None:
    path = each_site.file("in.jsonl", updates(10))
    assert fresh(each_site.export(path)) == 10
    with open(path, "ab") as file:
        file.write(updates(5, 10))
    moved = path.rename(path.with_name("moved.jsonl"))
    ended = each_site.export(moved)
    assert fresh(ended) == 5
    assert ended.err == b""
    assert ended.ledger["sources"][0] | {"source": ""} == {
        "source": "",
        "number": 1,
        "offset": moved.stat().st_size,
        "line": 16,
    }
    assert each_site.arrived() == keys(15)


def test_a_last_line_without_an_end_is_read_again_when_it_grew(site: Site) -> None:
    path = site.file("in.jsonl", updates(3) + update(3))
    assert fresh(site.export(path)) == 4
    assert fresh(site.export(path)) == 0
    with open(path, "ab") as file:
        file.write(b"\n")
    assert fresh(site.export(path)) == 0  # the same update, now with its end
    with open(path, "ab") as file:
        file.write(update(4)[:-20])
    assert fresh(site.export(path)) == 0
    with open(path, "ab") as file:
        file.write(update(4)[-20:] + b"\n" + update(5))
    assert fresh(site.export(path)) == 2
    assert site.arrived() == keys(6)
    assert site.letters() == []


@pytest.mark.parametrize("how", ["truncated", "replaced"])
def test_a_file_that_is_no_more_what_it_was(site: Site, how: str) -> None:
    path = site.file("in.jsonl", updates(10))
    assert fresh(site.export(path, activation="every")) == 10
    if how == "truncated":
        os.truncate(path, len(updates(4)))
        said, count = "is shorter than it was", 4
    else:
        site.file("new.jsonl", updates(6, 10)).replace(path)
        said, count = "is another file than it was", 6
    ended = site.export(path, activation="every")
    assert fresh(ended) == count
    assert f"{said}, so it is read as a new source".encode() in ended.err
    assert ended.ledger["sources"][0]["number"] == 2
    assert fresh(site.export(path, activation="every")) == 0


@pytest.mark.parametrize("more", [0, 3], ids=["as long", "longer"])
def test_a_file_that_was_written_over_is_read_anew(site: Site, more: int) -> None:
    """The same inode and the same beginning, far beyond what tells one file from another."""
    path = site.file("in.jsonl", updates(1000))
    assert fresh(site.export(path)) == 1000
    inode = path.stat().st_ino
    path.write_bytes(
        updates(600) + updates(400, 600).replace(b"canary-person", b"canary-nosrep") + updates(more, 1000)
    )
    assert path.stat().st_ino == inode
    ended = site.export(path)
    assert ended.counts == {"received": 1000 + more, "unchanged": 600, "delivered": 400 + more}
    assert b"was written over, so it is read as a new source" in ended.err
    with open(path, "ab") as file:
        file.write(updates(5, 2000))
    assert fresh(site.export(path)) == 5


def test_a_compressed_file_goes_on(site: Site) -> None:
    whole = gzip.compress(updates(400)) + gzip.compress(updates(400, 400))
    path = site.file("in.jsonl.gz", whole[:-30])
    assert site.export(path).code == 8
    arrived = len(site.arrived())
    assert arrived > 400
    path.write_bytes(whole)
    assert fresh(site.export(path)) == 800 - arrived
    assert site.arrived() == keys(800)


def test_what_was_stopped_is_settled_later(site: Site) -> None:
    """Refused for good in the first run, accepted in the second: nothing is sent twice."""
    from tailrace_kinesis.fakeserver import FailRecords

    path = site.file("in.jsonl", updates(300))
    site.server.always("PutRecords", FailRecords(dict.fromkeys(range(0, 300, 3), "InternalFailure")))
    ended = site.run("export", "hot", path, "--json", "--quiet", "--give-up-after", "0.5")
    assert ended.code == 6
    assert ended.ledger["pending"] > 0
    site.server.always("PutRecords", None)
    assert fresh(site.export(path)) == ended.ledger["pending"]
    assert site.arrived() == keys(300)


def test_standard_input_has_no_place_to_go_on_from(each_site: Site) -> None:
    for _ in range(2):
        assert fresh(each_site.export("-", activation="every", stdin=updates(5))) == 5
    assert fresh(each_site.export("-", stdin=updates(5))) == 5
    assert each_site.export("-", stdin=updates(6)).counts == {"received": 6, "unchanged": 5, "delivered": 1}


# --- any commit may be the last ---------------------------------------------------------------

FAULTS = st.builds(
    Fault,
    kind=st.sampled_from(["retry", "throttled", "ambiguous"]),
    part=st.floats(0, 1),
    whole=st.booleans(),
    taken=st.just(False),
)


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(["good", "bad", "other", "blank", "poison"]), max_size=80),
    script=st.lists(st.none() | FAULTS, max_size=8),
    records=st.integers(1, 9),
    cut=st.randoms(use_true_random=False),
    tail=st.booleans(),
)
def test_any_commit_may_be_the_last(
    tmp_path_factory: pytest.TempPathFactory,
    kinds: list[str],
    script: list[Fault | None],
    records: int,
    cut: random.Random,
    tail: bool,
) -> None:
    """A run is cut off behind a commit, chosen at random, and another goes on from there. Whatever
    that commit calls settled is not sent again, and all else is."""
    lines = [_line(kind, number) for number, kind in enumerate(kinds)]
    path = tmp_path_factory.mktemp("restart") / "in.jsonl"
    path.write_bytes(b"\n".join(lines) + (b"" if tail or not lines else b"\n"))
    good = {f"id-{n}" for n, kind in enumerate(kinds) if kind == "good"}
    left = tail and kinds[-1:] == ["bad"]
    dead = sum(kind in ("bad", "poison") for kind in kinds) - left
    poison = frozenset(f"id-{n}" for n, kind in enumerate(kinds) if kind == "poison")
    commits: list[tuple[Ledger, Checkpoint, Counter[str]]] = []
    first = Fickle(script, poison=poison)

    def commit(ledger: Ledger, checkpoints: Mapping[int, Checkpoint]) -> None:
        if 1 in checkpoints:
            commits.append((ledger, checkpoints[1], first.taken.copy()))

    limits = Limits(records=records, bytes=2**20, record_bytes=2**16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "EVERY", 0.0)  # as often as the last one is done
        outcome = rig.export(first, path, limits=limits, commit=commit, budget=1)
    assert outcome.error is None
    ledger, checkpoint, taken = cut.choice(commits)
    assert ledger.balanced
    second = Fickle(poison=poison)
    later = rig.export(second, path, limits=limits, checkpoint=checkpoint)
    assert later.error is None
    received = len(kinds) - kinds.count("blank") - left
    assert ledger.received - ledger.pending + later.ledger.received == received
    assert ledger.delivered + later.ledger.delivered == len(good)
    assert ledger.dead_lettered + later.ledger.dead_lettered == dead
    assert set(taken) | set(second.taken) >= good
    assert ledger.delivered + sum(second.taken.values()) == len(good)


def test_commits_come_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the test above would cut at the end only."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(updates(200))
    monkeypatch.setattr(committing, "EVERY", 0.0)
    delivered: list[int] = []
    rig.export(
        Fickle(),
        path,
        limits=Limits(records=1, bytes=2**20, record_bytes=2**16),
        budget=1,
        commit=lambda ledger, made: delivered.append(ledger.delivered),
    )
    assert len(set(delivered)) > 5
    assert delivered[-1] == 200


def test_a_file_that_is_again_what_it_was_before_is_read_anew(site: Site) -> None:
    """One inode, and what was there twice stands between two that are equal."""
    path = site.file("in.jsonl", updates(10))
    other = updates(10).replace(b"canary-person", b"canary-nosrep")
    assert fresh(site.export(path)) == 10
    for content in (other, updates(10), other):
        path.write_bytes(content)
        assert fresh(site.export(path)) == 10
    assert site.export(path).counts == {}


def test_what_was_delivered_to_another_stream_is_forgotten(site: Site) -> None:
    path = site.file("in.jsonl", updates(10))
    assert fresh(site.export(path)) == 10
    with site.client() as t:
        t.connections.update("hot", description="other words")
    assert fresh(site.export(path)) == 0
    site.server.streams["other"] = Stream()
    with site.client() as t:
        t.connections.update("hot", settings={"stream": "other"})
    once_more = site.run("export", "hot", path, "--json", "--quiet", "--from-start")
    assert fresh(once_more) == 10
    assert (
        b"the connection or the profile key changed, so what was remembered of 10 profiles" in once_more.err
    )


def test_a_source_that_is_read_again_never_sends_what_is_older(site: Site) -> None:
    """A profile is in two files, and the older one got the newest update."""
    first = site.file("1.jsonl", update(1, {"person": {"name": {"firstName": "A"}}}) + b"\n")
    second = site.file("2.jsonl", update(1, {"person": {"name": {"firstName": "B"}}}) + b"\n")
    assert fresh(site.export(first)) == fresh(site.export(second)) == 1
    with open(first, "ab") as file:
        file.write(update(1, {"person": {"name": {"firstName": "C"}}}) + b"\n")
    assert fresh(site.export(first)) == 1
    for path, count in ((second, 1), (first, 2)):
        again = site.run("export", "hot", path, "--json", "--quiet", "--from-start")
        assert again.counts == {"received": count, "stale": count}
    with site.client() as t:
        t.activations.update("hot", attributes=["person.name.firstName", "person.more"])
    assert site.run("export", "hot", first, "--json", "--quiet", "--from-start").counts == {
        "received": 2,
        "stale": 1,
        "delivered": 1,
    }


@pytest.mark.parametrize("commits", [0, 1])
def test_what_cannot_be_committed_is_not_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    """Though it was delivered: the next run sends it again, and so the ledger says."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(updates(200))
    monkeypatch.setattr(committing, "EVERY", 0.0)
    made: list[int] = []

    def commit(ledger: Ledger, checkpoints: Mapping[int, Checkpoint]) -> None:
        if len(made) == commits:
            raise StateError("full")
        made.append(checkpoints[1].line)

    limits = Limits(records=1, bytes=2**20, record_bytes=2**16)
    outcome = rig.export(Fickle(), path, limits=limits, budget=1, commit=commit)
    assert isinstance(outcome.error, StateError)
    assert 0 < outcome.ledger.delivered < 200  # nothing more was sent
    assert outcome.ledger.pending > 0
    assert [position.line for position in outcome.ledger.sources] == (made or [1])


def _line(kind: str, number: int) -> bytes:
    if kind == "bad":
        return b"{nonsense %d" % number
    if kind == "blank":
        return b""
    return update(number, segment="no-such-segment") if kind == "other" else update(number)


def test_a_checkpoint_does_not_go_back_while_lines_are_left_out(tmp_path: Path) -> None:
    """A second run that is cut off before it has come to where the first was."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(updates(20))
    size = len(update(0)) + 1
    left = Checkpoint(offset=2 * size, line=3, read_line=15, starts=(3, 9), ends=(4, 11))
    seen: list[Checkpoint] = []
    exporter = Fickle()
    outcome = rig.export(
        exporter, path, checkpoint=left, commit=lambda ledger, made: seen.append(made[1]) if made else None
    )
    assert sorted(exporter.taken) == sorted(f"id-{n}" for n in [2, 8, 9, *range(14, 20)])
    assert outcome.ledger.received == 9
    assert seen[-1].read_line == 21
    assert all(made.read_line >= 15 for made in seen)


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_a_compressed_file_that_was_spoilt_and_is_mended_is_read_whole(
    site: Site, pack: Callable[[bytes], bytes]
) -> None:
    """What was read before the damage showed may have been nonsense, and may not count as settled."""
    good = pack(updates(2000))
    middle = len(good) // 2
    path = site.file("in.jsonl.packed", good[:middle] + b"\xa5\x5a" + good[middle + 2 :])
    assert site.export(path).code == 8
    path.write_bytes(good)
    assert site.export(path).code == 0
    assert set(site.arrived()) >= set(keys(2000))
