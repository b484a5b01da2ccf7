"""What a caller gives that is of the wrong kind, or cannot be stored, ends in the tree of errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tailrace
from core.tests.state.depot import ACCOUNT
from tailrace import Segment, Tailrace, UsageError

HALF = "canary\ud800"
FIVE: Any = 5
Call = Callable[[Any], object]

CALLS: dict[str, tuple[Call, str]] = {
    "run": (lambda t: t.runs.get("canary"), "the number of a run must be a whole number, not str"),
    "dead letter": (lambda t: t.dead_letters.get(None), "the id of a dead letter must be text"),
    "account": (lambda t: t.accounts.get(None), "the name of the account must be text"),
    "activation": (lambda t: t.activations.get(HALF), "the name of the activation holds"),
    "destination": (lambda t: t.destinations.get(None), "the name of a destination must be text"),
    "format": (lambda t: t.formats.get(5), "the name of a format must be text"),
    "state": (lambda t: t.state.show(5), "the name of the activation must be text"),
    "name": (lambda t: t.accounts.add(5, destination="depot", settings=ACCOUNT), "name must be text"),
    "new name": (lambda t: t.connections.update("leads", new_name=5), "name must be text"),
    "settings": (lambda t: t.accounts.add("a", destination="depot", settings="canary"), "settings must be"),
    "settings by number": (lambda t: t.connections.update("leads", settings={5: "a"}), "settings must be"),
    "unset": (lambda t: t.connections.update("leads", unset=5), "unset must be a list, not int"),
    "unset a number": (lambda t: t.connections.update("leads", unset=[5]), "unset must be text, not int"),
    "description": (
        lambda t: t.accounts.add("a", destination="depot", settings=ACCOUNT, description=HALF),
        "description holds what is not Unicode text",
    ),
    "description of an activation": (
        lambda t: t.activations.update("hot", description="a\0"),
        "description holds a NUL character",
    ),
    "secret": (lambda t: t.accounts.update("prod", settings={"secret_key": HALF}), "secret_key: holds what"),
    "segments": (lambda t: t.activations.update("hot", segments=5), "segments must be a list, not int"),
    "a segment": (lambda t: t.activations.update("hot", segments=[5]), "a segment must be text, not int"),
    "half a segment": (lambda t: t.activations.update("hot", segments=[HALF]), "a segment holds what"),
    "segment of a number": (
        lambda t: t.activations.update("hot", segments=[Segment(id=FIVE)]),
        "a segment must be text, not int",
    ),
    "attributes": (lambda t: t.activations.update("hot", attributes=[5]), "attributes must be text"),
    "half an attribute": (lambda t: t.activations.update("hot", attributes=[HALF]), "attributes holds what"),
    "identities": (lambda t: t.activations.update("hot", identities=[None]), "identities must be text"),
    "triggers": (lambda t: t.activations.update("hot", triggers=[[]]), "triggers must be text, not list"),
    "version attribute": (
        lambda t: t.activations.update("hot", version_attribute=5),
        "version_attribute must be text",
    ),
    "profile key": (lambda t: t.activations.update("hot", profile_key=5), "profile_key must be text"),
    "truth": (lambda t: t.activations.update("hot", every_update="no"), "every_update must be True or False"),
    "give_up_after": (lambda t: t.export("hot", [], give_up_after="x"), "give_up_after must be a number"),
    "give_up_after of nan": (
        lambda t: t.export("hot", [], give_up_after=float("nan")),
        "give_up_after must be at least 0",
    ),
    "in_flight": (lambda t: t.export("hot", [], in_flight=0), "in_flight must be from 1 to 256"),
    "max_line_bytes": (lambda t: t.export("hot", [], max_line_bytes="a"), "max_line_bytes must be a whole"),
    "no line": (lambda t: t.preview("hot", [], max_line_bytes=0), "max_line_bytes must be at least 1"),
    "limit": (lambda t: t.preview("hot", [], limit=-1), "limit must be at least 0"),
    "source": (lambda t: t.export("hot", "canary\0"), "the path of a source holds a NUL character"),
    "half a source": (lambda t: t.export("hot", [HALF]), "the path of a source holds what is not Unicode"),
    "exported": (lambda t: t.export(None, []), "the name of the activation must be text"),
    "home": (lambda t: tailrace.open(FIVE), "home must be a path, not int"),
    "url": (lambda t: tailrace.open(database_url=FIVE), "database_url must be text"),
}


@pytest.mark.parametrize(("call", "expected"), CALLS.values(), ids=CALLS)
def test_what_cannot_be_taken_is_a_usage_error(lite: Tailrace, call: Call, expected: str) -> None:
    lite.accounts.add("prod", destination="depot", settings=ACCOUNT)
    lite.connections.add("leads", account="prod", settings={"stream": "s"})
    lite.activations.add("hot", connection="leads", segments=["1"])

    with pytest.raises(UsageError) as raised:
        call(lite)

    assert expected in str(raised.value)
    assert "canary" not in str(raised.value)
    assert lite.activations.get("hot").version == 1
    assert lite.runs.list() == []
