"""The Kafka endpoint of a namespace: how librdkafka is told to get there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tailrace import Misconfigured
from tailrace_eventhubs.client import HubClient
from tailrace_eventhubs.connections import ca_file
from tailrace_eventhubs.credentials import Access

IDLE_MS = 180_000
"""Less than the four minutes after which the service closes a connection."""

Errors = Callable[[Any], None]


def kafka_options(client: HubClient, on_error: Errors) -> dict[str, Any]:
    """What any client of librdkafka needs. `on_error` gets what happens to connections, which no call
    tells."""
    access = client.access()
    options: dict[str, Any] = {
        "bootstrap.servers": client.address,
        "client.id": "tailrace-eventhubs",
        "security.protocol": "SASL_SSL" if access.endpoint.tls else "SASL_PLAINTEXT",
        "connections.max.idle.ms": IDLE_MS,
        "metadata.max.age.ms": IDLE_MS,
        "socket.keepalive.enable": True,
        "log_level": 0,
        "error_cb": on_error,
        **_sasl(access),
    }
    if access.endpoint.tls:
        options["ssl.ca.location"] = ca_file(client.target.ca_bundle)
    return options


def _sasl(access: Access) -> dict[str, Any]:
    if access.scheme == "identity":
        return {"sasl.mechanisms": "OAUTHBEARER", "oauth_cb": _token_of(access)}
    return {
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "$ConnectionString",
        "sasl.password": _connection_string(access),
    }


def _connection_string(access: Access) -> str:
    endpoint = f"Endpoint=sb://{access.host}/"
    if access.scheme == "token":
        return f"{endpoint};SharedAccessSignature={access.credential.signature}"
    name, key = access.credential.named_key
    return f"{endpoint};SharedAccessKeyName={name};SharedAccessKey={key}"


def _token_of(access: Access) -> Callable[[str], tuple[str, float]]:
    scope = f"https://{access.host}/.default"

    def get(_: str) -> tuple[str, float]:
        token = access.credential.get_token(scope)
        return token.token, float(token.expires_on)

    return get


def import_kafka() -> Any:
    """Raises Misconfigured where the extra is not installed."""
    try:
        import confluent_kafka
    except ImportError:
        raise Misconfigured(
            "transport=kafka needs the package confluent-kafka",
            hint="pip install 'tailrace-eventhubs[kafka]'",
        ) from None
    return confluent_kafka
