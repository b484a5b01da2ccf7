"""Rows that hold what this version does not understand, on both databases: refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from core.tests.state.depot import SEGMENT
from tailrace import Ledger, StateError, Tailrace
from tailrace.state.columns import KINDS


def put(t: Tailrace, table: str, column: str, value: object) -> None:
    """Store a value in every row of a table, whatever it is."""
    parameter = column if column in KINDS else "value"
    with t._foundation.database.write() as transaction:
        transaction.execute(f"UPDATE {table} SET {column} = :{parameter}", **{parameter: value})


SEGMENTS: list[Any] = [
    {"a": 1}, [], [1], [{"id": 1}], [{"id": "x"}], [{"id": "", "namespace": "ups"}],
    [{"id": "x", "namespace": "ups", "later": 1}], [{"id": "x", "namespace": "ups", "created_at": True}],
    [{"id": "x", "namespace": "ups"}, {"id": "x", "namespace": "ups"}],
]  # fmt: skip
ACTIVATIONS = [
    *(("segments", value) for value in SEGMENTS),
    *(("attributes", value) for value in ({"a": 1}, "a", [1], ["a..b"], ["identityMap.x"])),
    *(("identities", value) for value in ("crm", {"crm": 1}, [1], [], [""])),
    ("memberships", "xx"),
    *(("ordering", value) for value in ("xx", "none")),
    *(("triggers", value) for value in ({"segments": 1}, "segments", [], [1], ["segments", "xx"])),
    *(("profile_key", value) for value in ("random", "xx", "", "attribute:a..b")),
    *(("version_attribute", value) for value in ("", "a..b", "identityMap.x")),
    *(("refuse_stale", value) for value in ("xx", "version")),
    ("subject", "xx"),
    ("format", "nope"),
    ("format_version", "99"),
]
LEDGER = Ledger().as_dict()
CHANGED: list[dict[str, Any]] = [
    {"received": "x"}, {"delivered": True}, {"seconds": "1"}, {"sources": [3]}, {"warnings": "x"},
    {"reasons": {"a": "b"}}, {"reasons": []}, {"run": "1"}, {"sources": [{"source": "a"}]},
]  # fmt: skip
RUNS: list[tuple[str, Any]] = [
    *(("ledger", value) for value in ({}, [1], "x", {"received": "x"})),
    *(("ledger", {**LEDGER, **changed}) for changed in CHANGED),
    *(("sources", value) for value in ([3], {"a": 1}, "x", [{"source": 1}])),
]  # fmt: skip


@pytest.mark.parametrize(("column", "value"), ACTIVATIONS)
def test_an_activation_that_is_not_understood(furnished: Tailrace, column: str, value: object) -> None:
    put(furnished, "activations", column, value)
    for use in (
        lambda: furnished.activations.get("hot"),
        lambda: furnished.activations.list(),
        lambda: furnished.activations.prepare("hot", for_export=True),
        lambda: furnished.activations.prepare("hot", for_export=False),
        lambda: furnished.activations.update("hot", description="x"),
        lambda: furnished.activations.update("hot", keep_extra_fields=True),
        lambda: furnished.activations.disable("hot"),
    ):
        with pytest.raises(StateError, match="activation 'hot' cannot be used") as caught:
            use()
        assert f"column {column} of table activations" in caught.value.message
        assert "tailrace activation update hot --" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("column", "value", "given"),
    [
        ("segments", [1], {"segments": [SEGMENT]}),
        ("attributes", "a", {"attributes": []}),
        ("identities", "crm", {"identities": "all"}),
        ("memberships", "xx", {"memberships": "mapped"}),
        ("ordering", "xx", {"ordering": "key"}),
        ("ordering", "none", {"ordering": "key"}),
        ("ordering", "none", {"ordering": "none", "every_update": True}),
        ("triggers", [], {"triggers": ["segments"]}),
        ("profile_key", "random", {"profile_key": "default"}),
        ("profile_key", "random", {"profile_key": "identity:crm"}),
        ("version_attribute", "a..b", {"version_attribute": "none"}),
        ("refuse_stale", "version", {"refuse_stale": "none"}),
        ("refuse_stale", "version", {"version_attribute": "rev"}),
        ("subject", "xx", {"subject": "plain"}),
        ("format", "nope", {"format": "xdm-json"}),
        ("format_version", "99", {"format": "xdm-json"}),
    ],
)
def test_what_is_given_anew_mends_it(
    furnished: Tailrace, column: str, value: object, given: dict[str, Any]
) -> None:
    put(furnished, "activations", column, value)
    assert furnished.activations.update("hot", **given).version == 2
    assert furnished.activations.prepare("hot", for_export=True).activation.enabled


def test_it_can_be_removed(furnished: Tailrace) -> None:
    put(furnished, "activations", "format", "nope")
    furnished.activations.remove("hot")
    assert furnished.activations.list() == []


@pytest.mark.parametrize("value", [[1, 2], "x", True])
def test_settings_that_are_none(furnished: Tailrace, value: object) -> None:
    for table, noun, name in (("connections", "connection", "leads"), ("accounts", "account", "prod")):
        nouns: Any = getattr(furnished, table)
        put(furnished, table, "settings", value)
        for use in (
            lambda nouns=nouns, name=name: nouns.get(name),
            lambda nouns=nouns: nouns.list(),
            lambda nouns=nouns, name=name: nouns.update(name, settings={"stream": "other"}),
            lambda nouns=nouns, name=name: nouns.update(name, description="x"),
            lambda: furnished.accounts.rekey(),
            lambda: furnished.activations.prepare("hot", for_export=True),
            lambda: furnished.connections.test("leads"),
        ):
            with pytest.raises(StateError, match=f"{noun} {name!r} cannot be used") as caught:
                use()
            assert f"column settings of table {table}" in caught.value.message
            assert "restore a copy" in str(caught.value.hint)


@pytest.mark.parametrize(("column", "value"), RUNS)
def test_a_run_that_is_not_understood(furnished: Tailrace, column: str, value: object) -> None:
    number = furnished.runs.start(furnished.activations.get("hot"))
    put(furnished, "runs", column, value)
    for use in (lambda: furnished.runs.get(number), lambda: furnished.runs.list()):
        with pytest.raises(StateError, match=f"run {number} cannot be used: column {column} of table runs"):
            use()


def test_a_ledger_of_another_version_is_read(furnished: Tailrace) -> None:
    number = furnished.runs.start(furnished.activations.get("hot"))
    needed = {"received": 3, "delivered": 3, "filtered": 0, "dead_lettered": 0, "pending": 0}
    put(furnished, "runs", "ledger", {**needed, "later": "x"})
    assert furnished.runs.get(number).ledger == Ledger(received=3, delivered=3)
