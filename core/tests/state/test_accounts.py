"""Accounts, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.tests.state.conftest import Open
from core.tests.state.depot import Depot, DepotConnection
from tailrace import (
    Account,
    ConfigurationError,
    DestinationSpec,
    InUse,
    InvalidSettings,
    NameTaken,
    NotFound,
    Settings,
    StaleVersion,
    Tailrace,
    UnknownDestination,
    hookimpl,
)
from tailrace.registry import Registry


def test_an_added_account_is_what_get_and_list_give_back(t: Tailrace) -> None:
    before = datetime.now(UTC)
    added = t.accounts.add("prod", destination="depot", settings={"region": "north-1"}, description="Ours")

    assert added == t.accounts.get("prod") == t.accounts.list()[0]
    assert (added.name, added.version, added.destination, added.description) == ("prod", 1, "depot", "Ours")
    assert added.id[14] == "7"
    assert before <= added.created_at == added.updated_at <= datetime.now(UTC)


def test_only_what_was_given_is_stored_so_that_defaults_may_move(t: Tailrace) -> None:
    added = t.accounts.add("prod", destination="depot", settings={"region": "north-1", "attempts": "5"})

    assert added.settings == {"region": "north-1", "attempts": 5}


def test_text_becomes_what_the_field_holds(t: Tailrace) -> None:
    typed = {"region": "north-1", "verify": "false", "attempts": "7", "hosts": "a.example, b.example"}
    json = {"region": "north-1", "hosts": '["a.example", "b.example"]'}

    assert t.accounts.add("a", destination="depot", settings=typed).settings == {
        "region": "north-1",
        "verify": False,
        "attempts": 7,
        "hosts": ["a.example", "b.example"],
    }
    assert t.accounts.add("b", destination="depot", settings=json).settings["hosts"] == [
        "a.example",
        "b.example",
    ]


def test_another_systems_field_names_are_accepted_and_stored_as_our_own(t: Tailrace) -> None:
    added = t.accounts.add(
        "prod",
        destination="depot",
        settings={"region": "north-1", "accessKeyId": "AKIA", "secretKey": "env:S"},
    )

    assert added.settings == {"region": "north-1", "access_key_id": "AKIA", "secret_key": "env:S"}


def test_accounts_are_listed_by_name(t: Tailrace) -> None:
    for name in ("b", "a.z", "a-z", "a0", "a_z"):
        t.accounts.add(name, destination="depot", settings={"region": "north-1"})

    assert [account.name for account in t.accounts.list()] == ["a-z", "a.z", "a0", "a_z", "b"]


@pytest.mark.parametrize("name", ["", "Prod", "-a", "a b", "a" * 64, "ä"])
def test_a_bad_name_is_refused(t: Tailrace, name: str) -> None:
    with pytest.raises(InvalidSettings):
        t.accounts.add(name, destination="depot", settings={"region": "north-1"})

    assert t.accounts.list() == []


def test_the_destination_is_looked_up_before_the_settings(t: Tailrace) -> None:
    with pytest.raises(UnknownDestination) as caught:
        t.accounts.add("prod", destination="depto", settings={"nonsense": 1})

    assert "depot" in str(caught.value.hint)


def test_every_bad_field_is_named_with_what_is_wrong(t: Tailrace) -> None:
    with pytest.raises(InvalidSettings) as caught:
        t.accounts.add("prod", destination="depot", settings={"attempts": "many", "regoin": "x"})

    assert set(caught.value.fields) == {"region", "attempts", "regoin"}
    assert "did you mean 'region'" in caught.value.fields["regoin"]
    assert caught.value.fields["region"] == "Field required"
    assert "tailrace destinations show depot" in str(caught.value.hint)


def test_a_name_is_taken_once(t: Tailrace) -> None:
    t.accounts.add("prod", destination="depot", settings={"region": "north-1"})

    with pytest.raises(NameTaken):
        t.accounts.add("prod", destination="depot", settings={"region": "south-1"})

    assert t.accounts.get("prod").settings == {"region": "north-1"}


def test_an_unknown_name_gets_a_suggestion(furnished: Tailrace) -> None:
    with pytest.raises(NotFound) as caught:
        furnished.accounts.get("prdo")

    assert "did you mean 'prod'?" in str(caught.value)
    assert "tailrace account list" in str(caught.value.hint)


def test_update_merges_unsets_and_counts_the_version(furnished: Tailrace) -> None:
    updated = furnished.accounts.update(
        "prod", settings={"attempts": 9}, unset=["secret_key"], description="Changed"
    )

    assert updated == furnished.accounts.get("prod")
    assert updated.settings == {"region": "north-1", "attempts": 9}
    assert (updated.version, updated.description) == (2, "Changed")
    assert updated.updated_at > updated.created_at


def test_update_without_a_difference_changes_nothing(furnished: Tailrace) -> None:
    before = furnished.accounts.get("prod")

    assert (
        furnished.accounts.update("prod", settings={"region": "north-1"}, description="Production") == before
    )
    assert furnished.accounts.update("prod") == before


def test_update_validates_the_whole(furnished: Tailrace) -> None:
    before = furnished.accounts.get("prod")

    with pytest.raises(InvalidSettings):
        furnished.accounts.update("prod", unset=["region"])
    with pytest.raises(InvalidSettings):
        furnished.accounts.update("prod", settings={"region": "nowhere"})
    with pytest.raises(InvalidSettings):
        furnished.accounts.update("prod", unset=["attempts"])

    assert furnished.accounts.get("prod") == before


def test_a_renamed_account_keeps_its_id_and_its_connections(furnished: Tailrace) -> None:
    before = furnished.accounts.get("prod")
    renamed = furnished.accounts.update("prod", new_name="live")

    assert (renamed.id, renamed.name) == (before.id, "live")
    assert furnished.connections.get("leads").account == "live"
    with pytest.raises(NotFound):
        furnished.accounts.get("prod")


def test_a_rename_to_a_taken_name_is_refused(furnished: Tailrace) -> None:
    furnished.accounts.add("other", destination="depot", settings={"region": "north-1"})

    with pytest.raises(NameTaken):
        furnished.accounts.update("other", new_name="prod")


def test_a_stale_version_is_refused(furnished: Tailrace) -> None:
    furnished.accounts.update("prod", description="2", if_version=1)

    with pytest.raises(StaleVersion):
        furnished.accounts.update("prod", description="3", if_version=1)
    with pytest.raises(StaleVersion):
        furnished.accounts.remove("prod", if_version=1)

    assert furnished.accounts.get("prod").description == "2"


def test_an_update_that_was_overtaken_is_refused(furnished: Tailrace, depot: Depot) -> None:
    depot.meanwhile = lambda: furnished.accounts.update("prod", description="theirs")

    with pytest.raises(StaleVersion):
        furnished.accounts.update("prod", settings={"attempts": 1})

    kept = furnished.accounts.get("prod")
    assert (kept.description, kept.version, "attempts" in kept.settings) == ("theirs", 2, False)


def test_an_account_that_goes_while_it_is_changed_is_told(t: Tailrace, depot: Depot) -> None:
    t.accounts.add("prod", destination="depot", settings={"region": "north-1"})
    depot.meanwhile = lambda: t.accounts.remove("prod")

    with pytest.raises(StaleVersion):
        t.accounts.update("prod", settings={"attempts": 1})


def test_an_account_in_use_names_its_connections(furnished: Tailrace) -> None:
    furnished.connections.add("also", account="prod", settings={"stream": "s"})

    with pytest.raises(InUse, match=r"in use by connections also, leads$") as caught:
        furnished.accounts.remove("prod")
    for name in ("also", "leads"):
        assert f"tailrace connection remove {name}" in str(caught.value.hint)

    furnished.activations.remove("hot")
    furnished.connections.remove("leads")
    furnished.connections.remove("also")
    furnished.accounts.remove("prod")
    assert furnished.accounts.list() == []


def test_what_needs_no_plugin_works_without_it(furnished: Tailrace, open_home: Open) -> None:
    bare = open_home(registry=Registry())

    assert bare.accounts.update("prod", description="kept", new_name="old").description == "kept"
    assert [a.name for a in bare.activations.list()] == ["hot"]
    assert bare.activations.update("hot", description="kept").description == "kept"
    assert bare.connections.update("leads", description="kept").description == "kept"
    assert not bare.activations.disable("hot").enabled
    bare.activations.remove("hot")
    bare.connections.remove("leads")
    bare.accounts.remove("old")
    assert bare.accounts.list() == []


def test_settings_that_a_newer_plugin_refuses_are_a_configuration_error(
    furnished: Tailrace, open_home: Open
) -> None:
    class Stricter(Depot):
        @hookimpl
        def account(self) -> DestinationSpec:
            class Model(Settings):
                zone: str

            return DestinationSpec(title="Depot", description="", account=Model, connection=DepotConnection)

    registry = Registry()
    registry.register("depot", Stricter())

    with pytest.raises(ConfigurationError, match="account 'prod' are no longer valid") as caught:
        open_home(registry=registry).connections.test("leads")

    assert not isinstance(caught.value, InvalidSettings)
    assert "tailrace account update prod" in str(caught.value.hint)


def test_accounts_are_values(furnished: Tailrace) -> None:
    with pytest.raises(AttributeError):
        furnished.accounts.get("prod").name = "x"  # type: ignore[misc]
    assert isinstance(furnished.accounts.get("prod"), Account)
