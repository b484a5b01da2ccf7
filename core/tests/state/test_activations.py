"""Activations, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from core.tests.state.conftest import Open
from core.tests.state.depot import SEGMENT, Depot, DepotAccount, Hands
from core.tests.state.test_stored import put
from tailrace import (
    ActivationDisabled,
    InvalidSettings,
    Misconfigured,
    NameTaken,
    NotFound,
    Secret,
    Segment,
    StaleVersion,
    Tailrace,
    UsageError,
)
from tailrace.state.sources import highest_source, source_number

MOMENT = 1_700_000_000_000


def test_an_added_activation_is_what_get_and_list_give_back(furnished: Tailrace) -> None:
    added = furnished.activations.add(
        "all",
        connection="leads",
        segments=[Segment(id="7", namespace="crm", name="Buyers"), "8"],
        attributes=["b.c", "a", r"x\.y.z"],
        memberships="all",
        identities=["Email", "ECID"],
        include_segment_names=True,
        include_segment_timestamps=True,
        keep_extra_fields=True,
        ordering="none",
        every_update=True,
        triggers=["attributes", "segments", "attributes"],
        requalification=True,
        profile_key="identity: crm , Email",
        version_attribute=r"_repo.x\.modifyDate",
        subject="plain",
        description="Everything",
    )

    assert [added, furnished.activations.get("hot")] == furnished.activations.list()
    assert added == furnished.activations.get("all")
    assert added.segments == (
        Segment(id="7", namespace="crm", name="Buyers", created_at=MOMENT, updated_at=MOMENT),
        Segment(id="8", namespace="ups", name=None, created_at=MOMENT, updated_at=MOMENT),
    )
    assert added.attributes == ("b.c", "a", r"x\.y.z")
    assert (added.memberships, added.identities) == ("all", ("Email", "ECID"))
    assert added.include_segment_names
    assert added.include_segment_timestamps
    assert added.keep_extra_fields
    assert (added.ordering, added.every_update, added.requalification) == ("none", True, True)
    assert (added.triggers, added.profile_key) == (("segments", "attributes"), "identity:crm,Email")
    assert (added.version_attribute, added.subject) == (r"_repo.x\.modifyDate", "plain")
    assert (added.format, added.format_version, added.enabled) == ("xdm-json", "1", True)
    assert (added.connection, added.destination, added.version) == ("leads", "depot", 1)


def test_the_defaults(furnished: Tailrace) -> None:
    added = furnished.activations.add("plain", connection="leads", segments=["1"])

    assert (added.attributes, added.memberships, added.identities) == ((), "mapped", None)
    options = (added.include_segment_names, added.include_segment_timestamps, added.keep_extra_fields)
    assert options == (False, False, False)
    assert (added.ordering, added.every_update, added.requalification) == ("key", False, False)
    assert (added.triggers, added.profile_key) == (("segments", "identities", "attributes"), None)
    assert (added.version_attribute, added.refuse_stale, added.subject) == (None, "none", "hashed")


@pytest.mark.parametrize(
    ("field", "given", "says"),
    [
        ("segments", [], "at least one"),
        ("segments", ["1", "ups/1=Name"], "given twice"),
        ("segments", [Segment(id="1", name="")], "empty part"),
        ("segments", [Segment(id="")], "empty part"),
        ("segments", [Segment(id="a ")], "begins or ends with a blank"),
        ("segments", [Segment(id="a", namespace="\tb")], "begins or ends with a blank"),
        ("segments", [Segment(id="a\x85b")], "holds a control character"),
        ("segments", [Segment(id="a", name=" ")], "is blank"),
        ("attributes", ["a..b"], "path 'a..b'"),
        ("attributes", ["identityMap.Email"], "part of every record"),
        ("attributes", ["segmentMembership"], "part of every record"),
        ("identities", [], "not empty"),
        ("identities", ["Email", " "], "not empty"),
        ("memberships", "some", "mapped, all"),
        ("ordering", "some", "key, none"),
        ("ordering", "", "key, none"),
        ("ordering", "none", "only where every update is exported"),
        ("triggers", [], "at least one of segments, identities, attributes"),
        ("triggers", ["segments", "names"], "'names' is no trigger: .* segments, identities, attributes"),
        ("triggers", "names", "'names' is no trigger"),
        ("profile_key", "random", "a random key is no profile's"),
        ("profile_key", "name", "not a key rule"),
        ("profile_key", "", "not a key rule"),
        ("profile_key", "attribute:a..b", "key rule"),
        ("version_attribute", "a..b", "path 'a..b'"),
        ("version_attribute", "identityMap.Email", "holds no attributes"),
        ("refuse_stale", "some", "version, qualification, none"),
        ("refuse_stale", "version", "only where updates have one"),
        ("subject", "some", "hashed, plain"),
        ("format", "csv", "does not take format 'csv'"),
    ],
)
def test_what_cannot_be_mapped_is_refused_by_add_and_update(
    furnished: Tailrace, field: str, given: Any, says: str
) -> None:
    before = furnished.activations.list()
    arguments = {"segments": ["1"], field: given}

    with pytest.raises(InvalidSettings, match=says) as caught:
        furnished.activations.add("bad", connection="leads", **arguments)
    assert set(caught.value.fields) == {field}
    with pytest.raises(InvalidSettings, match=says):
        furnished.activations.update("hot", **{field: given})

    assert furnished.activations.list() == before


def test_an_attribute_that_repeats_another_is_kept_as_given(furnished: Tailrace) -> None:
    updated = furnished.activations.update("hot", attributes=["a.b", "a", "a"])

    assert updated.attributes == ("a.b", "a", "a")


def test_what_does_not_fit_the_destination_is_refused(furnished: Tailrace) -> None:
    furnished.connections.add("small", account="prod", settings={"stream": "misfit"})

    with pytest.raises(Misconfigured, match="'tight' does not fit"):
        furnished.activations.add("tight", connection="small", segments=["1"])

    assert [activation.name for activation in furnished.activations.list()] == ["hot"]


def test_the_connection_must_be_there_and_the_name_free(furnished: Tailrace) -> None:
    with pytest.raises(NotFound, match="no connection 'lead'; did you mean 'leads'"):
        furnished.activations.add("new", connection="lead", segments=["1"])
    with pytest.raises(NameTaken):
        furnished.activations.add("hot", connection="leads", segments=["1"])


def test_a_segment_that_is_mapped_already_is_taken_as_it_is(furnished: Tailrace) -> None:
    """An earlier version took any id: such an activation works on, and can lose it."""
    stored = [{"namespace": "ups", "id": " a"}, {"namespace": "b", "id": "c"}]
    put(furnished, "activations", "segments", stored)
    kept = furnished.activations.get("hot").segments
    assert [segment.id for segment in kept] == [" a", "c"]
    assert furnished.activations.update("hot", segments=[*kept, "new"]).segments[:2] == kept
    assert len(furnished.activations.update("hot", segments=["new"]).segments) == 1
    with pytest.raises(InvalidSettings, match="begins or ends with a blank"):
        furnished.activations.update("hot", segments=[*kept])


def test_a_segment_keeps_its_times_and_a_new_name_moves_one(furnished: Tailrace, clock: Hands) -> None:
    clock.seconds += 60
    updated = furnished.activations.update(
        "hot", segments=["crm/42=Buyers", f"{SEGMENT}=High propensity", "9"]
    )

    assert [(s.id, s.created_at - MOMENT, s.updated_at - MOMENT) for s in updated.segments] == [
        ("42", 0, 60_000),
        (SEGMENT, 0, 0),
        ("9", 60_000, 60_000),
    ]

    clock.seconds += 60
    dropped = furnished.activations.update("hot", segments=["9"])
    back = furnished.activations.update("hot", segments=["9", "crm/42=Buyers"])
    assert [s.created_at - MOMENT for s in dropped.segments] == [60_000]
    assert [s.created_at - MOMENT for s in back.segments] == [60_000, 120_000]


def test_update_changes_what_is_given_and_nothing_else(furnished: Tailrace) -> None:
    before = furnished.activations.get("hot")
    updated = furnished.activations.update(
        "hot", identities=["Email"], include_segment_names=True, new_name="warm", if_version=1
    )

    assert updated == furnished.activations.get("warm")
    assert (updated.id, updated.version, updated.identities) == (before.id, 2, ("Email",))
    assert updated.include_segment_names
    assert (updated.segments, updated.attributes) == (before.segments, before.attributes)
    assert furnished.activations.update("warm", identities="all").identities is None
    assert furnished.activations.update("warm", attributes=[]).attributes == ()
    assert furnished.activations.update("warm", include_segment_names=False).version == 5


def test_update_changes_what_is_exported(furnished: Tailrace) -> None:
    """Each change counts the version up; what is the same, and what is not given, does not."""
    update = furnished.activations.update
    changes: list[dict[str, Any]] = [
        {"every_update": True}, {"triggers": ["identities"]}, {"requalification": True},
        {"profile_key": "attribute:person.id"}, {"ordering": "none"},
    ]  # fmt: skip
    for version, given in enumerate(changes, 2):
        assert update("hot", **given).version == update("hot", **given).version == version
    updated = furnished.activations.get("hot")
    assert (updated.ordering, updated.every_update, updated.requalification) == ("none", True, True)
    assert (updated.triggers, updated.profile_key) == (("identities",), "attribute:person.id")

    assert update("hot", requalification=False, profile_key="default", triggers="segments").version == 7
    updated = furnished.activations.get("hot")
    assert (updated.triggers, updated.requalification, updated.profile_key) == (("segments",), False, None)


def test_the_highest_number_of_a_source_is_known(furnished: Tailrace) -> None:
    database, id = furnished._foundation.database, furnished.activations.get("hot").id
    assert highest_source(database, id) == 0
    for number in (1, 2):
        assert source_number(database, id, f"file:{number}", "a.jsonl") == number
        assert highest_source(database, id) == number
    assert highest_source(database, "another") == 0


def test_exits_need_changes(furnished: Tailrace) -> None:
    add, update = furnished.activations.add, furnished.activations.update
    assert not furnished.activations.get("hot").exits
    assert add("kept", connection="leads", segments=["7"], exits=True).exits
    with pytest.raises(InvalidSettings, match="only where changes alone are exported"):
        add("every", connection="leads", segments=["7"], exits=True, every_update=True)
    with pytest.raises(InvalidSettings, match="only where changes alone are exported"):
        update("kept", every_update=True)
    assert update("kept", every_update=True, exits=False).version == 2
    with pytest.raises(UsageError):
        update("hot", exits=1)  # type: ignore[arg-type]  # what somebody without types may give


def test_no_order_needs_every_update(furnished: Tailrace) -> None:
    update = furnished.activations.update
    assert update("hot", ordering="none", every_update=True).version == 2

    with pytest.raises(InvalidSettings, match="only where every update is exported") as caught:
        update("hot", every_update=False)
    assert "--every-update, or take --ordering key" in str(caught.value.hint)
    with pytest.raises(InvalidSettings):
        update("hot", every_update=False, ordering="none")
    assert update("hot", description="x", triggers=["segments"]).every_update

    updated = update("hot", every_update=False, ordering="key")
    assert (updated.ordering, updated.every_update, updated.version) == ("key", False, 4)
    with pytest.raises(InvalidSettings):
        update("hot", ordering="none")


def test_what_stale_updates_need_cannot_be_taken_away(furnished: Tailrace) -> None:
    update = furnished.activations.update
    assert update("hot", version_attribute="rev", refuse_stale="version").refuse_stale == "version"

    for given, says in (
        ({"version_attribute": "none"}, "--version-attribute PATH"),
        ({"every_update": True}, "--refuse-stale none"),
        ({"every_update": True, "refuse_stale": "qualification"}, "--only-changes"),
    ):
        with pytest.raises(InvalidSettings) as caught:
            update("hot", **given)
        assert says in str(caught.value.hint)
    assert update("hot", version_attribute="seq", description="x").version == 3

    updated = update("hot", version_attribute="none", refuse_stale="none", every_update=True)
    assert (updated.version_attribute, updated.refuse_stale, updated.version) == (None, "none", 4)
    with pytest.raises(InvalidSettings, match="every update is exported"):
        update("hot", refuse_stale="qualification")


@pytest.mark.parametrize(
    ("partition", "given", "rule", "moves"),
    [
        ("identity", None, "identity", True),
        ("random", None, "identity", True),
        ("identity:crm", None, "identity:crm", False),
        ("attribute:person.id", None, "attribute:person.id", False),
        ("attribute:person.id", "identity", "identity", True),
        ("random", "identity:crm", "identity:crm", False),
    ],
)
def test_the_key_of_a_profile(
    furnished: Tailrace, partition: str, given: str | None, rule: str, moves: bool
) -> None:
    furnished.activations.update("hot", every_update=True, ordering="none", profile_key=given)
    furnished.connections.update("leads", settings={"partition_key": partition})

    found = furnished.activations.prepare("hot", for_export=True).profile_rule
    assert (str(found), found.moves) == (rule, moves)


def test_a_stale_version_is_refused(furnished: Tailrace) -> None:
    furnished.activations.disable("hot")

    with pytest.raises(StaleVersion, match="has version 2, not 1"):
        furnished.activations.update("hot", description="x", if_version=1)
    with pytest.raises(StaleVersion):
        furnished.activations.remove("hot", if_version=1)


def test_an_update_that_was_overtaken_is_refused(furnished: Tailrace, depot: Depot) -> None:
    depot.meanwhile = lambda: furnished.activations.disable("hot")

    with pytest.raises(StaleVersion):
        furnished.activations.update("hot", attributes=["a"])

    assert not furnished.activations.get("hot").enabled


def test_enable_and_disable(furnished: Tailrace) -> None:
    assert not furnished.activations.disable("hot").enabled
    assert furnished.activations.disable("hot").version == 2
    assert furnished.activations.enable("hot").enabled


def test_a_disabled_activation_can_be_previewed_and_not_exported(furnished: Tailrace) -> None:
    furnished.activations.disable("hot")

    with pytest.raises(ActivationDisabled) as caught:
        furnished.activations.prepare("hot", for_export=True)
    assert "tailrace activation enable hot" in str(caught.value.hint)
    assert furnished.activations.prepare("hot", for_export=False).activation.name == "hot"


def test_what_an_export_gets(furnished: Tailrace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPOT_SECRET", "open sesame")
    furnished.connections.update("leads", settings={"partition_key": "attribute:person.id"})

    activation, plan, hooks, context, _ = furnished.activations.prepare(
        "hot", for_export=True, write_timeout=7.0
    )

    assert activation == furnished.activations.get("hot")
    assert (plan.destination, plan.format, plan.key.rule) == ("depot", "xdm-json", "attribute:person.id")
    assert plan.settings == {"stream": "hot-leads", "secret": Secret("env:DEPOT_SECRET")}
    assert hooks.spec().account is DepotAccount
    assert context.secret(Secret("env:DEPOT_SECRET")) == "open sesame"
    assert context.write_timeout == 7.0


def test_a_removed_activation_leaves_its_runs(furnished: Tailrace, open_home: Open) -> None:
    run = furnished.runs.start(furnished.activations.get("hot"))
    source_number(furnished._foundation.database, furnished.activations.get("hot").id, "file:a", "a.jsonl")

    furnished.activations.remove("hot")

    assert furnished.activations.list() == []
    assert open_home().runs.get(run).activation == "hot"
