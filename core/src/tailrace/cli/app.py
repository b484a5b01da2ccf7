"""The root command. A subcommand's module is imported when it is used, so that help is fast."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tailrace.cli.options import Json, NoInput, Verbose, remember

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Set up": {
        "destinations": ("destinations", "What is installed, its steps, fields, limits and formats."),
        "account": ("accounts", "Credentials for a destination."),
        "connection": ("connections", "One place inside an account."),
        "activation": ("activations", "What flows to a connection: segments, attributes, identities."),
        "formats": ("formats", "Format contracts: schema and examples."),
    },
    "Run": {
        "preview": ("preview", "Show the exact records and keys; nothing is sent."),
        "export": ("exports", "Send the updates of one or more sources to the destination."),
        "backfill": ("backfills", "Send the members of a segment that was added to an activation."),
        "demo": ("demonstration", "The whole way, to a server that runs on this machine."),
    },
    "Prove": {
        "selftest": ("selftests", "Faults on this machine: what is expected, what was seen."),
    },
    "Look back": {
        "state": ("states", "What an activation remembers between runs: how far each source is settled."),
        "runs": ("runs", "Finished and running exports, with their ledgers."),
        "dead-letters": ("deadletters", "Updates that could not be delivered, and why."),
    },
}
MODULES = {name: (module, help) for section in SECTIONS.values() for name, (module, help) in section.items()}


class LazyGroup(TyperGroup):
    """A group whose commands are known by name; each is built on first use."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = dict.fromkeys(MODULES)  # type: ignore[assignment]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in self.commands and self.commands[cmd_name] is None:
            module = import_module(f"tailrace.cli.{MODULES[cmd_name][0]}")
            self.commands[cmd_name] = built = typer.main.get_command(module.app)
            built.name = cmd_name
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                width = max(map(len, MODULES))
                formatter.write_dl([(f"{name:{width}}", help) for name, (_, help) in commands.items()])


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tailrace {version('tailrace')}")
        raise typer.Exit


@app.callback(
    epilog="Exit codes: 0 ok, 1 unexpected, 2 usage, 3 configuration, 4 authentication, 5 finished "
    "with dead letters, 6 destination unavailable, 7 plugin failed, 8 source unreadable, "
    "130 interrupted."
)
def root(
    context: typer.Context,
    as_json: Json = False,
    no_input: NoInput = False,
    verbose: Verbose = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version.", callback=_show_version, is_eager=True, show_default=False
        ),
    ] = False,
) -> None:
    """Activate audience segments into streaming destinations."""
    remember(context, as_json=as_json, no_input=no_input, verbose=verbose)
