"""Back-fill: the members of a segment that was added later, and nothing that overtakes an update."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tailrace
from core.tests.updates import OTHER, SEGMENT, count_of, update
from tailrace.errors import ActivationBusy, ConfigurationError, Interrupted, Unavailable
from tailrace.ledger import Ledger
from tailrace.opening import open_journal
from tailrace_kinesis.fakeserver import FailRecords
from tests.endtoend import Site

ADDED = f"ups/{OTHER}"


def line(profile: int, version: int, *segments: str, status: str = "realized") -> bytes:
    """An update of a profile; its first name tells the version."""
    entry = {"lastQualificationTime": "2026-01-01T00:00:00Z", "status": status}
    fields: dict[str, object] = {
        "segmentMembership": {"ups": dict.fromkeys(segments, entry)},
        "person": {"name": {"firstName": f"v{version}"}},
    }
    return update(profile, fields) + b"\n"


def arrived(site: Site) -> list[tuple[str, str, tuple[str, ...]]]:
    """Key, first name and segments of what is on the stream, in its order."""
    found = []
    for record in sorted(site.stream(), key=lambda each: int(each.sequence)):
        value = json.loads(record.data)
        found.append(
            (
                record.key,
                value["person"]["name"]["firstName"],
                tuple(sorted(value["segmentMembership"]["ups"])),
            )
        )
    return found


def counts(ledger: Ledger) -> dict[str, int]:
    assert ledger.balanced
    return count_of(ledger.as_dict())


def add_segment(t: tailrace.Tailrace) -> None:
    t.activations.update("hot", segments=[SEGMENT, OTHER])


@contextmanager
def cut_off(site: Site, fails: Callable[[str], bool]) -> Iterator[None]:
    """Records of some keys are refused for as long."""
    code = "ProvisionedThroughputExceededException"
    site.server.always("PutRecords", FailRecords(lambda index, key, data: code if fails(key) else None))
    yield
    site.server.always("PutRecords", None)


def test_members_of_an_added_segment_get_it(site: Site) -> None:
    """Known ones and one that was filtered before, and nobody else; the export's own position stays."""
    both, only, first = line(1, 1, SEGMENT, OTHER), line(2, 1, OTHER), line(3, 1, SEGMENT)
    path = site.file("in.jsonl", both + only + first + b"nonsense\n")
    with site.client() as t:
        assert counts(t.export("hot", path))["delivered"] == 2
        add_segment(t)
        found = t.backfill("hot", path, segment=OTHER)
        assert counts(found) == {"received": 4, "delivered": 2, "filtered": 1, "dead_lettered": 1}
        assert arrived(site)[2:] == [("id-1", "v1", (SEGMENT, OTHER)[::-1]), ("id-2", "v1", (OTHER,))]

        again = t.backfill("hot", path, segment=ADDED)
        assert counts(again) == {}
        assert "nothing is new since the sources were back-filled for this segment" in again.warnings
        with path.open("ab") as file:
            file.write(line(2, 2, SEGMENT, OTHER))
        assert counts(t.backfill("hot", path, segment=OTHER)) == {"received": 1, "delivered": 1}
        # The export reads the same line, and has nothing to tell of it.
        assert counts(t.export("hot", path)) == {"received": 1, "unchanged": 1}
        assert [run.kind for run in t.runs.list()] == ["export", *["backfill"] * 3, "export"]


def test_an_older_line_of_the_same_file_is_stale(site: Site) -> None:
    """The profile left no word of the added segment later, and was delivered as it was then."""
    path = site.file("in.jsonl", line(1, 1, SEGMENT, OTHER) + line(1, 2, SEGMENT))
    with site.client() as t:
        t.export("hot", path)
        add_segment(t)
        assert counts(t.backfill("hot", path, segment=OTHER)) == {"received": 2, "stale": 1, "filtered": 1}
    assert [name for _, name, _ in arrived(site)] == ["v1", "v2"]


