"""`tailrace account`: credentials for a destination."""

from __future__ import annotations

from typing import Annotated

import typer

from tailrace.cli import complete, listing
from tailrace.cli.assignments import read_given, read_new
from tailrace.cli.console import Console
from tailrace.cli.destinations import names
from tailrace.cli.options import (
    AccountName,
    Description,
    IfVersion,
    NewName,
    Rename,
    Set,
    Unset,
    command,
    noun,
)
from tailrace.cli.prompts import required

app = noun("account", "Credentials, and where they are valid, for one destination.")

Destination = Annotated[
    str | None,
    typer.Option(
        "--destination",
        metavar="D",
        help="The kind of place; see `tailrace destinations`.",
        autocompletion=complete.destinations,
        show_default=False,
    ),
]


@command(app, "add")
def add(
    console: Console,
    name: NewName,
    destination: Destination = None,
    set_: Set = None,
    description: Description = None,
) -> None:
    """Add an account. Its form is checked; the network is not touched."""
    with console.open() as t:
        destination = required(console, destination, "--destination", lambda: names(t))
        settings = read_new(console, t.destinations.get(destination).account, set_)
        account = t.accounts.add(
            name, destination=destination, settings=settings, description=description or ""
        )
        listing.stored(console, "account", account, f"account {account.name} added")


@command(app, "list")
def list_(console: Console) -> None:
    """List the accounts."""
    with console.open() as t:
        listing.many(
            console,
            "accounts",
            t.accounts.list(),
            {
                "name": "NAME",
                "destination": "DESTINATION",
                "version": "VERSION",
                "description": "DESCRIPTION",
            },
            empty="no accounts; add one with: tailrace account add NAME --destination D",
        )


@command(app, "show")
def show(console: Console, name: AccountName) -> None:
    """Show one account. Secrets are shown as references."""
    with console.open() as t:
        listing.one(console, "account", t.accounts.get(name))


@command(app, "update")
def update(
    console: Console,
    name: AccountName,
    set_: Set = None,
    unset: Unset = None,
    description: Description = None,
    new_name: Rename = None,
    if_version: IfVersion = None,
) -> None:
    """Change what is given; the rest stays. The network is not touched."""
    with console.open() as t:
        settings = None
        if set_:
            destination = t.accounts.get(name).destination
            settings = read_given(console, t.destinations.get(destination).account, set_)
        account = t.accounts.update(
            name,
            settings=settings,
            unset=tuple(unset or ()),
            description=description,
            new_name=new_name,
            if_version=if_version,
        )
        listing.stored(console, "account", account, f"account {account.name} is at version {account.version}")


@command(app, "remove")
def remove(console: Console, name: AccountName, if_version: IfVersion = None) -> None:
    """Remove an account that no connection uses."""
    with console.open() as t:
        t.accounts.remove(name, if_version=if_version)
        listing.removed(console, "account", name)


@command(app, "rekey")
def rekey(console: Console) -> None:
    """Make a new key and encrypt every stored secret with it."""
    with console.open() as t:
        number = t.accounts.rekey()
        if console.json:
            console.result({"rekeyed": number})
        elif not number:
            console.print("no secret is stored encrypted; there is nothing to encrypt with a new key")
        else:
            console.print(f"{number} {'secret' if number == 1 else 'secrets'} encrypted with a new key")
