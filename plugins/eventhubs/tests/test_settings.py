"""What a user types in."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plugins.eventhubs.tests.kit import plan
from tailrace import ActivationInfo, Misconfigured
from tailrace_eventhubs import destination
from tailrace_eventhubs.hubs import ConnectionString, check_signed

SPEC = destination.account()
KEY = {"namespace": "crm", "sas_key_name": "sender", "sas_key": "env:X"}
PRINCIPAL = {"namespace": "crm", "credential": "service-principal", "tenant_id": "t", "client_id": "c"}
SIGNED = "SharedAccessSignature sr=sb%3A%2F%2Fcrm&sig=canary%2F%3D&se=1893456000&skn=sender"


@pytest.mark.parametrize(
    "fields",
    [
        KEY,
        {"namespace": "crm", "sasKeyName": "sender", "sasKey": "sealed:x"},
        {"connection_string": "file:/run/string"},
        {"connectionString": "env:X", "transport": "websocket", "proxy": "http://proxy.example:3128"},
        {"namespace": "crm", "sas_token": "env:X"},
        {"namespace": "crm", "credential": "default"},
        {"namespace": "crm", "credential": "managed-identity"},
        {"namespace": "crm", "credential": "managed-identity", "client_id": "c"},
        {
            "namespace": "crm",
            "credential": "workload-identity",
            "tenant_id": "t",
            "client_id": "c",
            "token_file": "/f",
        },
        {**PRINCIPAL, "client_secret": "env:X"},
        {**PRINCIPAL, "client_certificate": "/etc/app.pem"},
        {**KEY, "endpoint": "amqps://gateway.example:5671"},
        {**KEY, "endpoint": "sb://10.0.0.4"},
        {**KEY, "endpoint": "amqp://127.0.0.1:5672"},
        {**KEY, "endpoint": "amqp://localhost"},
        {**KEY, "transport": "kafka", "ca_bundle": "/etc/ca.pem"},
    ],
)
def test_accounts(fields: dict[str, Any]) -> None:
    SPEC.account(**fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "exactly one of"),
        ({"namespace": "crm"}, "exactly one of"),
        ({"namespace": "crm", "sas_key_name": "sender"}, "belong together"),
        ({"namespace": "crm", "sas_key": "env:X"}, "belong together"),
        ({"sas_key_name": "sender", "sas_key": "env:X"}, "namespace is missing"),
        ({**KEY, "sas_token": "env:X"}, "not sas_key and sas_token"),
        ({**KEY, "credential": "default"}, "not sas_key and credential"),
        ({"connection_string": "env:X", "namespace": "crm"}, "says the namespace"),
        ({"connection_string": "env:X", "endpoint": "amqps://h"}, "says the namespace"),
        ({**KEY, "client_id": "c"}, "needs credential=managed-identity or workload-identity"),
        ({"namespace": "crm", "credential": "default", "client_id": "c"}, "needs credential="),
        ({**PRINCIPAL}, "either client_secret or client_certificate"),
        ({**PRINCIPAL, "client_secret": "env:X", "client_certificate": "/f"}, "either"),
        (
            {"namespace": "crm", "credential": "service-principal", "client_secret": "env:X"},
            "needs tenant_id",
        ),
        ({"namespace": "crm", "credential": "password"}, "Input should be"),
        ({**KEY, "proxy": "http://proxy.example:3128"}, "needs transport=websocket"),
        ({**KEY, "transport": "websocket", "proxy": "socks5://p:1"}, "a proxy is"),
        ({**KEY, "transport": "websocket", "proxy": "http://u:canary@p:1"}, "HTTPS_PROXY"),
        ({**KEY, "transport": "websocket", "proxy": "http://169.254.169.254:80"}, "never"),
        ({**KEY, "transport": "mqtt"}, "Input should be"),
        ({**KEY, "endpoint": "amqp://h.example"}, "this machine only"),
        ({**KEY, "endpoint": "amqps://169.254.169.254"}, "never"),
        ({**KEY, "endpoint": "amqps://0xa9fea9fe"}, "never"),
        ({**KEY, "endpoint": "amqps://[::ffff:169.254.169.254]"}, "never"),
        ({**KEY, "endpoint": "amqps://u:canary@h.example"}, "no user name"),
        ({**KEY, "endpoint": "amqp://[::1]:5672"}, "by a name that leads to it"),
        ({**KEY, "endpoint": "amqps://h.example/hub"}, "no path"),
        ({**KEY, "endpoint": "http://127.0.0.1"}, "an endpoint is"),
        ({**KEY, "endpoint": "amqps://h.example:0"}, "not an address"),
        ({**KEY, "endpoint": "amqps://h.example:99999"}, "not an address"),
        ({**KEY, "namespace": "not a name"}, "namespace is its name"),
        ({**KEY, "namespace": "169.254.169.254"}, "never"),
        ({**KEY, "namespace": "sb://crm.servicebus.windows.net/"}, "not a host"),
        ({**KEY, "sas_key": "canary-literal"}, "env:NAME"),
        ({**KEY, "sas_key_name": "a b"}, "pattern"),
        ({**KEY, "naemspace": "x"}, "Extra inputs"),
    ],
)
def test_accounts_that_do_not_fit(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SPEC.account(**fields)
    assert said in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("crm", "crm.servicebus.windows.net"),
        ("CRM", "crm.servicebus.windows.net"),
        ("crm.servicebus.windows.net", "crm.servicebus.windows.net"),
        ("crm.servicebus.chinacloudapi.cn.", "crm.servicebus.chinacloudapi.cn"),
    ],
)
def test_the_host_of_a_namespace(given: str, host: str) -> None:
    assert plan(None, namespace=given).settings["namespace"] == host


@pytest.mark.parametrize("hub", ["hot-leads", "a", "A_b.c-9", "x" * 256])
def test_hubs(hub: str) -> None:
    SPEC.connection(event_hub_name=hub)
    SPEC.connection(eventHubName=hub)


@pytest.mark.parametrize("hub", ["", "x" * 257, "hot leads", "hot/leads", "é", "-a", "a.", "a\n"])
def test_not_hubs(hub: str) -> None:
    with pytest.raises(ValidationError):
        SPEC.connection(event_hub_name=hub)


@pytest.mark.parametrize("field", ["partition_key", "partition_key_hash", "partition_key_missing"])
def test_round_robin_has_no_key(field: str) -> None:
    value = {
        "partition_key": "identity:crm",
        "partition_key_hash": "sha256",
        "partition_key_missing": "random",
    }
    SPEC.connection(event_hub_name="h", partitioning="client-hash", **{field: value[field]})
    with pytest.raises(ValidationError, match=f"{field} needs partitioning"):
        SPEC.connection(event_hub_name="h", partitioning="round-robin", **{field: value[field]})


def test_the_plan_of_each_partitioning() -> None:
    keyed = plan(None, connection={"partition_key": "attribute:a.b", "partition_key_hash": "sha256"})
    assert (keyed.key.rule, keyed.key.hash, keyed.key.missing) == ("attribute:a.b", "sha256", "dead-letter")
    assert keyed.limits.key_bytes == 128
    hashed = plan(None, connection={"partitioning": "client-hash", "partition_key_missing": "random"})
    assert (hashed.key.rule, hashed.key.missing, hashed.limits.key_bytes) == ("identity", "random", None)
    robin = plan(None, connection={"partitioning": "round-robin"})
    assert (robin.key.rule, robin.limits.key_bytes) == ("random", None)
    assert {made.settings["partitioning"] for made in (keyed, hashed, robin)} == {
        "key",
        "client-hash",
        "round-robin",
    }
    assert {made.destination for made in (keyed, hashed, robin)} == {"eventhubs"}


@pytest.mark.parametrize("field", [{"event_id_property": "id"}, {"cloudevents_mode": "binary"}])
def test_what_needs_the_format_cloudevents(field: dict[str, str]) -> None:
    assert plan(None, connection=field, format="cloudevents").settings.items() >= field.items()
    with pytest.raises(Misconfigured, match="needs the format cloudevents"):
        plan(None, connection=field)


@pytest.mark.parametrize(
    ("format", "mode", "given", "expected"),
    [
        ("cloudevents", "structured", None, "application/cloudevents+json"),
        ("cloudevents", "structured", "Application/CloudEvents+JSON; charset=utf-8", None),
        ("cloudevents", "binary", None, None),
        ("cloudevents", "binary", "application/x", "application/x"),
        ("xdm-json", "structured", None, None),
        ("xdm-json", "structured", "a/b", "a/b"),
    ],
)
def test_the_content_type(format: str, mode: str, given: str | None, expected: str | None) -> None:
    fields = {"cloudevents_mode": mode, "content_type": given}
    assert plan(None, connection=fields, format=format).settings["content_type"] == (expected or given)


@pytest.mark.parametrize(
    ("mode", "given"),
    [
        ("binary", "application/cloudevents+json"),
        ("binary", "APPLICATION/cloudevents+json; charset=utf-8"),
        ("structured", "application/json"),
    ],
)
def test_a_content_type_that_contradicts_the_mode_is_refused(mode: str, given: str) -> None:
    with pytest.raises(Misconfigured, match=f"does not fit cloudevents_mode={mode}") as caught:
        plan(None, connection={"cloudevents_mode": mode, "content_type": given}, format="cloudevents")
    assert "unset content_type" in str(caught.value.hint)


def test_a_plan_travels_without_a_secret() -> None:
    made = plan(None)
    pickled = pickle.dumps(made)
    assert pickle.loads(pickled) == made
    assert b"canary" not in pickled
    assert b"env:sender" in pickled


def test_every_field_says_what_it_is() -> None:
    for model in (SPEC.account, SPEC.connection):
        for name, field in model.model_fields.items():
            assert field.title, name
            assert field.description, name


def test_the_policy_of_a_key_and_of_an_identity() -> None:
    connection = SPEC.connection(event_hub_name="hot-leads")
    claim = destination.policy(SPEC.account(**KEY), connection)
    assert '"rights": [\n      "Send"\n    ]' in claim and '"crm/hot-leads/sender"' in claim
    role = destination.policy(SPEC.account(namespace="crm", credential="default"), connection)
    assert "Azure Event Hubs Data Sender" in role
    assert "/providers/Microsoft.EventHub/namespaces/crm/eventhubs/hot-leads" in role
    unknown = destination.policy(SPEC.account(connection_string="env:X"), connection)
    assert "<namespace>/hot-leads/<policy>" in unknown


# Connection strings, which are secrets and so are read where they are used

WHOLE = "Endpoint=sb://crm.servicebus.windows.net/;SharedAccessKeyName=sender;SharedAccessKey=canary/+=="


@pytest.mark.parametrize(
    ("text", "host", "port", "tls", "hub"),
    [
        (WHOLE, "crm.servicebus.windows.net", None, True, None),
        (WHOLE + ";", "crm.servicebus.windows.net", None, True, None),
        (WHOLE + ";EntityPath=hot-leads", "crm.servicebus.windows.net", None, True, "hot-leads"),
        (WHOLE.replace("Endpoint", " endpoint "), "crm.servicebus.windows.net", None, True, None),
        (WHOLE.replace(".net/", ".net:5671"), "crm.servicebus.windows.net", 5671, True, None),
        (
            "Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=k;SharedAccessKey=canary;UseDevelopmentEmulator=true;",
            "127.0.0.1",
            9,
            False,
            None,
        ),
        (f"Endpoint=sb://crm.example/;SharedAccessSignature={SIGNED}", "crm.example", None, True, None),
    ],
)
def test_connection_strings(text: str, host: str, port: int | None, tls: bool, hub: str | None) -> None:
    found = ConnectionString.parse(text)
    assert (found.endpoint.host, found.endpoint.port, found.endpoint.tls) == (host, port, tls)
    assert found.hub == hub
    assert "canary" in (found.key or found.token or "")
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "part 1"),
        ("canary", "part 1"),
        (WHOLE + ";canary", "part 4"),
        (WHOLE + ";canary=canary", "part 4"),
        (WHOLE + ";SharedAccessKey=canary", "twice"),
        (WHOLE.partition(";")[2], "Endpoint: it is missing"),
        (WHOLE.replace("SharedAccessKeyName=sender;", ""), "SharedAccessKeyName is missing"),
        ("Endpoint=sb://h.example;SharedAccessKeyName=sender", "SharedAccessKey is missing"),
        ("Endpoint=sb://h.example;SharedAccessKeyName=canary;SharedAccessKey=", "SharedAccessKey is empty"),
        (WHOLE.replace("sb://", "canary://"), "Endpoint"),
        (WHOLE.replace("crm.servicebus.windows.net/", "169.254.169.254"), "never"),
        (WHOLE + ";UseDevelopmentEmulator=true", "this machine only"),
        (WHOLE + ";UseDevelopmentEmulator=canary", "neither true nor false"),
        (WHOLE + ";EntityPath=not/canary", "EntityPath"),
        (f"{WHOLE};SharedAccessSignature={SIGNED}", "both"),
        ("Endpoint=sb://h.example;SharedAccessSignature=canary", "a SAS token is"),
    ],
)
def test_connection_strings_that_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        ConnectionString.parse(text)
    assert said in str(caught.value)
    assert "canary" not in str(caught.value)


@given(cut=st.integers(0, len(WHOLE) - 1), put=st.text(max_size=5))
def test_no_damaged_connection_string_tells_its_key(cut: int, put: str) -> None:
    key = "canarykey0123456789"
    text = WHOLE.replace("canary/+==", key)
    damaged = text[:cut] + put + text[cut:]
    try:
        found = repr(ConnectionString.parse(damaged))
    except ValueError as error:
        found = str(error)
    assert key[:8] not in found


@pytest.mark.parametrize(
    "text",
    [
        "canary",
        SIGNED.removeprefix("SharedAccessSignature "),
        SIGNED.replace("sig=", "gis="),
        SIGNED.replace("&se=1893456000", ""),
        SIGNED.replace("1893456000", "canary"),
        SIGNED.replace("skn=sender", "skn="),
    ],
)
def test_sas_tokens_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_signed(text)
    assert "canary" not in str(caught.value)


def test_a_sas_token_says_its_policy() -> None:
    assert check_signed(SIGNED) == "sender"


def test_what_the_steps_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The activate step does no I/O: secrets are not asked for."""
    made = destination.activate(
        SPEC.account(connection_string="env:NOT_SET"),
        SPEC.connection(event_hub_name="h"),
        ActivationInfo(name="a", format="xdm-json"),
    )
    assert made.settings["namespace"] is None
