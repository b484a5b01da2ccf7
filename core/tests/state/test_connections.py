"""Connections, on both databases."""

from __future__ import annotations

import pytest

from core.tests.state.depot import Depot
from tailrace import (
    ConfigurationError,
    InUse,
    InvalidSettings,
    Misconfigured,
    NameTaken,
    NotFound,
    SecretUnavailable,
    StaleVersion,
    Tailrace,
)


def test_an_added_connection_is_what_get_and_list_give_back(furnished: Tailrace) -> None:
    added = furnished.connections.add(
        "more", account="prod", settings={"stream": "s", "partition_key": "random"}, description="More"
    )

    assert added == furnished.connections.get("more") == furnished.connections.list()[1]
    assert (added.account, added.account_id) == ("prod", furnished.accounts.get("prod").id)
    assert (added.destination, added.version, added.description) == ("depot", 1, "More")
    assert added.settings == {"stream": "s", "partition_key": "random"}


def test_the_settings_are_those_of_the_destinations_connection(furnished: Tailrace) -> None:
    with pytest.raises(InvalidSettings) as caught:
        furnished.connections.add("more", account="prod", settings={"region": "north-1", "mode": "odd"})

    assert set(caught.value.fields) == {"stream", "mode", "region"}
    assert "'plain' or 'wrapped'" in caught.value.fields["mode"]


def test_the_account_must_be_there(furnished: Tailrace) -> None:
    with pytest.raises(NotFound, match="no account 'prdo'; did you mean 'prod'"):
        furnished.connections.add("more", account="prdo", settings={"stream": "s"})


def test_an_account_that_goes_meanwhile_leaves_no_orphan(t: Tailrace, depot: Depot) -> None:
    t.accounts.add("prod", destination="depot", settings={"region": "north-1"})
    depot.meanwhile = lambda: t.accounts.remove("prod")

    with pytest.raises(NotFound, match="removed meanwhile"):
        t.connections.add("leads", account="prod", settings={"stream": "s"})

    assert t.connections.list() == []


def test_a_name_is_taken_once(furnished: Tailrace) -> None:
    with pytest.raises(NameTaken):
        furnished.connections.add("leads", account="prod", settings={"stream": "s"})


def test_update_merges_unsets_renames_and_counts(furnished: Tailrace) -> None:
    furnished.activations.update("hot", ordering="none", every_update=True)
    furnished.connections.update("leads", settings={"mode": "wrapped", "partition_key": "random"})
    updated = furnished.connections.update("leads", unset=["mode"], new_name="warm", if_version=2)

    assert updated == furnished.connections.get("warm")
    assert updated.settings == {"stream": "hot-leads", "partition_key": "random"}
    assert updated.version == 3
    assert furnished.activations.get("hot").connection == "warm"


def test_a_random_key_and_order_by_key_do_not_fit(furnished: Tailrace) -> None:
    """Refused from both sides, with what to do."""
    assert furnished.activations.get("hot").ordering == "key"
    with pytest.raises(
        ConfigurationError, match="the partition key of connection 'leads' is random"
    ) as caught:
        furnished.connections.update("leads", settings={"partition_key": "random"})
    assert "--every-update --ordering none" in str(caught.value.hint)
    furnished.activations.update("hot", ordering="none", every_update=True)
    furnished.connections.update("leads", settings={"partition_key": "random"})
    with pytest.raises(ConfigurationError, match="is random"):
        furnished.activations.update("hot", ordering="key")
    with pytest.raises(ConfigurationError, match="is random"):
        furnished.activations.add("cold", connection="leads", segments=["1"])
    added = furnished.activations.add(
        "any", connection="leads", segments=["1"], ordering="none", every_update=True
    )
    assert added.version == 1


def test_a_stale_version_is_refused(furnished: Tailrace) -> None:
    with pytest.raises(StaleVersion):
        furnished.connections.update("leads", description="x", if_version=7)
    with pytest.raises(StaleVersion):
        furnished.connections.remove("leads", if_version=7)


def test_an_update_that_its_activations_do_not_fit_is_refused(furnished: Tailrace) -> None:
    with pytest.raises(Misconfigured, match="'hot' does not fit"):
        furnished.connections.update("leads", settings={"stream": "misfit"})
    assert furnished.connections.get("leads").settings["stream"] == "hot-leads"

    furnished.activations.disable("hot")
    furnished.connections.update("leads", settings={"stream": "misfit"})
    with pytest.raises(Misconfigured):
        furnished.activations.prepare("hot", for_export=False)


def test_a_connection_in_use_names_its_activations(furnished: Tailrace) -> None:
    with pytest.raises(InUse, match="in use by activation hot"):
        furnished.connections.remove("leads")

    furnished.activations.remove("hot")
    furnished.connections.remove("leads")
    assert furnished.connections.list() == []


def test_of_many_activations_a_connection_in_use_names_the_first_and_counts_the_others(
    furnished: Tailrace,
) -> None:
    for number in range(7):
        furnished.activations.add(f"a{number}", connection="leads", segments=["1"])

    with pytest.raises(InUse, match=r"in use by activations a0, a1, a2, a3, a4 and 3 more$") as caught:
        furnished.connections.remove("leads")
    others = "tailrace activation remove a4; for the others see: tailrace activation list"
    assert str(caught.value.hint).endswith(others)
    with pytest.raises(InUse, match=r"in use by connection leads$") as caught:
        furnished.accounts.remove("prod")
    assert str(caught.value.hint).endswith(f"{others}; tailrace connection remove leads")


def test_the_auth_step_gets_the_models_and_the_secret(
    furnished: Tailrace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPOT_SECRET", "open sesame")

    report = furnished.connections.test("leads")

    assert (report.identity, report.ok) == ("open sesame", True)


def test_a_secret_that_is_not_there_is_told_by_the_auth_step(furnished: Tailrace) -> None:
    with pytest.raises(SecretUnavailable, match="DEPOT_SECRET is not set"):
        furnished.connections.test("leads")


def test_the_policy_is_the_destinations_where_it_has_one(furnished: Tailrace) -> None:
    furnished.accounts.add("bare", destination="quay", settings={"region": "north-1"})
    furnished.connections.add("quay", account="bare", settings={"stream": "s"})

    assert furnished.connections.policy("leads") == "may write hot-leads"
    with pytest.raises(ConfigurationError, match="'quay' does not say"):
        furnished.connections.policy("quay")
