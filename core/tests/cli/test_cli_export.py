"""`export`, `preview`, `runs`, `dead-letters`: the main job, every ending of it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import tailrace
from core.tests.cli.kit import SEGMENT, Ended, Run, update

SCRIPT = """
import json, sys
from tailrace.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def mode(run: Run, value: str) -> None:
    assert run("connection", "update", "leads", "--set", f"mode={value}").code == 0


def test_export_delivers_and_shows_a_ledger_that_adds_up(
    run: Run, activation: None, profiles: Path, box: Path
) -> None:
    ended = run("export", "hot", profiles)
    assert ended.code == 5
    lines = ended.out.splitlines()
    assert lines[:6] == [
        "run 1",
        "  11 received",
        "=  4 delivered",
        "+  6 filtered",
        "+  1 dead-lettered",
        "+  0 pending",
    ]
    assert f"{profiles}: settled before line 12, byte {profiles.stat().st_size:,}" in lines
    assert ended.first == "warning: 1 dead letter; see: tailrace dead-letters list --run 1"
    records = sorted(line.split(b"\t") for line in box.read_bytes().splitlines())
    assert [key for key, _ in records] == [b"id-0", b"id-1", b"id-2", b"id-3"]
    assert records[0][1].startswith(b'{"person":{"name":{"firstName":"canary-0"}},"segmentMembership":')


def test_export_as_json(run: Run, activation: None, profiles: Path) -> None:
    ended = run("export", "hot", profiles, "--json")
    ledger = ended.json["ledger"]
    assert (ended.code, set(ended.json)) == (5, {"ledger"})
    assert (ledger["run"], ledger["received"], ledger["delivered"]) == (1, 11, 4)
    assert ledger["sources"][0]["line"] == 12
    assert "canary" not in ended.out + ended.err


def test_standard_input_and_several_files(run: Run, activation: None, profiles: Path, box: Path) -> None:
    ended = run("export", "hot", "-", profiles, "--json", stdin=update(100))
    assert ended.json["ledger"]["delivered"] == 5
    assert b"id-100\t" in box.read_bytes()


def test_the_options_reach_the_engine(run: Run, activation: None, profiles: Path) -> None:
    ended = run("export", "hot", profiles, "--json", "--max-line-bytes", "10", "--in-flight", "1",
                "--give-up-after", "1.5", "--quiet")  # fmt: skip
    assert ended.json["ledger"]["reasons"] == {"line-too-long": 10, "not-an-object": 1}
    for option in ("--in-flight", "--max-line-bytes"):
        assert run("export", "hot", profiles, option, "0").code == 2
    assert run("export", "hot", profiles, "--in-flight", "257").code == 2
    with tailrace.open() as t, pytest.raises(tailrace.UsageError, match="from 1 to 256"):
        t.export("hot", [profiles], in_flight=257)


@pytest.mark.parametrize(
    ("value", "code", "first"),
    [
        ("denied", 4, "error: the key does not open the box"),
        ("gone", 3, "error: there is no box"),
        ("down", 6, "error: "),
        ("defect", 7, "error: "),
    ],
)
def test_a_run_that_fails_shows_its_error_and_its_ledger(
    run: Run, activation: None, profiles: Path, value: str, code: int, first: str
) -> None:
    mode(run, value)
    ended = run("export", "hot", profiles, "--give-up-after", "0")
    assert ended.code == code
    assert ended.first.startswith(first)
    assert ended.err.count(ended.first) == ended.err.count(ended.first.removeprefix("error: ")) == 1
    assert "=  0 delivered" in ended.out
    assert "canary" not in ended.out + ended.err
    both = run("export", "hot", profiles, "--give-up-after", "0", "--json")
    assert both.json["error"]["exit_code"] == code
    assert both.json["ledger"]["pending"] == 4
    assert run("runs", "list", "--json").json["runs"][0]["exit_code"] == code


def test_before_anything_is_sent(
    run: Run, activation: None, profiles: Path, tmp_path: Path, box: Path
) -> None:
    missing = run("export", "hot", profiles, tmp_path / "missing.jsonl")
    assert missing.code == 2
    assert "missing.jsonl" in missing.first
    assert run("export", "hot", tmp_path).code == 2
    assert run("export", "cold", profiles, "--json").json["error"]["code"] == "not-found"
    assert run("activation", "disable", "hot").code == 0
    assert run("export", "hot", profiles).code == 3
    assert not box.exists()


