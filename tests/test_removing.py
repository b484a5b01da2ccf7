"""Removing an activation: nothing unsent is lost in silence, and nothing of it stays in the home."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.tests.updates import OTHER, SEGMENT, update, updates
from tailrace.errors import (
    ActivationBusy,
    InUse,
    NotFound,
    StaleVersion,
    StateDamaged,
    StateError,
    Unavailable,
)
from tailrace_kinesis.fakeserver import Refuse
from tests.endtoend import Site
from tests.test_exits import line

AWAY = Refuse("ServiceUnavailable", status=503)
LEFT = ("journal", "spool", "queue")


def folders(site: Site) -> list[str]:
    """Those of activations, by what they hold."""
    return [name for name in LEFT for _ in (site.home / name).glob("*")]


def fill_spool(site: Site) -> None:
    site.server.always("PutRecords", AWAY)
    with site.client() as t, pytest.raises(Unavailable):
        t.export("hot", iter(updates(9).splitlines()), spool=True, give_up_after=0)
    site.server.always("PutRecords", None)


def let_exits_wait(site: Site) -> None:
    """Two of them; the third update is of somebody who has left."""
    with site.client() as t:
        t.export("hot", site.file("in.jsonl", line(1) + line(2) + line(3, status="exited")))
        t.exits.remove("hot", [OTHER])


def damage(site: Site) -> None:
    [store] = (site.home / "journal").glob("*/journal.mdb")
    store.write_bytes(b"x" * store.stat().st_size)


def refused(site: Site, *options: str) -> tuple[str, str, str]:
    """The code, message and hint of a removal, after which all is as it was."""
    before = sorted(site.home.rglob("*.mdb")), folders(site)
    ended = site.run("activation", "remove", "hot", *options, "--json")
    assert ended.code == 3
    assert (sorted(site.home.rglob("*.mdb")), folders(site)) == before
    error = ended.json["error"]
    with site.client() as t:
        assert t.activations.get("hot").name == "hot"
    return error["code"], error["message"], error["hint"]


def removed(site: Site, *, discard: bool = False) -> None:
    with site.client() as t:
        t.activations.remove("hot", discard=discard)
    assert folders(site) == []


def test_nothing_stays_in_the_home(kept: Site) -> None:
    assert kept.run("export", "hot", "-", "--spool", stdin=line(1)).code == 0
    assert folders(kept) == [*LEFT]
    with kept.client() as t:
        t.activations.add("cold", connection=t.activations.get("hot").connection, segments=[SEGMENT])
        t.state.show("cold")
        [run] = t.runs.list()
        t.activations.remove("hot")
        assert folders(kept) == ["journal"]
        assert t.state.show("cold").profiles == 0
        assert [each.id for each in t.runs.list()] == [run.id]
        t.activations.remove("cold")
    assert folders(kept) == []


def test_one_that_was_never_exported_is_removed(site: Site) -> None:
    removed(site)


@pytest.mark.parametrize("options", [(), ("--discard",)])
def test_it_is_refused_while_it_is_exported(site: Site, options: tuple[str, ...]) -> None:
    def meanwhile() -> Iterator[bytes]:
        yield update(1)
        with site.client() as other, pytest.raises(ActivationBusy):
            other.activations.remove("hot", discard=bool(options))
        code, message, _ = refused(site, *options)
        assert code == "activation-busy"
        assert "is being exported by process" in message
        yield update(2)

    with site.client() as t:
        assert t.export("hot", meanwhile()).delivered == 2
    removed(site)


def test_what_waits_in_the_spool_is_not_given_up_unasked(site: Site) -> None:
    fill_spool(site)
    assert refused(site) == (
        "in-use",
        f"activation 'hot' has not sent everything: {len(updates(9)):,} bytes wait in its spool",
        "send it first: tailrace export hot --spool; or give it up: tailrace activation remove hot --discard",
    )
    with site.client() as t:
        t.export("hot", [], spool=True)
    assert len(site.stream()) == 9
    removed(site)


def test_exits_that_wait_are_not_given_up_unasked(kept: Site) -> None:
    let_exits_wait(kept)
    assert refused(kept) == (
        "in-use",
        "activation 'hot' has not sent everything: 2 exits wait",
        "send it first: tailrace activation exits hot; "
        "or give it up: tailrace activation remove hot --discard",
    )
    with kept.client() as t:
        t.exits.send("hot")
    removed(kept)


def test_what_the_hint_says_sends_both(kept: Site) -> None:
    with kept.client() as t:
        t.export("hot", kept.file("in.jsonl", line(100)))
    fill_spool(kept)
    with kept.client() as t:
        t.exits.remove("hot", [OTHER])
        with pytest.raises(InUse, match=r"bytes wait in its spool, and 1 exit waits$"):
            t.activations.remove("hot")
    assert kept.run("export", "hot", "--spool").code == 0
    assert len(kept.stream()) == 1 + 1 + 9
    removed(kept)


def test_all_of_it_is_given_up_where_that_is_asked_for(kept: Site) -> None:
    fill_spool(kept)
    let_exits_wait(kept)
    sent = len(kept.stream())
    ended = kept.run("activation", "remove", "hot", "--discard", "--json")
    assert (ended.code, ended.json) == (0, {"removed": {"activation": "hot"}})
    assert folders(kept) == []
    assert len(kept.stream()) == sent


def test_exits_of_nobody_do_not_wait(kept: Site) -> None:
    with kept.client() as t:
        t.export("hot", kept.file("in.jsonl", line(3, status="exited")))
        t.exits.remove("hot", [OTHER])
        assert t.exits.waiting("hot")
    removed(kept)


def test_a_damaged_journal_does_not_keep_it_from_being_removed(kept: Site) -> None:
    let_exits_wait(kept)
    damage(kept)
    code, message, hint = refused(kept)
    assert code == "state-damaged"
    assert message.startswith("whether exits of activation 'hot' wait cannot be told: ")
    assert "tailrace activation remove hot --discard" in hint
    with kept.client() as t, pytest.raises(StateDamaged):
        t.activations.remove("hot")
    removed(kept, discard=True)


def test_a_run_that_was_cut_off_ends_with_it(site: Site) -> None:
    with site.client() as t:
        run = t.runs.start(t.activations.get("hot"))
        t.activations.remove("hot")
        ended = t.runs.get(run)
    assert (ended.status, ended.exit_code) == ("interrupted", 130)
    assert "its activation was removed" in (ended.error or "")


def test_a_refused_version_leaves_all_of_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(*given: object) -> None:
        raise StaleVersion("it changed after it was looked at")

    with site.client() as t:
        t.export("hot", site.file("in.jsonl", updates(3)))
        with pytest.raises(StaleVersion):
            t.activations.remove("hot", if_version=7, discard=True)
        assert t.state.show("hot").profiles == 3
        with monkeypatch.context() as patch:
            patch.setattr("tailrace.state.rows.delete", moved)
            with pytest.raises(StaleVersion):
                t.activations.remove("hot", discard=True)
        assert t.state.show("hot").profiles == 3
        t.activations.remove("hot", if_version=t.activations.get("hot").version)
    assert folders(site) == []


def test_what_cannot_be_removed_is_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it belongs to somebody else, which root would not notice."""
    monkeypatch.setattr("shutil.rmtree", lambda folder, ignore_errors: None)
    with site.client() as t:
        t.export("hot", site.file("in.jsonl", updates(3)))
        with pytest.raises(StateError, match=r"is removed, but what is in .*journal.* is not") as caught:
            t.activations.remove("hot")
        with pytest.raises(NotFound):
            t.activations.get("hot")
    assert "delete it by hand" in (caught.value.hint or "")


def test_nothing_beside_its_own_folders_is_removed(site: Site) -> None:
    """Whatever somebody wrote into the database."""
    with site.client() as t:
        t.export("hot", site.file("in.jsonl", updates(3)))
        with t._foundation.database.write() as transaction:
            transaction.execute("UPDATE activations SET id = :id WHERE name = :name", id="..", name="random")
        t.activations.remove("random")
        assert t.state.show("hot").profiles == 3


@pytest.mark.parametrize("whole", [True, False])
def test_a_reset_says_how_many_exits_it_loses(kept: Site, whole: bool) -> None:
    let_exits_wait(kept)
    if not whole:
        damage(kept)
    ended = kept.run("state", "reset", "hot", "--json")
    assert (ended.code, ended.json) == (0, {"reset": "hot"})
    said = "2 exits that waited are lost" if whole else "exits that waited, if any did, are lost"
    assert said in ended.err.decode()
    assert "lost" not in kept.run("state", "reset", "hot").err.decode()