def test_what_was_delivered_meanwhile_is_not_overtaken(site: Site) -> None:
    """A back-fill of a file that nobody exported is cut off; a live source with a smaller number goes on;
    then the back-fill does."""
    live = site.file("live.jsonl", line(1, 1, SEGMENT))
    size = 20
    old = site.file("old.jsonl", b"".join(line(n, 0, OTHER) for n in range(1, size + 1)))
    with site.client() as t:
        t.export("hot", live)
        add_segment(t)
        with cut_off(site, lambda key: int(key[3:]) > 4), pytest.raises(Unavailable) as cut:
            t.backfill("hot", old, segment=OTHER, give_up_after=0)
        assert cut.value.ledger is not None
        assert cut.value.ledger.delivered == 4
        with live.open("ab") as file:
            file.write(line(5, 3, SEGMENT) + line(6, 3, SEGMENT, OTHER))
        assert counts(t.export("hot", live)) == {"received": 2, "delivered": 2}
        assert counts(t.backfill("hot", old, segment=OTHER)) == {
            "received": size - 4,
            "delivered": size - 6,
            "stale": 2,
        }
        assert ("id-1", "v0", (OTHER,)) in arrived(site)  # delivered before the back-fill was begun
        # What the live source says afterwards is compared as always.
        with live.open("ab") as file:
            file.write(line(7, 4, OTHER) + line(8, 0, OTHER))
        assert counts(t.export("hot", live)) == {"received": 2, "delivered": 1, "unchanged": 1}


def test_a_source_that_was_read_on_is_newer_than_one_of_a_higher_number(site: Site) -> None:
    live = site.file("live.jsonl", line(1, 1, SEGMENT) + line(2, 1, SEGMENT))
    day = site.file("day.jsonl", line(1, 2, SEGMENT, OTHER) + line(2, 2, SEGMENT, OTHER))
    with site.client() as t:
        t.export("hot", live)
        t.export("hot", day)
        with live.open("ab") as file:
            file.write(line(1, 3, SEGMENT))
        t.export("hot", live)
        add_segment(t)
        assert counts(t.backfill("hot", day, segment=OTHER)) == {"received": 2, "delivered": 1, "stale": 1}
    assert [name for key, name, _ in arrived(site) if key == "id-1"] == ["v1", "v2", "v3"]


def test_a_file_of_a_directory_that_grew_again_is_newer(site: Site) -> None:
    """It was read on in the same run, behind another one."""
    folder = site.folder / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(line(1, 1, SEGMENT))
    stop = threading.Event()
    with site.client() as t:
        following = threading.Thread(target=follow, args=(t, folder, stop))
        following.start()
        assert site.server.wait_for_more(0, 30)
        (folder / "b.jsonl").write_bytes(line(1, 2, SEGMENT, OTHER) + line(2, 2, SEGMENT, OTHER))
        assert site.server.wait_for_more(1, 30)
        while len(site.stream()) < 3:
            assert site.server.wait_for_more(len(site.stream()), 30)
        with (folder / "a.jsonl").open("ab") as file:
            file.write(line(1, 3, SEGMENT))
        assert site.server.wait_for_more(3, 30)
        stop.set()
        following.join(30)
        add_segment(t)
        found = t.backfill("hot", folder / "b.jsonl", segment=OTHER)
        assert counts(found) == {"received": 2, "delivered": 1, "stale": 1}


def follow(t: tailrace.Tailrace, folder: Path, stop: threading.Event) -> None:
    with suppress(Interrupted):
        t.export("hot", folder, follow=True, stop=stop)


def test_what_was_delivered_under_another_identity_is_not_overtaken(site: Site) -> None:
    """A back-filled update that is known by another of its identities would make it forgotten."""
    merged = json.loads(line(1, 1, OTHER))
    merged["identityMap"] = {"crm": [{"id": "b"}], "ecid": [{"id": "id-1"}]}
    path = site.file("in.jsonl", json.dumps(merged).encode() + b"\n" + line(1, 2, SEGMENT))
    with site.client() as t:
        t.export("hot", path)
        add_segment(t)
        assert counts(t.backfill("hot", path, segment=OTHER)) == {"received": 2, "stale": 1, "filtered": 1}


def test_a_segment_that_was_added_again_is_back_filled_again(site: Site) -> None:
    path = site.file("in.jsonl", line(1, 1, SEGMENT, OTHER))
    with site.client() as t:
        t.export("hot", path)
        for _ in range(2):
            add_segment(t)
            assert counts(t.backfill("hot", path, segment=OTHER)) == {"received": 1, "delivered": 1}
            t.activations.update("hot", segments=[SEGMENT])


def test_standard_input_is_compared_too(site: Site) -> None:
    content = line(1, 1, SEGMENT, OTHER) + line(2, 1, OTHER)
    with site.client() as t:
        add_segment(t)
    ended = site.run("backfill", "hot", "-", "--segment", OTHER, "--json", "--quiet", stdin=content)
    assert ended.counts == {"received": 2, "delivered": 2}
    ended = site.run("backfill", "hot", "-", "--segment", OTHER, "--json", "--quiet", stdin=content)
    assert ended.counts == {"received": 2, "unchanged": 2}


