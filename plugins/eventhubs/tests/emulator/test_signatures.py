"""Tokens: what is refused and how, and what a token that is accepted allows."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from azure.eventhub._pyamqp.utils import generate_sas_token
from hypothesis import given
from hypothesis import strategies as st

from tailrace_eventhubs.emulator import tokens
from tailrace_eventhubs.emulator.config import Config, Hub, Key
from tailrace_eventhubs.emulator.signatures import JWT, SAS, Grant, Grants, Refused, check

NOW = 1_000_000.0
LATER = NOW + 3600
SPACE = "sb://ns.example"
CONFIG = Config(
    hubs=[
        Hub("orders", keys=[Key("sender", "s-key", ["Send"]), Key("reader", "r-key", ["Listen"])]),
        "other",
    ],
    keys=[Key("root", "root-key"), Key("listener", "l-key", ["Listen"])],
)


def checked(
    token: str | bytes, audience: str = f"{SPACE}/orders", *, now: float = NOW, kind: str = SAS
) -> Grant:
    return check(token, audience=audience, config=CONFIG, now=now, kind=kind)


def refusal(token: str | bytes, audience: str = f"{SPACE}/orders", **more: object) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        checked(token, audience, **more)  # type: ignore[arg-type]
    assert "-key" not in caught.value.description
    return caught.value.status, caught.value.description.partition(":")[0]


def signed(
    resource: str = f"{SPACE}/orders", name: str = "root", key: str = "root-key", until: float = LATER
) -> str:
    return tokens.sas(resource, name, key, expires=until)


@pytest.mark.parametrize(
    "resource",
    [f"{SPACE}/orders", f"{SPACE}/", SPACE, "https://ns.example/orders/", "SB://NS.example/ORDERS"],
)
def test_the_namespace_and_the_hub_are_scopes_of_a_hub(resource: str) -> None:
    assert checked(signed(resource)) == Grant(("orders",), frozenset({"Manage", "Send", "Listen"}), LATER)


def test_a_scope_covers_what_is_below_it() -> None:
    audience = f"{SPACE}/orders/ConsumerGroups/$Default/Partitions/3"
    assert checked(signed(), audience).path == ("orders", "consumergroups", "$default", "partitions", "3")


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.from_regex(r"[A-Za-z0-9_.-]{1,50}", fullmatch=True),
)
def test_a_token_that_the_sdk_makes_is_accepted(key: str, name: str) -> None:
    """Names as Azure allows them: the SDK would encode other characters twice."""
    config = Config(hubs=["orders"], keys=[Key(name, key)])
    token = generate_sas_token(f"{SPACE}/orders", name, key, int(LATER))  # type: ignore[no-untyped-call]
    assert check(token, audience=f"{SPACE}/orders", config=config, now=NOW).expires == LATER


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (signed(key="wrong"), "InvalidSignature"),
        (signed(name="nobody"), "InvalidSignature"),
        (signed(name="ROOT"), "InvalidSignature"),
        (signed(until=NOW), "ExpiredToken"),
        (signed(until=NOW - 1), "ExpiredToken"),
        (signed(until=NOW - 1, key="wrong"), "InvalidSignature"),
        (signed(f"{SPACE}/other"), "InvalidAudience"),
        (signed(f"{SPACE}/order"), "InvalidAudience"),
        (signed(f"{SPACE}/orders/ConsumerGroups"), "InvalidAudience"),
        (signed("sb://elsewhere.example/orders"), "InvalidAudience"),
        (signed(f"{SPACE}/", name="sender", key="s-key"), "InvalidSignature"),
    ],
)
def test_tokens_that_are_refused(token: str, expected: str) -> None:
    assert refusal(token) == (401, expected)


def test_a_hubs_key_is_for_that_hub() -> None:
    assert checked(signed(name="sender", key="s-key")).claims == {"Send"}
    other = signed(f"{SPACE}/other", name="sender", key="s-key")
    assert refusal(other, f"{SPACE}/other") == (401, "InvalidSignature")


GOOD = signed()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "SharedAccessSignature",
        "SharedAccessSignature ",
        "sharedaccesssignature " + GOOD.partition(" ")[2],
        GOOD.replace("skn=", "name="),
        GOOD + "&skn=root",
        GOOD + "&extra=1",
        re.sub("se=[0-9]+", "se=soon", GOOD),
        re.sub("se=[0-9]+", "se=-1", GOOD),
        re.sub("se=[0-9]+", "se=²", GOOD),
        re.sub("se=[0-9]+", "se=" + "9" * 400, GOOD),
        re.sub("&se=[0-9]+", "", GOOD),
        b"\xff\xfe",
    ],
)
def test_tokens_that_are_malformed(token: str | bytes) -> None:
    assert refusal(token) == (401, "MalformedToken")


@pytest.mark.parametrize(
    "change",
    [
        lambda token: re.sub("se=[0-9]+", f"se={int(LATER) + 1}", token),
        lambda token: re.sub("sig=[^&]+", "sig=", token),
        lambda token: re.sub("sig=[^&]+", "sig=%C3%A9", token),
        lambda token: token.replace("sig=", "sig=A"),
        lambda token: token.replace("sb%3A", "sb%3a"),
    ],
)
def test_a_token_that_was_changed_has_another_signature(change: Callable[[str], str]) -> None:
    assert refusal(change(GOOD)) == (401, "InvalidSignature")


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: f"SharedAccessSignature {text}"))
def test_no_garbage_is_accepted(token: str | bytes) -> None:
    for kind in (SAS, JWT):
        assert refusal(token, kind=kind)[0] == 401


def test_a_hub_that_is_not_there() -> None:
    status, _ = refusal(signed(SPACE), f"{SPACE}/missing")
    assert status == 404
    assert refusal(signed(SPACE, key="wrong"), f"{SPACE}/missing")[0] == 401


def test_a_kind_of_token_that_is_not_known() -> None:
    assert refusal(GOOD, kind="amqp:swt")[0] == 400


def test_the_clock_decides() -> None:
    assert checked(GOOD, now=LATER - 1).expires == LATER
    assert refusal(GOOD, now=LATER) == (401, "ExpiredToken")


@pytest.mark.parametrize(
    ("role", "claims"),
    [
        ("Azure Event Hubs Data Sender", {"Send"}),
        ("Azure Event Hubs Data Receiver", {"Listen"}),
        ("Azure Event Hubs Data Owner", {"Manage", "Send", "Listen"}),
        ("Reader", set()),
    ],
)
def test_a_jwt_carries_roles(role: str, claims: set[str]) -> None:
    token = tokens.jwt(CONFIG.jwt_key, roles=[role], expires=LATER)
    assert checked(token, kind=JWT) == Grant(("orders",), frozenset(claims), LATER)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (tokens.jwt("wrong", expires=LATER), "InvalidSignature"),
        (tokens.jwt(CONFIG.jwt_key, expires=NOW), "ExpiredToken"),
        (tokens.jwt(CONFIG.jwt_key, expires=LATER, audience="https://storage.azure.com"), "InvalidAudience"),
        ("a.b.c", "InvalidSignature"),
        ("", "InvalidSignature"),
        (GOOD, "InvalidSignature"),
    ],
)
def test_a_jwt_that_is_refused(token: str, expected: str) -> None:
    assert refusal(token, kind=JWT) == (401, expected)


def test_a_rule_of_the_test_decides_over_a_jwt() -> None:
    config = Config(["orders"], jwt_rule=lambda token, now: ["Send"] if token == "good" else None)
    audience = f"{SPACE}/orders"
    assert check("good", audience=audience, config=config, now=NOW, kind=JWT).claims == {"Send"}
    with pytest.raises(Refused, match="InvalidToken"):
        check("bad", audience=audience, config=config, now=NOW, kind=JWT)


def test_claims_count_when_a_link_is_attached() -> None:
    grants = Grants()
    assert "'Send' claim(s) are required" in str(grants.refusal("orders", ["Send"], NOW))
    grants.add(checked(signed(name="reader", key="r-key")))
    assert grants.refusal("orders/ConsumerGroups/$Default/Partitions/0", ["Listen"], NOW) is None
    assert "'Send' claim(s) are required" in str(grants.refusal("amqps://ns.example/orders", ["Send"], NOW))
    assert "'Listen' claim(s) are required" in str(grants.refusal("other", ["Listen"], NOW))
    grants.add(checked(signed(name="sender", key="s-key")))
    assert grants.refusal("orders/Partitions/1", ["Send"], NOW) is None
    assert grants.refusal("orders", ["Send", "Listen", "Manage"], NOW) is None


def test_a_grant_ends_with_its_token_and_a_newer_one_renews_it() -> None:
    grants = Grants()
    grants.add(checked(signed()))
    assert "ExpiredToken" in str(grants.refusal("orders", ["Send"], LATER))
    grants.add(checked(signed(until=LATER + 10)))
    assert grants.refusal("orders", ["Send"], LATER) is None