def test_an_empty_file_and_a_segment_never_seen(run: Run, activation: None, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    ended = run("export", "hot", empty)
    assert ended.code == 0
    assert "  0 received\n" in ended.out
    empty.write_text(update(1, segment="other"))
    ended = run("export", "hot", empty)
    assert ended.code == 0
    assert ended.first.startswith("warning: ")
    assert SEGMENT in ended.first


def test_preview_shows_keys_and_exact_bytes(run: Run, activation: None, profiles: Path, box: Path) -> None:
    ended = run("preview", "hot", profiles, "--limit", "2")
    assert (ended.code, ended.err) == (0, "")
    whole = run("preview", "hot", profiles)
    assert whole.err == "note: 6 updates filtered; 1 would be a dead letter (not-an-object)\n"
    lines = ended.out.splitlines()
    assert [lines[0], lines[2]] == [f'# {profiles}:1 key="id-0"', f'# {profiles}:2 key="id-1"']
    assert len(lines) == 4
    assert not box.exists()
    run("export", "hot", profiles)
    assert set(lines[1::2]) <= {line.partition("\t")[2] for line in box.read_text().splitlines()}


def test_preview_as_json(run: Run, activation: None, profiles: Path) -> None:
    shown = run("preview", "hot", profiles, "--json").json
    assert (shown["filtered"], shown["invalid"]) == (6, {"not-an-object": 1})
    records = shown["records"]
    assert [(each["line"], each["key"]) for each in records] == [(n + 1, f"id-{n}") for n in range(4)]
    assert json.loads(records[0]["data"]["text"])["person"] == {"name": {"firstName": "canary-0"}}
    failed = run("preview", "cold", profiles, "--json")
    assert failed.code == 3
    assert failed.json["error"]["code"] == "not-found"


def test_preview_of_more_than_the_pipe_takes_ends_quietly(activation: None, tmp_path: Path) -> None:
    source = tmp_path / "many.jsonl"
    source.write_text("".join(update(n) for n in range(20_000)))
    command = Path(sys.executable).with_name("tailrace")
    for form in ([], ["--json"]):
        process = subprocess.Popen(
            [command, "preview", "hot", source, "--limit", "0", *form],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(60) == 0


def test_runs(run: Run, activation: None, profiles: Path) -> None:
    assert run("runs", "list").out == ""
    run("export", "hot", profiles)
    run("export", "hot", profiles, "--max-line-bytes", "10", "--from-start")
    head, second, first = run("runs", "list").out.splitlines()
    assert head == "RUN  STARTED (UTC)     STATUS    RECEIVED  DELIVERED  FILTERED  DEAD  PENDING  ACTIVATION"
    assert (first.split()[0], *first.split()[3:]) == ("1", "finished", "11", "4", "6", "1", "0", "hot")
    assert (second.split()[0], *second.split()[3:]) == ("2", "finished", "11", "0", "0", "11", "0", "hot")
    shown = run("runs", "show", "1").out
    assert "activation  hot (version 1)" in shown
    assert "=  4 delivered" in shown
    value = run("runs", "show", "1", "--json").json["run"]
    assert (value["id"], value["status"], value["ledger"]["delivered"]) == (1, "finished", 4)
    assert [each["id"] for each in run("runs", "list", "--json").json["runs"]] == [2, 1]
    assert run("runs", "show", "9").code == 3
    assert run("runs", "show", "x").code == 2
    for number in ("0", "99999999999999999999"):
        ended = run("runs", "show", number)
        assert (ended.code, ended.first) == (3, f"error: there is no run {number}")


def test_a_run_is_shown_with_each_fate_that_some_run_had(
    run: Run, activation: None, profiles: Path, tmp_path: Path
) -> None:
    run("export", "hot", profiles)
    run("export", "hot", profiles, "--from-start")
    same = tmp_path / "same.jsonl"
    same.write_text(update(1))
    run("export", "hot", same)
    head, *rows = (line.split() for line in run("runs", "list").out.splitlines())
    counts = ["RECEIVED", "DELIVERED", "FILTERED", "UNCHANGED", "STALE", "DEAD", "PENDING"]
    assert head[3:] == ["STATUS", *counts, "ACTIVATION"]
    assert [row[4:-1] for row in rows] == [
        ["1", "0", "0", "1", "0", "0", "0"],
        ["11", "0", "6", "0", "4", "1", "0"],
        ["11", "4", "6", "0", "0", "1", "0"],
    ]
    for value in run("runs", "list", "--json").json["runs"]:
        assert {"filtered", "unchanged", "stale", "superseded", "generated"} <= set(value["ledger"])


def test_dead_letters_hide_the_original_unless_it_is_asked_for(
    run: Run, activation: None, profiles: Path
) -> None:
    mode(run, "rejects")
    run("export", "hot", profiles)
    letters = run("dead-letters", "list", "--json").json["dead_letters"]
    reasons = {each["reason"]: each for each in letters}
    assert set(reasons) == {"rejected", "not-an-object"}
    rejected = reasons["rejected"]
    assert (rejected["message"], rejected["code"]) == ("it is odd", "TooOdd")
    text = run("dead-letters", "list", "--run", "1", "--activation", "hot")
    assert len(text.out.splitlines()) == len(letters) + 1
    hidden = run("dead-letters", "show", rejected["id"])
    hidden_json = run("dead-letters", "show", rejected["id"], "--json")
    for ended in (text, hidden, hidden_json):
        assert "canary" not in ended.out
    revealed = run("dead-letters", "show", rejected["id"], "--reveal")
    assert revealed.out.endswith(update(rejected["line"] - 1))
    value = run("dead-letters", "show", rejected["id"], "--reveal", "--json").json["dead_letter"]
    assert value["original"] == {"encoding": "utf-8", "text": update(rejected["line"] - 1).rstrip("\n")}
    assert run("dead-letters", "show", "1-99").code == 3


def test_a_line_has_a_dead_letter_for_each_reading(run: Run, activation: None, profiles: Path) -> None:
    for again in ((), (), ("--from-start",)):
        run("export", "hot", profiles, *again)
    letters = run("dead-letters", "list", "--json").json["dead_letters"]
    assert [each["id"] for each in letters] == ["1-1", "3-1"]  # run 2 had nothing to read
    assert len({(each["line"], each["event_id"]) for each in letters}) == 1


def test_no_dead_letters_is_said_only_of_what_exists(run: Run, activation: None, tmp_path: Path) -> None:
    source = tmp_path / "good.jsonl"
    source.write_text(update(1))
    assert run("export", "hot", source).code == 0
    for options in ((), ("--run", "1"), ("--activation", "hot"), ("--run", "1", "--activation", "hot")):
        assert run("dead-letters", "list", *options) == Ended(0, "", "no dead letters\n")
        assert run("dead-letters", "list", *options, "--json").json == {"dead_letters": []}
    unknown = run("dead-letters", "list", "--run", "9999")
    assert (unknown.code, unknown.first) == (3, "error: there is no run 9999")
    unknown = run("dead-letters", "list", "--activation", "hott")
    assert unknown.code == 3
    assert unknown.first == "error: there is no activation 'hott'; did you mean 'hot'?"
    assert run("activation", "remove", "hot").code == 0
    assert run("dead-letters", "list", "--activation", "hot").code == 0


@pytest.mark.parametrize("verb", ["export", "preview"])
def test_standard_input_that_is_closed_is_a_wrong_call(activation: None, run: Run, verb: str) -> None:
    command = shlex.join([str(Path(sys.executable).with_name("tailrace")), verb, "hot", "-"])
    ended = subprocess.run(["sh", "-c", f"{command} <&-"], capture_output=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"error: standard input is closed\nhint: ")
    assert run("runs", "list", "--json").json == {"runs": []}


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (("export", "hot"), "name the files in it, or follow it: --follow"),
        (("preview", "hot"), "name the files in it"),
        (("backfill", "hot", "--segment", SEGMENT), "name the files in it"),
    ],
)
def test_a_directory_is_refused_with_what_the_command_can_do(
    run: Run, activation: None, tmp_path: Path, command: tuple[str, ...], hint: str
) -> None:
    ended = run(*command, tmp_path)
    assert ended == Ended(2, "", f"error: source {tmp_path} is a directory\nhint: {hint}\n")