def test_the_command(site: Site) -> None:
    path = site.file("in.jsonl", line(1, 1, SEGMENT, OTHER) + b"nonsense\n")
    refused = site.run("backfill", "hot", path, "--segment", OTHER)
    assert (refused.code, refused.first) == (
        3,
        f"error: activation 'hot' does not map segment {ADDED}",
    )
    assert f"--add-segment {ADDED}" in refused.err.decode()
    refused = site.run("backfill", "every", path, "--segment", SEGMENT)
    assert refused.code == 3
    assert "exports every update" in refused.first
    assert not site.stream()

    with site.client() as t:
        add_segment(t)
    ended = site.run("backfill", "hot", path, "--segment", OTHER, "--json", "--quiet")
    assert ended.code == 5
    assert ended.counts == {"received": 2, "delivered": 1, "dead_lettered": 1}
    assert site.run("runs", "show", "1", "--json").json["run"]["kind"] == "backfill"
    assert b"hot (backfill)" in site.run("runs", "list").out
    assert b"backfill" in site.run("runs", "show", "1").out
    [source] = site.run("state", "show", "hot", "--json").json["state"]["sources"]
    assert source["backfill"] == ADDED
    assert f"(back-fill of {ADDED})" in site.run("state", "show", "hot").out.decode()


def test_it_never_runs_beside_an_export(site: Site) -> None:
    path = site.file("in.jsonl", line(1, 1, OTHER))
    with site.client() as t:
        add_segment(t)
        journal = open_journal(t.home, t.activations.get("hot").id, "hot")
        try:
            with pytest.raises(ActivationBusy):
                t.backfill("hot", path, segment=OTHER)
        finally:
            journal.close()
        with pytest.raises(ConfigurationError):
            t.backfill("hot", path, segment="ups/another")


def test_an_export_of_a_file_that_was_only_back_filled_says_nothing_of_it(site: Site) -> None:
    path = site.file("in.jsonl", line(1, 1, OTHER))
    with site.client() as t:
        add_segment(t)
        t.backfill("hot", path, segment=OTHER)
        path.write_bytes(line(2, 1, OTHER))
        assert not [text for text in t.export("hot", path).warnings if "new source" in text]
        assert [text for text in t.backfill("hot", path, segment=OTHER).warnings if "new source" in text]


# --- against a model -------------------------------------------------------------------------------

LINES = st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("export"), st.sampled_from("abc"), LINES),
        st.tuples(st.just("backfill"), st.sampled_from("abc"), st.sampled_from([0, 0, 1, 2])),
    ),
    min_size=4,
    max_size=7,
)
FIXTURE = [HealthCheck.function_scoped_fixture]


def never_goes_back(site: Site, steps: list[tuple[str, str, Any]]) -> None:
    """Files grow and are exported at once, so that they are read in the order in which their lines are
    written. Whatever is back-filled when, and cut off: no record of a profile is older than one before."""
    name = f"example-{uuid.uuid4()}"
    begun, version = len(site.stream()), 0
    with site.client() as t:
        t.activations.add(
            name, connection="hot", segments=[SEGMENT, OTHER], attributes=["person.name.firstName"]
        )
        for step, source, given in steps:
            path = site.folder / f"{name}-{source}.jsonl"
            if step == "export":
                with path.open("ab") as file:
                    for profile, added in given:
                        version += 1
                        file.write(line(profile, version, *((SEGMENT, OTHER) if added else (SEGMENT,))))
                t.export(name, path)
            elif path.exists():
                with cut_off(site, partial(_is_below, given)), suppress(Unavailable):
                    t.backfill(name, path, segment=OTHER, give_up_after=0)
    latest: dict[str, int] = {}
    for key, text, _ in arrived(site)[begun:]:
        assert int(text[1:]) >= latest.get(key, 0)
        latest[key] = int(text[1:])


def _is_below(number: int, key: str) -> bool:
    return int(key[3:]) < number


@settings(max_examples=6, deadline=None, suppress_health_check=FIXTURE)
@given(steps=STEPS)
def test_versions_never_go_back(site: Site, steps: list[tuple[str, str, Any]]) -> None:
    never_goes_back(site, steps)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=FIXTURE)
@given(steps=STEPS)
def test_versions_never_go_back_in_many_orders(site: Site, steps: list[tuple[str, str, Any]]) -> None:
    never_goes_back(site, steps)
