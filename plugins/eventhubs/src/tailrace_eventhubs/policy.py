"""The least privilege of a connection: a role assignment, or the claim of a SAS policy."""

from __future__ import annotations

import json

from tailrace_eventhubs.hubs import PUBLIC_CLOUD
from tailrace_eventhubs.target import Target

ROOT_POLICY = "RootManageSharedAccessKey"
"""The policy that every namespace begins with."""
SENDER_ROLE = "Azure Event Hubs Data Sender"
SENDER_ROLE_ID = "2b629674-e913-4c01-ae53-ef4638d8f975"
"""Of the built-in role, the same in every tenant."""


def write_policy(target: Target) -> str:
    """JSON that says what to grant. Subscription, resource group and, where a connection string holds it,
    the namespace are not known here and stand as `<…>`."""
    if target.credential is None:
        return json.dumps(_claim(target), indent=2)
    return json.dumps(
        {
            "roleDefinitionName": SENDER_ROLE,
            "roleDefinitionId": SENDER_ROLE_ID,
            "scope": "/subscriptions/<subscription>/resourceGroups/<resource group>" + _hub_path(target),
        },
        indent=2,
    )


def _claim(target: Target) -> dict[str, object]:
    """A shared access policy of the event hub itself, so that its key opens no other one."""
    return {
        "type": "Microsoft.EventHub/namespaces/eventhubs/authorizationRules",
        "name": f"{_namespace(target)}/{target.event_hub_name}/{target.sas_key_name or '<policy>'}",
        "properties": {"rights": ["Send"]},
    }


def _hub_path(target: Target) -> str:
    namespace = _namespace(target)
    return f"/providers/Microsoft.EventHub/namespaces/{namespace}/eventhubs/{target.event_hub_name}"


def _namespace(target: Target) -> str:
    if target.namespace is None:
        return "<namespace>"
    name, _, domain = target.namespace.partition(".")
    return name if domain == PUBLIC_CLOUD or domain.startswith("servicebus.") else target.namespace
