"""`tailrace connection`: one place inside an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli import complete, listing, render, shapes
from tailrace.cli.assignments import read_given, read_new
from tailrace.cli.console import Console
from tailrace.cli.options import (
    ConnectionName,
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
from tailrace.errors import AuthenticationFailed, ConfigurationError, TailraceError, Unavailable

if TYPE_CHECKING:
    from tailrace.client import Tailrace
    from tailrace.destination import AuthReport

MARKS = {"ok": "ok", "failed": "failed", "unproven": "not proved"}
MARK = max(map(len, MARKS.values()))

app = noun("connection", "One place inside an account, which records are sent to.")

Account = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="A",
        help="The account that may write there.",
        autocompletion=complete.accounts,
        show_default=False,
    ),
]
Test = Annotated[
    bool, typer.Option("--test", help="Run the authentication step afterwards.", show_default=False)
]


@command(app, "add")
def add(
    console: Console,
    name: NewName,
    account: Account = None,
    set_: Set = None,
    description: Description = None,
    test: Test = False,
) -> None:
    """Add a connection. Its form is checked; the network is touched with --test only. A connection
    whose test fails stays."""
    with console.open() as t:
        account = required(console, account, "--account", lambda: [each.name for each in t.accounts.list()])
        destination = t.accounts.get(account).destination
        settings = read_new(console, t.destinations.get(destination).connection, set_)
        connection = t.connections.add(
            name, account=account, settings=settings, description=description or ""
        )
        if not test or not console.json:
            listing.stored(console, "connection", connection, f"connection {connection.name} added")
        if test:
            _test(console, t, name, {"connection": shapes.stored(connection)})


@command(app, "list")
def list_(console: Console) -> None:
    """List the connections."""
    with console.open() as t:
        listing.many(
            console,
            "connections",
            t.connections.list(),
            {
                "name": "NAME",
                "account": "ACCOUNT",
                "destination": "DESTINATION",
                "version": "VERSION",
                "description": "DESCRIPTION",
            },
            empty="no connections; add one with: tailrace connection add NAME --account A",
        )


@command(app, "show")
def show(console: Console, name: ConnectionName) -> None:
    """Show one connection."""
    with console.open() as t:
        listing.one(console, "connection", t.connections.get(name))


@command(app, "update")
def update(
    console: Console,
    name: ConnectionName,
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
            destination = t.connections.get(name).destination
            settings = read_given(console, t.destinations.get(destination).connection, set_)
        connection = t.connections.update(
            name,
            settings=settings,
            unset=tuple(unset or ()),
            description=description,
            new_name=new_name,
            if_version=if_version,
        )
        listing.stored(
            console,
            "connection",
            connection,
            f"connection {connection.name} is at version {connection.version}",
        )


@command(app, "remove")
def remove(console: Console, name: ConnectionName, if_version: IfVersion = None) -> None:
    """Remove a connection that no activation uses."""
    with console.open() as t:
        t.connections.remove(name, if_version=if_version)
        listing.removed(console, "connection", name)


@command(app, "test")
def test(console: Console, name: ConnectionName) -> None:
    """The authentication step: who am I, does the place exist, may I write. No record is sent."""
    with console.open() as t:
        _test(console, t, name, {})


@command(app, "policy")
def policy(console: Console, name: ConnectionName) -> None:
    """Print the least-privilege policy that an export over this connection needs."""
    with console.open() as t:
        text = t.connections.policy(name)
        if console.json:
            console.result({"policy": text})
        else:
            console.print(text.rstrip("\n"))


FAILED: dict[int, type[TailraceError]] = {
    4: AuthenticationFailed,
    3: ConfigurationError,
    6: Unavailable,
}
WORST_FIRST = list(FAILED)


def _test(console: Console, t: Tailrace, name: str, shape: dict[str, object]) -> None:
    try:
        report = t.connections.test(name)
    except TailraceError as error:
        if not shape:
            raise
        error.hint = "; ".join(filter(None, (f"connection {name!r} was added all the same", error.hint)))
        console.error(error)
        if console.json:
            console.result(shape, error)
        raise typer.Exit(error.exit_code) from None
    failed = [check for check in report.checks if check.status == "failed"]
    wrong = None
    if failed:
        worst = min(failed, key=lambda check: WORST_FIRST.index(check.exit_code))
        wrong = FAILED[worst.exit_code](
            f"connection {name!r} failed: {', '.join(check.name for check in failed)}",
            hint=next((check.hint for check in failed if check.hint), None),
        )
        console.error(wrong)
    if console.json:
        console.result(shape | {"report": shapes.report(report)}, wrong)
    else:
        _print_report(console, report)
    if wrong is not None:
        raise typer.Exit(wrong.exit_code)


def _print_report(console: Console, report: AuthReport) -> None:
    if report.identity:
        console.print(render.pairs([("identity", report.identity)]))
    width = max((len(check.name) for check in report.checks), default=0)
    console.print(
        render.pairs(
            (f"{MARKS[check.status]:{MARK}}  {check.name:{width}}", _with_hint(check.detail, check.hint))
            for check in report.checks
        )
    )
    if report.limits:
        console.print("limits")
        console.print(render.pairs(report.limits.items(), indent=2))


def _with_hint(detail: str, hint: str | None) -> str:
    return detail if hint is None else f"{detail}\nhint: {hint}"
