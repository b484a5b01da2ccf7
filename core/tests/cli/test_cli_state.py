"""`tailrace state`: looking at what is remembered, proving it whole, forgetting it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

import tailrace
from core.tests.cli.kit import Run, update
from tailrace.opening import Openings, open_journal
from tailrace.pipeline.sources import open_sources
from tailrace.store.journal import PARTS, Checkpoint, Share

VERBS: dict[str, tuple[str, ...]] = {
    "show": (), "verify": (), "repair": (), "compact": (), "forget": ("--profile", "ecid:id-1"), "reset": (),
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("activation")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "some.jsonl"
    path.write_text("".join(map(update, range(3))))
    return path


def store(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "home" / "journal").glob("*/journal.mdb")
    return found


def test_what_is_remembered_is_shown(run: Run, source: Path) -> None:
    assert "nothing is remembered of hot yet" in run("state", "show", "hot").err
    run("export", "hot", source)
    shown = run("state", "show", "hot")
    assert shown.out.splitlines()[0].split() == ["NO", "LINE", "OFFSET", "BEYOND", "SOURCE"]
    assert shown.out.splitlines()[1].split()[:4] == ["1", "4", f"{source.stat().st_size:,}", "0"]
    assert shown.out.splitlines()[1].endswith("some.jsonl")
    (remembered,) = json.loads(run("state", "show", "hot", "--json").out)["state"]["sources"]
    assert remembered == {
        "number": 1, "source": str(source), "offset": source.stat().st_size, "line": 4, "settled_beyond": 0,
            "backfill": None,
    }  # fmt: skip
    assert run("state", "verify", "hot").out.startswith("the state of hot is whole: ")


def test_a_damaged_state_is_said_and_reset(run: Run, source: Path, tmp_path: Path) -> None:
    run("export", "hot", source)
    content = store(tmp_path).read_bytes()
    place = content.rindex(b"delivered") + len("delivered")  # a value's own bytes
    store(tmp_path).write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
    for verb in ("verify", "show"):
        ended = run("state", verb, "hot")
        assert ended.code == 3
        assert "is damaged" in ended.err
        assert "tailrace state repair" in ended.err
    assert run("export", "hot", source).code == 3
    assert run("state", "reset", "hot").code == 0
    assert run("state", "verify", "hot").code == 0
    again = run("export", "hot", source, "--json", "--quiet")
    assert json.loads(again.out)["ledger"]["delivered"] == 3
    run("state", "reset", "hot", "--json")
    assert json.loads(run("state", "show", "hot", "--json").out)["state"]["sources"] == []


def test_nothing_is_touched_while_the_activation_is_exported(run: Run, source: Path, tmp_path: Path) -> None:
    run("export", "hot", source)
    with tailrace.open() as t:
        journal = open_journal(t.home, t.activations.get("hot").id, "hot")
    try:
        for verb in VERBS:
            ended = run("state", verb, "hot", *VERBS[verb])
            assert ended.code == 3
            assert "is being exported by process" in ended.err
    finally:
        journal.close()
    assert store(tmp_path).exists()


def test_a_reset_ends_the_run_that_was_cut_off(run: Run, source: Path) -> None:
    run("export", "hot", source)
    with tailrace.open() as t:
        number = t.runs.start(t.activations.get("hot"))
        t.state.reset("hot")
        cut_off = t.runs.get(number)
    assert (cut_off.status, cut_off.exit_code) == ("interrupted", 130)
    assert "its state was reset" in (cut_off.error or "")


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_activation_is_said(run: Run, verb: str) -> None:
    assert run("state", verb, "cold", *VERBS[verb]).code == 3


def test_profiles_are_counted(run: Run) -> None:
    with tailrace.open() as t, closing(open_journal(t.home, t.activations.get("hot").id, "hot")) as journal:
        journal.begin(1, "rule")
        journal.commit(1, [Share({}, {}, {bytes([number << 4] * 16): b"state"}) for number in range(PARTS)])
    assert "16 profiles are remembered" in run("state", "show", "hot").err
    assert run("state", "verify", "hot").out.endswith(" bytes, 0 sources, 16 profiles\n")
    assert json.loads(run("state", "show", "hot", "--json").out)["state"]["profiles"] == 16
    run("state", "reset", "hot")
    assert json.loads(run("state", "show", "hot", "--json").out)["state"]["profiles"] == 0


def test_one_is_not_several(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "one.jsonl"
    source.write_text(update(1))
    run("export", "hot", source)
    assert "1 profile is remembered\n" in run("state", "show", "hot").err
    assert run("state", "verify", "hot").out.endswith(" bytes, 1 source, 1 profile\n")


def test_a_file_that_ends_before_one_part_of_its_lines_is_a_new_source(run: Run, source: Path) -> None:
    """The lowest position alone would take what was written anew for settled."""
    run("export", "hot", source)
    low, high = Checkpoint(0, 1, 4, (1,), (2,)), Checkpoint(source.stat().st_size, 4, 4)
    source.write_bytes(source.read_bytes()[:-1])
    with tailrace.open() as t:
        id = t.activations.get("hot").id
        with closing(open_journal(t.home, id, "hot")) as journal:
            journal.begin(2, "rule")
            journal.commit(2, [Share({}, {1: high if number == 9 else low}) for number in range(PARTS)])
            openings = Openings(t._foundation.database, id, journal)
            assert openings.checkpoints(1)[8:10] == (low, high)
            assert openings.number(open_sources(source, 2**20)[0]) == 2
            assert "is shorter than it was" in openings.notes[0]
            anew = Openings(t._foundation.database, id, journal, from_start=True)
            assert not any(anew.checkpoints(1))


def test_what_a_change_does_to_what_is_remembered_is_said_first(run: Run, source: Path) -> None:
    def said(*options: str) -> str:
        return run("activation", "update", "hot", *options).err

    assert said("--every-update") == ""  # nothing is remembered yet
    assert said("--only-changes") == ""
    run("export", "hot", source)
    assert said("--description", "other", "--trigger", "segments") == ""
    attributes = tailrace_attributes()
    assert said(*(word for path in reversed(attributes) for word in ("--attribute", path))) == ""
    assert said("--add-attribute", "person.first") == ""  # no change of an attribute causes an export
    assert said("--trigger", "attributes") == ""
    assert said("--add-attribute", "person.more") == (
        "warning: the mapped attributes change: 3 profiles will each be exported once more, "
        "at the next update\n"
    )
    assert said("--profile-key", "identity:ecid") == (
        "warning: profiles get other keys, so the next export drops what is remembered of 3 profiles\n"
    )
    assert said("--every-update") == "warning: the next export drops what is remembered of 3 profiles\n"
    run("export", "hot", source, "--from-start")
    assert json.loads(run("state", "show", "hot", "--json").out)["state"]["profiles"] == 0


def test_what_a_change_does_to_stale_updates_is_said_first(run: Run, source: Path) -> None:
    def said(*options: str) -> list[str]:
        ended = run("activation", "update", "hot", *options)
        assert ended.code == 0
        return [line.removeprefix("warning: ") for line in ended.err.splitlines()]

    assert said("--refuse-stale", "qualification") == []  # nothing is remembered yet
    run("export", "hot", source)
    assert said("--version-attribute", "rev", "--refuse-stale", "none") == [
        "no update of 3 profiles is stale from now on: an older state may follow a newer one"
    ]
    assert said("--refuse-stale", "version") == [
        "from now on updates of 3 profiles are stale where their version is older than what is remembered"
    ]
    assert said("--refuse-stale", "version", "--version-attribute", "rev") == []
    assert said("--version-attribute", "seq") == [
        "the versions of 3 profiles are forgotten: they are of another attribute",
        "no version of 3 profiles is known before their next update, so until then none is stale",
    ]
    assert said("--refuse-stale", "qualification") == [
        "from now on updates of 3 profiles are stale where they qualified longer ago than what is remembered"
    ]
    assert said("--version-attribute", "none") == [
        "the versions of 3 profiles are forgotten: they are of another attribute"
    ]


def test_of_a_change_that_is_refused_nothing_else_is_said(run: Run, source: Path) -> None:
    run("export", "hot", source)
    for options in (("--refuse-stale", "version"), ("--exits", "--every-update")):
        ended = run("activation", "update", "hot", *options)
        assert ended.code == 2
        assert "warning" not in ended.err


def test_how_many_profiles_is_not_known_while_one_exports(run: Run, source: Path) -> None:
    run("export", "hot", source)
    with tailrace.open() as t, closing(open_journal(t.home, t.activations.get("hot").id, "hot")):
        assert run("activation", "update", "hot", "--every-update").err == (
            "warning: the next export drops what is remembered of all known profiles "
            "(how many cannot be told while one exports)\n"
        )


def tailrace_attributes() -> list[str]:
    with tailrace.open() as t:
        return [*t.activations.get("hot").attributes]


def profiles(run: Run) -> int:
    count: int = run("state", "show", "hot", "--json").json["state"]["profiles"]
    return count


def test_a_profile_is_forgotten_and_sent_again(run: Run, source: Path) -> None:
    assert run("state", "forget", "hot", "--profile", "ecid:id-1").out.startswith("nothing was remembered")
    run("export", "hot", source)
    forgotten = run("state", "forget", "hot", "--profile", "ecid:id-1")
    assert (forgotten.code, forgotten.out) == (0, "what was remembered of that profile is forgotten\n")
    again = run("state", "forget", "hot", "--profile", "-", stdin="ecid:id-1\n")
    assert (again.code, again.out) == (0, "nothing was remembered of that profile\n")
    assert profiles(run) == 2
    other = source.with_name("other.jsonl")
    other.write_text(source.read_text())
    assert run("export", "hot", other, "--json", "--quiet").json["ledger"]["delivered"] == 1
    for expected in (True, False):
        ended = run("state", "forget", "hot", "--profile", "ecid:id-1", "--json")
        assert ended.json == {"forgotten": expected}


def test_a_profile_is_named_by_what_the_state_knows_it_by(run: Run, source: Path) -> None:
    """Which is the rule of the last export, whatever the activation says by now."""
    name = "attribute:person.name.firstName"
    run("activation", "update", "hot", "--profile-key", name)
    run("export", "hot", source)
    run("activation", "update", "hot", "--profile-key", "identity:ecid")
    assert run("state", "forget", "hot", "--profile", "canary-2", "--json").json == {"forgotten": True}
    assert profiles(run) == 2


@pytest.mark.parametrize("given", ["canary-9", "canary-9:", ":canary-9", ":", "", "ecid:canary-9\udc80"])
def test_a_profile_without_its_namespace_is_refused_and_not_repeated(
    run: Run, source: Path, given: str
) -> None:
    run("export", "hot", source)
    ended = run("state", "forget", "hot", "--profile", given, "-v")
    assert ended.code == 2
    assert "canary" not in ended.err + ended.out
    if "ecid" not in given:
        assert ended.first == "error: the profile is named without its namespace or without its id"
        hint = "tells profiles apart by identity: give one of its identities as NAMESPACE:ID\n"
        assert ended.err.endswith(hint)
    ended = run("state", "forget", "hot", "--profile", f"ecid:{given}" if given else "-", "-v")
    assert "canary" not in ended.err + ended.out
    assert profiles(run) == 3


def test_the_namespace_that_is_missing_is_named_where_it_is_known(run: Run, source: Path) -> None:
    run("activation", "update", "hot", "--profile-key", "identity:ecid,crm")
    run("export", "hot", source)
    assert run("state", "forget", "hot", "--profile", "id-1").err == (
        "error: the profile is named without its namespace or without its id\n"
        "hint: activation 'hot' tells profiles apart by identity:ecid,crm: give one of its identities as "
        "NAMESPACE:ID, such as ecid:ID\n"
    )
    run("activation", "update", "hot", "--profile-key", "attribute:person.name.firstName")
    run("export", "hot", source, "--from-start")
    assert run("state", "forget", "hot", "--profile", "").err == (
        "error: the profile is not named\n"
        "hint: activation 'hot' tells profiles apart by attribute:person.name.firstName: give the value of "
        "its attribute\n"
    )


def test_a_damaged_part_is_repaired_and_its_share_is_sent_again(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "many.jsonl"
    source.write_text("".join(map(update, range(100))))
    assert run("state", "repair", "hot").out == "the state of hot is whole: nothing was changed\n"
    run("export", "hot", source)
    path = store(tmp_path).with_name("journal-03.mdb")
    path.write_bytes(b"noise" * 3000)
    assert run("export", "hot", source).code == 3
    ended = run("state", "repair", "hot")
    kept = profiles(run)
    assert (ended.code, ended.out.splitlines()) == (
        0,
        [
            "journal-03.mdb begins anew: its checksums do not fit",
            f"15 of 16 parts are kept, with {kept} profiles",
        ],
    )
    assert "how many profiles that will be is not known" in ended.err
    again = run("export", "hot", source, "--json", "--quiet").json["ledger"]
    assert 0 < again["delivered"] == 100 - kept
    assert (profiles(run), again["unchanged"]) == (100, 0)
    parts = run("state", "repair", "hot", "--json").json["repaired"]["parts"]
    assert len(parts) == PARTS
    assert parts[3] == {
        "number": 3, "file": "journal-03.mdb", "damage": None, "profiles": 100 - kept,
    }  # fmt: skip


def test_a_repair_that_keeps_nothing_says_so(run: Run, source: Path, tmp_path: Path) -> None:
    run("export", "hot", source)
    with tailrace.open() as t:
        number = t.runs.start(t.activations.get("hot"))
    store(tmp_path).write_bytes(b"noise" * 3000)
    ended = run("state", "repair", "hot")
    assert ended.out.splitlines()[-1] == "nothing is kept"
    assert "sends all of it once more" in ended.err
    with tailrace.open() as t:
        assert "its state was repaired" in (t.runs.get(number).error or "")
    assert run("export", "hot", source, "--json", "--quiet").json["ledger"]["delivered"] == 3


def test_files_are_compacted(run: Run, source: Path) -> None:
    run("export", "hot", source)
    with tailrace.open() as t, closing(open_journal(t.home, t.activations.get("hot").id, "hot")) as journal:
        for value in (b"x" * 100_000, b"y"):
            journal.commit(9, [Share({}, {}, {bytes([n << 4] * 16): value}) for n in range(PARTS)])
    before = run("state", "show", "hot", "--json").json["state"]
    compacted = run("state", "compact", "hot", "--json").json["compacted"]
    assert compacted["activation"] == "hot"
    assert before["bytes"] == compacted["before"] > compacted["after"] + PARTS * 100_000
    after = run("state", "show", "hot", "--json").json["state"]
    assert after == before | {"bytes": compacted["after"]}
    size = f"{compacted['after']:,}"
    assert run("state", "compact", "hot").out == (f"the state of hot: {size} bytes before, {size} after\n")
