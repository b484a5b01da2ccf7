"""Accounts with a secret, and the ways to it."""

from __future__ import annotations

from tailrace import Secret, Tailrace

CANARY = "wJalrXUtnFEMIcanaryK7MDENG"


def sealed_account(t: Tailrace, name: str = "prod", **more: object) -> str:
    settings = {"region": "north-1", "secret_key": CANARY, **more}
    reference: str = t.accounts.add(name, destination="depot", settings=settings).settings["secret_key"]
    return reference


def reveal(t: Tailrace, reference: str) -> str:
    """Through the seam that plugins have."""
    t.accounts.add("any", destination="depot", settings={"region": "north-1"})
    t.connections.add("any", account="any", settings={"stream": "s"})
    t.activations.add("any", connection="any", segments=["1"])
    return t.activations.prepare("any", for_export=True).context.secret(Secret(reference))


def secret_of(t: Tailrace, account: str) -> str:
    """What the auth step of an account's connection is given."""
    if not any(connection.account == account for connection in t.connections.list()):
        t.connections.add(f"to-{account}", account=account, settings={"stream": "s"})
    return str(t.connections.test(f"to-{account}").identity)
