"""Accounts, connections, activations: every verb, as people read it and as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

import tailrace
from core.tests.cli.kit import SEGMENT, Ended, Run


def test_the_steps_one_after_the_other(run: Run) -> None:
    steps = (
        "account add prod --destination box --set region=here --set secret_key=env:BOX_SECRET",
        "connection add leads --account prod --set path=box --description Leads",
        f"activation add hot --connection leads --segment {SEGMENT}=High --profile-key identity:ecid",
    )
    for step in steps:
        noun, _, name, *_ = step.split()
        assert run(*step.split()) == Ended(0, f"{noun} {name} added\n", "")
        assert run(*step.split(), "--json").json["error"]["code"] == "name-taken"
        assert run(noun, "show", name, "--json").json[noun]["version"] == 1


def test_an_account_shows_references_only(run: Run, account: None) -> None:
    ended = run("account", "show", "prod")
    lines = dict(line.strip().split(maxsplit=1) for line in ended.out.splitlines() if " " in line.strip())
    assert lines["name"] == "prod"
    assert lines["destination"] == "box"
    assert lines["region"] == "here"
    assert lines["secret_key"] == "env:BOX_SECRET"


def test_account_as_json(run: Run, account: None) -> None:
    value = run("account", "show", "prod", "--json").json["account"]
    assert value["settings"] == {"region": "here", "secret_key": "env:BOX_SECRET"}
    assert (value["name"], value["destination"], value["version"]) == ("prod", "box", 1)
    assert value["created_at"].endswith("Z")


def test_a_literal_secret_is_warned_about_once_and_never_shown(run: Run) -> None:
    ended = run(
        "account", "add", "prod", "--destination", "box", "--set", "region=here",
        "--set", "secret_key=canary-secret", "--json",
    )  # fmt: skip
    assert ended.code == 0
    assert len(ended.err.splitlines()) == 1
    assert "history" in ended.first
    assert ended.json["account"]["settings"]["secret_key"] == "sealed:…"
    shown = run("account", "show", "prod")
    assert "sealed:…" in shown.out
    assert "canary-secret" not in ended.out + ended.err + shown.out


def test_a_reference_or_standard_input_is_not_warned_about(run: Run) -> None:
    ended = run(
        "account", "add", "prod", "--destination", "box", "--set", "region=-", "--set", "secret_key=-",
        stdin="there\ncanary-secret\nnot read\n",
    )  # fmt: skip
    assert ended == Ended(0, "account prod added\n", "")
    settings = run("account", "show", "prod", "--json").json["account"]["settings"]
    assert settings == {"region": "there", "secret_key": "sealed:…"}


def test_a_value_from_a_file_loses_one_line_end(run: Run, tmp_path: Path) -> None:
    (tmp_path / "region").write_text("far\n\n")
    run("account", "add", "a", "--destination", "box", "--set", "secret_key=env:X",
        "--set", f"region=@{tmp_path / 'region'}")  # fmt: skip
    assert run("account", "show", "a", "--json").json["account"]["settings"]["region"] == "far\n"


@pytest.mark.parametrize(
    ("assignments", "first"),
    [
        (["region"], "error: --set takes NAME=VALUE"),
        (["=x"], "error: --set takes NAME=VALUE"),
        (["region=a", "region=b"], "error: --set region is given twice"),
        (["region=@/nowhere"], "error: --set region: cannot read /nowhere: No such file or directory"),
        (["region=-"], "error: --set region=-: standard input has no line left"),
        (
            ["region=a", "secret_key=env:X", "size=x"],
            "error: account 'prod' is not valid: size: is not a whole number",
        ),
        (
            ["region=a", "secret_key=env:X", "size=1", "boxSize=2"],
            "error: account 'prod' is not valid: size: is given twice, as size and boxSize",
        ),
    ],
)  # fmt: skip
def test_an_assignment_that_cannot_be_read(run: Run, assignments: list[str], first: str) -> None:
    options = [part for each in assignments for part in ("--set", each)]
    ended = run("account", "add", "prod", "--destination", "box", *options)
    assert (ended.code, ended.first) == (2, first)


def test_a_connection_whose_test_cannot_be_run_is_said_to_be_added(
    run: Run, account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BOX_SECRET")
    ended = run("connection", "add", "leads", "--account", "prod", "--set", "path=box", "--test", "--json")
    assert (ended.code, ended.json["error"]["code"]) == (3, "secret-unavailable")
    assert ended.json["error"]["hint"].startswith("connection 'leads' was added all the same; ")
    assert ended.json["connection"] == run("connection", "show", "leads", "--json").json["connection"]
    again = run("connection", "test", "leads", "--json")
    assert (again.code, list(again.json)) == (3, ["error"])


def test_without_a_terminal_every_missing_field_is_named(run: Run) -> None:
    ended = run("account", "add", "prod", "--destination", "box")
    assert ended == Ended(
        2,
        "",
        "error: missing: region, secret_key\nhint: add --set region=VALUE --set secret_key=env:VARIABLE\n",
    )


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["account", "add", "x"], "--destination"),
        (["connection", "add", "x"], "--account"),
        (["activation", "add", "x"], "--connection"),
    ],
)
def test_a_missing_option_is_named(run: Run, arguments: list[str], option: str) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.first) == (2, f"error: missing: {option}")


def test_an_activation_needs_a_segment(run: Run, box: Path) -> None:
    ended = run("activation", "add", "hot", "--connection", "leads")
    assert (ended.code, ended.first) == (2, "error: missing: --segment")


def test_an_unknown_destination_is_a_usage_error(run: Run) -> None:
    ended = run("account", "add", "prod", "--destination", "boxx")
    assert ended.code == 2
    assert ended.first.startswith("error: ")
    assert "box" in ended.err


def test_a_field_that_does_not_validate(run: Run) -> None:
    ended = run("account", "add", "prod", "--destination", "box", "--set", "region=here",
                "--set", "secret_key=env:X", "--set", "boxSize=canary-size", "--json")  # fmt: skip
    assert ended.code == 2
    error = ended.json["error"]
    assert (error["code"], error["exit_code"], list(error["fields"])) == ("invalid-settings", 2, ["size"])
    assert "canary" not in ended.out + ended.err


def test_another_spelling_of_a_field_counts_as_given(run: Run) -> None:
    run("account", "add", "a", "--destination", "box", "--set", "region=x", "--set", "secret_key=env:X",
        "--set", "boxSize=3")  # fmt: skip
    assert run("account", "show", "a", "--json").json["account"]["settings"]["size"] == 3


def test_lists(run: Run, activation: None) -> None:
    for noun, name in (("account", "prod"), ("connection", "leads"), ("activation", "hot")):
        text = run(noun, "list")
        assert text.code == 0
        assert [line.split()[0] for line in text.out.splitlines()] == ["NAME", name]
        found = run(noun, "list", "--json").json[f"{noun}s"]
        assert [each["name"] for each in found] == [name]


@pytest.mark.parametrize("noun", ["account", "connection", "activation"])
def test_an_empty_list_says_how_to_add(run: Run, noun: str) -> None:
    ended = run(noun, "list")
    assert (ended.code, ended.out) == (0, "")
    assert f"tailrace {noun} add" in ended.err
    assert run(noun, "list", "--json").json == {f"{noun}s": []}


@pytest.mark.parametrize("noun", ["account", "connection", "activation"])
def test_a_name_that_is_not_there(run: Run, noun: str) -> None:
    for verb in ("show", "remove", "update"):
        ended = run(noun, verb, "nobody", "--json")
        assert ended.code == 3
        assert ended.json["error"]["code"] == "not-found"


def test_update_changes_what_is_given(run: Run, account: None) -> None:
    ended = run("account", "update", "prod", "--set", "region=there", "--set", "colour=blue",
                "--description", "Ours", "--name", "main", "--if-version", "1")  # fmt: skip
    assert ended == Ended(0, "account main is at version 2\n", "")
    value = run("account", "update", "main", "--unset", "colour", "--json").json["account"]
    assert value["settings"] == {"region": "there", "secret_key": "env:BOX_SECRET"}
    assert (value["name"], value["description"], value["version"]) == ("main", "Ours", 3)


@pytest.mark.parametrize("noun", ["account", "connection", "activation"])
def test_a_stale_version_is_refused(run: Run, activation: None, noun: str) -> None:
    name = {"account": "prod", "connection": "leads", "activation": "hot"}[noun]
    assert run(noun, "update", name, "--description", "x").code == 0
    for verb in (("update", name, "--description", "y"), ("remove", name)):
        ended = run(noun, *verb, "--if-version", "1", "--json")
        assert (ended.code, ended.json["error"]["code"]) == (3, "stale-version")


def test_what_is_in_use_names_its_users(run: Run, activation: None) -> None:
    ended = run("account", "remove", "prod")
    assert ended.code == 3
    assert "leads" in ended.err
    assert "hot" in run("connection", "remove", "leads").err
    for noun, name in (("activation", "hot"), ("connection", "leads"), ("account", "prod")):
        assert run(noun, "remove", name) == Ended(0, f"{noun} {name} removed\n", "")
    assert run("account", "list", "--json").json == {"accounts": []}


def test_several_users_are_each_named_with_how_to_remove_them(run: Run, activation: None) -> None:
    assert run("connection", "add", "more", "--account", "prod", "--set", "path=more").code == 0
    added = run("activation", "add", "cold", "--connection", "leads", "--segment", "a", "--every-update")
    assert added.code == 0
    activations = "tailrace activation remove cold; tailrace activation remove hot"
    connections = "tailrace connection remove leads; tailrace connection remove more"
    assert run("connection", "remove", "leads") == Ended(
        3,
        "",
        "error: connection 'leads' is in use by activations cold, hot\n"
        f"hint: remove them first: {activations}\n",
    )
    assert run("account", "remove", "prod") == Ended(
        3,
        "",
        "error: account 'prod' is in use by connections leads, more\n"
        f"hint: remove them first, in this order: {activations}; {connections}\n",
    )


def test_what_is_in_use_is_removed_by_the_steps_of_the_hint(run: Run, activation: None) -> None:
    hint = run("account", "remove", "prod").err.splitlines()[1]
    assert hint == (
        "hint: remove them first, in this order: tailrace activation remove hot; "
        "tailrace connection remove leads"
    )
    for step in hint.partition("order: ")[2].split("; "):
        assert run(*step.split()[1:]).code == 0
    assert run("account", "remove", "prod").code == 0


def test_connection_test_says_what_was_and_was_not_proved(run: Run, box: Path) -> None:
    ended = run("connection", "test", "leads")
    assert ended == Ended(
        0,
        "identity  me\n"
        "ok          open   tried the key\n"
        "not proved  write  not without sending\n"
        "limits\n"
        "  records a write  2\n",
        "",
    )
    report = run("connection", "test", "leads", "--json").json["report"]
    assert (report["ok"], report["identity"], report["checks"][1]["status"]) == (True, "me", "unproven")
    assert [each["exit_code"] for each in report["checks"]] == [None, None]


def test_a_connection_test_that_fails_ends_with_4(run: Run, account: None, tmp_path: Path) -> None:
    ended = run("connection", "add", "c", "--account", "prod", "--set", f"path={tmp_path}",
                "--set", "mode=denied", "--test")  # fmt: skip
    assert ended.code == 4
    assert ended.out.startswith("connection c added\n")
    assert "failed" in ended.out
    assert ended.first.startswith("error: ")
    assert "hint: make a new key" in ended.err
    both = run("connection", "test", "c", "--json")
    assert (both.code, both.json["report"]["ok"], both.json["error"]["exit_code"]) == (4, False, 4)
    assert [each["exit_code"] for each in both.json["report"]["checks"]] == [4, None]


def test_a_secret_that_leads_nowhere_ends_with_3(
    run: Run, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BOX_SECRET")
    ended = run("connection", "test", "leads")
    assert ended.code == 3
    assert "BOX_SECRET" in ended.err


def test_policy_of_a_destination_that_has_none(run: Run, box: Path) -> None:
    assert run("connection", "policy", "leads").code == 3


def test_disable_and_enable(run: Run, activation: None) -> None:
    assert run("activation", "disable", "hot") == Ended(0, "activation hot disabled\n", "")
    assert run("activation", "show", "hot", "--json").json["activation"]["enabled"] is False
    assert run("activation", "enable", "hot", "--json").json["activation"]["enabled"] is True


def test_rekey_without_a_secret_says_so(run: Run, account: None) -> None:
    assert (
        run("account", "rekey").out
        == "no secret is stored encrypted; there is nothing to encrypt with a new key\n"
    )
    assert run("account", "rekey", "--json").json == {"rekeyed": 0}


def test_rekey_counts_the_secrets(run: Run) -> None:
    run("account", "add", "a", "--destination", "box", "--set", "region=x", "--set", "secret_key=canary")
    assert run("account", "rekey") == Ended(0, "1 secret encrypted with a new key\n", "")
    assert run("account", "rekey", "--json").json == {"rekeyed": 1}


def test_destinations(run: Run) -> None:
    text = run("destinations").out
    head, row = text.splitlines()[:2]
    assert row.split() == ["box", "tailrace-box", "1.0", "available"]
    assert head.split()[0] == "NAME"
    assert run("destinations", "list").out == text
    found = run("destinations", "--json").json["destinations"]
    assert (found[0]["name"], found[0]["distribution"], found[0]["state"]) == (
        "box",
        "tailrace-box",
        "available",
    )


def test_a_destination_shows_its_steps_and_fields(run: Run) -> None:
    text = run("destinations", "show", "box").out
    assert "Where the box stands. [required]" in text
    assert "What opens it. [required; secret]" in text
    assert "[one of red, blue; default red]" in text
    assert "[also boxSize]" in text
    assert "records a write  2" in text
    value = run("destinations", "show", "box", "--json").json["destination"]
    region, secret, colour, size = value["account"]["fields"]
    assert (region["required"], region["secret"], secret["secret"]) == (True, False, True)
    assert (colour["choices"], colour["default"], size["also"]) == (["red", "blue"], "red", ["boxSize"])
    assert value["formats"] == ["xdm-json"]


def test_formats(run: Run) -> None:
    assert run("formats").out.splitlines()[1].split()[0] == "xdm-json"
    schema = run("formats", "show", "xdm-json", "--schema")
    assert schema.json == tailrace.open().formats.get("xdm-json").schema
    shown = run("formats", "show", "xdm-json")
    assert "application/json" in shown.out
    for _, record in tailrace.open().formats.get("xdm-json").examples:
        assert record in shown.out
    assert run("formats", "show", "xdm_json").code == 3


def test_common_options_are_accepted_before_the_command_too(run: Run, account: None) -> None:
    after = run("account", "list", "--json").json
    assert run("--json", "account", "list").json == after
    assert run("account", "--json", "list").json == after
    assert run("destinations", "--json", "show", "box").json["destination"]["name"] == "box"
    assert run("account", "list", "--json", "--no-input", "-v").json == after


def test_completion_offers_names_and_swallows_errors(
    run: Run, activation: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tailrace.cli import complete

    assert complete.accounts("") == ["prod"]
    assert complete.connections("le") == ["leads"]
    assert complete.connections("x") == []
    assert complete.activations("h") == ["hot"]
    assert complete.destinations("") == ["box"]
    assert complete.formats("xdm") == ["xdm-json"]
    monkeypatch.setenv("TAILRACE_DATABASE_URL", "nonsense://")
    assert complete.accounts("") == []


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        (["--limit", "a"], "invalid value for '--limit': it is not a whole number"),
        (["--limit", "-1"], "invalid value for '--limit': it must be greater than or equal to 0"),
    ],
)
def test_an_option_of_another_kind_is_refused_in_plain_words(
    run: Run, arguments: list[str], first: str
) -> None:
    assert run("preview", "hot", "in.jsonl", *arguments).first == f"error: {first}"


def test_an_option_of_other_words_is_refused_in_plain_words(run: Run) -> None:
    ended = run("activation", "add", "hot", "--memberships", "some")
    assert ended.first == "error: invalid value for '--memberships': 'some' is not one of 'mapped', 'all'"
