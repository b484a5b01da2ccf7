"""Activations: every option of `add` and `update`, and what is shown and warned of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.tests.cli.kit import SEGMENT, Run


def test_activation_takes_every_option(run: Run, box: Path) -> None:
    ended = run(
        "activation", "add", "hot", "--connection", "leads", "--segment", "crm/a=Some name",
        "--segment", "b", "--attribute", "person.name", "--attribute", "x", "--memberships", "all",
        "--identities", "ecid,CRM", "--include-segment-names", "--include-segment-timestamps",
        "--keep-extra-fields", "--format", "xdm-json", "--description", "Hot ones", "--json",
        "--ordering", "none", "--every-update", "--trigger", "attributes", "--trigger", "segments",
        "--requalification", "--profile-key", "attribute:person.id",
    )  # fmt: skip
    assert ended.err == ""
    value = ended.json["activation"]
    assert [(s["namespace"], s["id"], s["name"]) for s in value["segments"]] == [
        ("crm", "a", "Some name"),
        ("ups", "b", None),
    ]
    assert value["attributes"] == ["person.name", "x"]
    assert value["identities"] == ["ecid", "CRM"]
    assert value["memberships"] == "all"
    assert value["include_segment_names"] is value["include_segment_timestamps"] is True
    assert value["keep_extra_fields"] is value["enabled"] is True
    assert (value["format"], value["description"]) == ("xdm-json", "Hot ones")
    assert (value["ordering"], value["every_update"], value["requalification"]) == ("none", True, True)
    assert (value["triggers"], value["profile_key"]) == (["segments", "attributes"], "attribute:person.id")


@pytest.mark.parametrize(
    ("options", "first"),
    [
        (["--segment", "a="], "error: 'a=' is not a segment"),
        (["--segment", "a", "--identities", "a,,b"], "error: --identities holds an empty namespace"),
        (["--segment", "a", "--identities", ""], "error: --identities holds an empty namespace"),
        (["--segment", ""], "error: '' is not a segment"),
        (["--segment", "ups/"], "error: 'ups/' is not a segment"),
        (["--segment", "/a"], "error: '/a' is not a segment"),
        (["--segment", " "], "error: the id of segment 'ups/ ' begins or ends with a blank"),
        (["--segment", " a"], "error: the id of segment 'ups/ a' begins or ends with a blank"),
        (["--segment", "a\n"], "error: the id of segment 'ups/a\\n' begins or ends with a blank"),
        (["--segment", "\ufeffa"], "error: the id of segment 'ups/\\ufeffa' begins or ends with a blank"),
        (["--segment", "a\u200b=A"], "error: the id of segment 'ups/a\\u200b=A' begins or ends with"),
        (["--segment", "crm /a"], "error: the namespace of segment 'crm /a' begins or ends with a blank"),
        (["--segment", "a\tb"], "error: the id of segment 'ups/a\\tb' holds a control character"),
        (["--segment", "a\x7fb"], "error: the id of segment 'ups/a\\x7fb' holds a control character"),
        (["--segment", 'a"b'], "error: the id of segment 'a\"b' holds a quote, a backslash or"),
        (["--segment", "a\\b"], "error: the id of segment 'a\\\\b' holds a quote, a backslash or"),
        (["--segment", "a= "], "error: the name of segment 'ups/a= ' is blank"),
        (["--segment", "YWJj=="], "error: 'YWJj==' is not a segment: what is the id's and what the name's"),
        (["--segment", "a", "--segment", "ups/a=A"], "error: segment ups/a is given twice"),
        (["--segment", "a", "--attribute", ""], "error: a segment of path '' is empty"),
        (["--segment", "a", "--trigger", ""], "error: '' is no trigger: name at least one of segments, "),
        (["--segment", "a", "--profile-key", ""], "error: '' is not a key rule: use identity, "),
        (["--segment", "a", "--format", ""], "error: destination 'box' does not take format ''"),
        (
            ["--segment", "a", "--trigger", "names"],
            "error: 'names' is no trigger: name at least one of segments, identities, attributes",
        ),
        (
            ["--segment", "a", "--ordering", "none"],
            "error: ordering 'none' takes effect only where every update is exported",
        ),
        (
            ["--segment", "a", "--profile-key", "random"],
            "error: a random key is no profile's: what was delivered, and its order, need a key that stays",
        ),
    ],
)
def test_an_activation_that_is_not_valid(run: Run, box: Path, options: list[str], first: str) -> None:
    ended = run("activation", "add", "hot", "--connection", "leads", *options)
    assert ended.code == 2
    assert ended.first.startswith(first)
    if options[0] == "--segment" and len(options) == 2:
        assert "--segment [NAMESPACE/]ID[=NAME]" in ended.err
    assert run("activation", "list").out == ""


@pytest.mark.parametrize(
    ("text", "segment"),
    [
        ("7841ba61-23c1-4bb3-a495-00d695fe1e93", ("ups", "7841ba61-23c1-4bb3-a495-00d695fe1e93", None)),
        ("AAM/42", ("AAM", "42", None)),
        ("urn:x.y:z_1-2+3~%40@!", ("ups", "urn:x.y:z_1-2+3~%40@!", None)),
        ("High propensity", ("ups", "High propensity", None)),
        ("crm/a/b//c/", ("crm", "a/b//c/", None)),
        ("a=LTV >= 100 = high", ("ups", "a", "LTV >= 100 = high")),
        ("a= padded ", ("ups", "a", " padded ")),
        ("a=http://host/x", ("ups", "a", "http://host/x")),
        ("çà 顧客\u200d😀=名", ("ups", "çà 顧客\u200d😀", "名")),
    ],
)
def test_a_segment_that_may_be_meant(
    run: Run, box: Path, text: str, segment: tuple[str, str, str | None]
) -> None:
    """It is taken, and found in an update."""
    ended = run("activation", "add", "hot", "--connection", "leads", "--segment", text, "--json")
    [value] = ended.json["activation"]["segments"]
    assert (value["namespace"], value["id"], value["name"]) == segment
    memberships = {segment[0]: {segment[1]: {"status": "realized"}}}
    line = {"segmentMembership": memberships, "identityMap": {"ecid": [{"id": "1"}]}}
    Path("in.jsonl").write_text(json.dumps(line))
    record = json.loads(run("preview", "hot", "in.jsonl").out.splitlines()[1])
    assert record["segmentMembership"] == memberships


def test_a_segment_is_added_once_and_checked(run: Run, activation: None) -> None:
    for options, first in (
        (("--add-segment", "b", "--add-segment", "b=B"), "error: --add-segment ups/b is given twice"),
        (("--segment", "a", "--segment", "a", "--add-segment", "c"), "error: --segment ups/a is given twice"),
        (("--add-segment", "b "), "error: the id of segment 'ups/b ' begins or ends with a blank"),
    ):
        ended = run("activation", "update", "hot", *options)
        assert (ended.code, ended.first) == (2, first)
    assert run("activation", "show", "hot", "--json").json["activation"]["version"] == 1


def test_update_replaces_adds_and_drops_segments(run: Run, activation: None) -> None:
    def segments(*options: str) -> list[str]:
        value = run("activation", "update", "hot", *options, "--json").json["activation"]
        return [f"{s['namespace']}/{s['id']}={s['name']}" for s in value["segments"]]

    first = f"ups/{SEGMENT}=High propensity"
    assert segments("--add-segment", "crm/b") == [first, "crm/b=None"]
    assert segments("--add-segment", "crm/b=B") == [first, "crm/b=B"]
    assert segments("--remove-segment", SEGMENT, "--add-segment", "c") == ["crm/b=B", "ups/c=None"]
    assert segments("--segment", "d") == ["ups/d=None"]
    ended = run("activation", "update", "hot", "--remove-segment", "e")
    assert (ended.code, ended.first) == (2, "error: --remove-segment e: the activation does not have it")


def test_update_replaces_adds_and_drops_attributes(run: Run, activation: None) -> None:
    def attributes(*options: str) -> list[str]:
        found: list[str] = run("activation", "update", "hot", *options, "--json").json["activation"][
            "attributes"
        ]
        return found

    assert attributes("--add-attribute", "x") == ["person.name.firstName", "x"]
    assert attributes("--remove-attribute", "person.name.firstName") == ["x"]
    assert attributes("--attribute", "y", "--attribute", "z") == ["y", "z"]
    assert attributes("--remove-attribute", "y", "--remove-attribute", "z") == []


def test_update_turns_options_on_and_off(run: Run, activation: None) -> None:
    on = run("activation", "update", "hot", "--include-segment-names", "--identities", "ecid", "--json")
    assert on.json["activation"]["include_segment_names"] is True
    assert on.json["activation"]["identities"] == ["ecid"]
    off = run("activation", "update", "hot", "--no-include-segment-names", "--identities", "all", "--json")
    assert off.json["activation"]["include_segment_names"] is False
    assert off.json["activation"]["identities"] is None


def test_update_changes_what_is_exported(run: Run, activation: None) -> None:
    def changed(*options: str) -> list[object]:
        value = run("activation", "update", "hot", *options, "--json").json["activation"]
        return [value[each] for each in ("every_update", "triggers", "requalification", "profile_key")]

    every = ["segments", "identities", "attributes"]
    assert changed("--trigger", "segments") == [False, ["segments"], False, None]
    assert changed("--every-update", "--ordering", "none") == [True, ["segments"], False, None]
    assert changed("--requalification", "--profile-key", "identity") == [True, ["segments"], True, "identity"]
    ended = run("activation", "update", "hot", "--only-changes")
    assert (ended.code, "--every-update, or take --ordering key" in ended.err) == (2, True)
    again = [option for each in every for option in ("--trigger", each)]
    assert changed("--only-changes", "--ordering", "key", *again) == [False, every, True, "identity"]
    assert changed("--no-requalification", "--profile-key", "default") == [False, every, False, None]


def test_update_changes_what_is_refused_as_stale(run: Run, activation: None) -> None:
    def changed(*options: str) -> list[object]:
        value = run("activation", "update", "hot", *options, "--json").json["activation"]
        return [value[each] for each in ("version_attribute", "refuse_stale", "subject")]

    assert changed("--version-attribute", "rev", "--subject", "plain") == ["rev", "none", "plain"]
    assert changed("--refuse-stale", "version", "--subject", "hashed") == ["rev", "version", "hashed"]
    ended = run("activation", "update", "hot", "--version-attribute", "none")
    assert (ended.code, "--version-attribute PATH" in ended.err) == (2, True)
    assert changed("--version-attribute", "none", "--refuse-stale", "qualification") == [
        None,
        "qualification",
        "hashed",
    ]


def test_show_says_what_is_exported(run: Run, activation: None) -> None:
    lines = run("activation", "show", "hot").out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("every update"))
    assert [line.split() for line in lines[start : start + 10]] == [
        ["every", "update", "no"],
        ["triggers", "segments"],
        ["identities"],
        ["attributes"],
        ["requalification", "no"],
        ["profile", "key", "default"],
        ["version", "attribute", "none"],
        ["refuse", "stale", "none"],
        ["subject", "hashed"],
        ["exits", "no"],
    ]


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ([], True),
        (["--profile-key", "identity"], True),
        (["--profile-key", "identity:ecid"], False),
        (["--profile-key", "attribute:person.id"], False),
        (["--every-update"], False),
    ],
)
def test_a_profile_key_that_can_move_is_warned_about_in_one_line(
    run: Run, box: Path, options: list[str], warned: bool
) -> None:
    ended = run("activation", "add", "hot", "--connection", "leads", "--segment", "a", "--json", *options)
    assert ended.json["activation"]["name"] == "hot"
    assert len(ended.err.splitlines()) == warned
    assert ("--profile-key identity:NAMESPACE" in ended.first) == warned
    for verb in ("show", "update", "disable"):
        assert run("activation", verb, "hot").err == ""