def test_bytes_that_are_no_text_are_revealed_as_they_are(run: Run, activation: None, tmp_path: Path) -> None:
    source = tmp_path / "bad.jsonl"
    source.write_bytes(b'{"a":"\xff"}\n')
    run("export", "hot", source)
    [letter] = run("dead-letters", "list", "--json").json["dead_letters"]
    value = run("dead-letters", "show", letter["id"], "--reveal", "--json").json["dead_letter"]
    assert value["original"] == {"encoding": "base64", "text": "eyJhIjoi/yJ9"}


def test_export_imports_no_sqlalchemy_and_no_second_sdk(activation: None, profiles: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, "export", "hot", profiles],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    code, modules = json.loads(ended.stderr.splitlines()[-1])
    assert code == 5
    assert {"alembic", "sqlalchemy", "boto3", "rich", "http.server"} & set(modules) == set()


def test_nothing_new_for_an_activation_that_changed_says_how_to_read_again(
    run: Run, activation: None, profiles: Path
) -> None:
    assert run("export", "hot", profiles, "--quiet").code == 5
    nothing = "warning: nothing is new since an earlier run; --from-start reads all of it again\n"
    assert run("export", "hot", profiles, "--quiet").err == nothing
    run("activation", "update", "hot", "--add-segment", "other")
    assert run("export", "hot", profiles, "--quiet").err == (
        f"{nothing}warning: run 1 read them for version 1 of the activation, which is at 2 now: "
        "--from-start exports them anew as it is\n"
    )
    assert run("export", "hot", profiles, "--quiet", "--from-start").err.startswith("warning: 1 dead letter;")
    assert run("export", "hot", profiles, "--quiet").err == nothing


def test_an_original_that_was_too_long_is_said_to_be_gone(run: Run, activation: None, profiles: Path) -> None:
    run("export", "hot", profiles, "--max-line-bytes", "10", "--quiet")
    shown = run("dead-letters", "show", "1-1")
    revealed = run("dead-letters", "show", "1-1", "--reveal")
    assert (revealed.code, revealed.out) == (0, shown.out)
    assert revealed.err == "the original was not kept: it was too long\n"


def test_a_source_without_a_name(run: Run, activation: None) -> None:
    ended = run("export", "hot", "")
    assert (ended.code, ended.first) == (2, "error: the path of a source is empty")
