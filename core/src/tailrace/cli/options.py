"""Options that commands share, and the decorators that give every command its common ones.

`--json`, `--no-input` and `-v` are accepted after any subcommand, and before it too.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from tailrace.cli import complete
from tailrace.cli.console import Console
from tailrace.errors import Interrupted, SourceNotFound
from tailrace.objects import MOST_IN_FLIGHT

Json = Annotated[
    bool, typer.Option("--json", help="Write one JSON object to standard output.", show_default=False)
]
NoInput = Annotated[
    bool, typer.Option("--no-input", help="Never ask; a missing value is an error.", show_default=False)
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        show_default=False,
        help="Log ids, sizes and codes to standard error; see TAILRACE_LOG.",
    ),
]
_COMMON: dict[str, tuple[Any, Any]] = {
    "as_json": (Json, False),
    "no_input": (NoInput, False),
    "verbose": (Verbose, False),
}

NewName = Annotated[str, typer.Argument(metavar="NAME", help="Its name.", show_default=False)]
AccountName = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Name of the account.", autocompletion=complete.accounts, show_default=False
    ),
]
ConnectionName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Name of the connection.",
        autocompletion=complete.connections,
        show_default=False,
    ),
]
ActivationName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Name of the activation.",
        autocompletion=complete.activations,
        show_default=False,
    ),
]
Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="JSON lines: files, plain, .gz or .zst; `-` is standard input.",
        show_default=False,
    ),
]
SourcesIfAny = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE",
        help="JSON lines: files, plain, .gz or .zst; `-` is standard input.",
        show_default=False,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        show_default=False,
        help="A field that the destination declares; NAME=- reads a line of standard input, "
        "NAME=@FILE a file. Repeatable.",
    ),
]
Unset = Annotated[
    list[str] | None,
    typer.Option("--unset", metavar="NAME", show_default=False, help="Forget a field. Repeatable."),
]
Description = Annotated[
    str | None, typer.Option("--description", metavar="TEXT", show_default=False, help="For people.")
]
Rename = Annotated[
    str | None, typer.Option("--name", metavar="NEWNAME", show_default=False, help="Rename it.")
]
IfVersion = Annotated[
    int | None,
    typer.Option(
        "--if-version",
        metavar="N",
        show_default=False,
        help="Refuse if it is no longer at this version.",
    ),
]
GiveUpAfter = Annotated[
    float,
    typer.Option(
        "--give-up-after",
        metavar="SECONDS",
        min=0,
        help="Stop when no record was accepted for so long.",
    ),
]
MaxPause = Annotated[
    float | None,
    typer.Option(
        "--max-pause",
        metavar="SECONDS",
        min=0,
        show_default=False,
        help="How long to wait for a missing permission, place or key to be granted "
        "(default: 300, and 0 until a record was accepted).",
    ),
]
InFlight = Annotated[
    int | None,
    typer.Option(
        "--in-flight",
        metavar="N",
        min=1,
        max=MOST_IN_FLIGHT,
        show_default=False,
        help="Requests at the same time (default: what the destination says, often 8).",
    ),
]
MaxLineBytes = Annotated[
    int,
    typer.Option("--max-line-bytes", metavar="N", min=1, help="A longer line becomes a dead letter."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.", show_default=False)]
Memberships = Literal["mapped", "all"]
Ordering = Literal["key", "none"]

Command = Callable[..., None]


def check_sources(sources: list[str]) -> None:
    """Refuse standard input that was closed before the start, before anything is opened or recorded."""
    if "-" in sources and sys.stdin is None:
        raise SourceNotFound("standard input is closed", hint="name a file, or pipe updates in")


def check_files(sources: list[str]) -> None:
    """The same of a command that follows nothing, so that a directory is refused without a hint at it."""
    check_sources(sources)
    for source in sources:
        if os.path.isdir(source):
            shown = os.fsencode(source).decode("utf-8", "backslashreplace")
            raise SourceNotFound(f"source {shown} is a directory", hint="name the files in it")


class PlainCommand(TyperCommand):
    """A command whose help writes `NAME`, not `{NAME}` and `NAME <str>`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        records = [(each, each.get_help_record(ctx)) for each in self.get_params(ctx)]
        for title, kind in (("Arguments", "argument"), ("Options", "option")):
            rows = [(r[0], r[1]) for p, r in records if r is not None and p.param_type_name == kind]
            if kind == "argument":
                rows = [(name.partition(" <")[0], help) for name, help in rows]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def noun(name: str, help: str, *, bare: Command | None = None) -> typer.Typer:
    """A group of commands. `bare` runs when none of them is named; otherwise help is shown."""
    app = typer.Typer(
        name=name,
        help=help,
        no_args_is_help=bare is None,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
    )

    def callback(
        context: typer.Context, as_json: Json = False, no_input: NoInput = False, verbose: Verbose = False
    ) -> None:
        remember(context, as_json=as_json, no_input=no_input, verbose=verbose)
        if bare is not None and context.invoked_subcommand is None:
            _run(context, bare)

    app.callback(invoke_without_command=bare is not None, help=help)(callback)
    return app


def verb() -> typer.Typer:
    """A command that stands alone, for a module with one `command`."""
    return typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


def command(app: typer.Typer, name: str) -> Callable[[Command], Command]:
    """Register a function as a command. Its first argument is the console, made here out of the
    common options, which are added to the function's own."""

    def register(function: Command) -> Command:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        common = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for key, (kind, default) in _COMMON.items()
        ]
        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        parameters = [context, *own, *common]

        @functools.wraps(function)
        def call(context: typer.Context, **values: Any) -> None:
            remember(context, **{key: values.pop(key) for key in _COMMON})
            _run(context, functools.partial(function, **values))

        # typer reads these two; `call` itself takes keywords only.
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in parameters}
        app.command(name, cls=PlainCommand)(call)
        return function

    return register


def remember(context: typer.Context, *, as_json: bool, no_input: bool, verbose: bool) -> None:
    """Keep the common options; `context.meta` is shared by a command and the groups above it."""
    meta = context.meta
    meta["as_json"] = meta.get("as_json", False) or as_json
    meta["no_input"] = meta.get("no_input", False) or no_input
    meta["verbose"] = meta.get("verbose", False) or verbose


def _run(context: typer.Context, function: Command) -> None:
    from tailrace.cli.logs import logging_to_stderr

    console = Console(json=context.meta["as_json"], no_input=context.meta["no_input"])
    with logging_to_stderr(context.meta["verbose"]):
        try:
            function(console)
        except KeyboardInterrupt:  # typer would make a silent exit of it
            raise Interrupted("interrupted") from None
    if console.unwritable and not console.keeps_code:
        raise typer.Exit(1)
