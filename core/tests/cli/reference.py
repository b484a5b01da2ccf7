"""docs/cli.md, made from the commands themselves: `python -m core.tests.cli.reference > docs/cli.md`.

A test compares the page with what this prints.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from typing import Any

import typer

from core.tests.cli.samples import SHAPES
from tailrace import errors
from tailrace.cli.app import SECTIONS, app

COMMON = ("--json", "--no-input", "-v", "--verbose", "--help")

HEAD = """\
# Command line

`tailrace` is a thin layer over the Python API: whatever it does, `tailrace.open()` does too. This page
is generated from the commands; `tailrace COMMAND --help` says the same.

    tailrace [OPTIONS] COMMAND [ARGS]...
"""

CONVENTIONS = """\
## What all commands share

| option | meaning |
|---|---|
| `--json` | one JSON object on standard output, errors included; its shapes are below |
| `--no-input` | never ask; a missing value is a usage error |
| `-v`, `--verbose` | log ids, sizes, codes and request ids to standard error; never a body or a secret |
| `--help` | say what the command takes |

They are accepted after any subcommand, and before it. Results go to standard output; errors, warnings,
logs, questions and progress go to standard error, so that a pipe holds the result and nothing else. The
first line of an error is `error: MESSAGE`, and a `hint: …` follows where there is something to do. A
closed pipe (`tailrace preview … | head -1`) ends quietly.

**Settings.** What a destination declares is given with `--set NAME=VALUE`; `tailrace destinations show D`
lists the names. `NAME=-` reads one line of standard input (hidden, on a terminal), `NAME=@FILE` a file
without its last line end. A secret is best a reference: `env:VARIABLE`, `file:PATH` or
`keyring:SERVICE/USER`; a literal one is stored encrypted, and a warning reminds of the shell's history.

**Questions.** On a terminal a required field that is missing is asked for, a secret without echo. Elsewhere,
and with `--no-input`, the error names every field that is missing. A field that is needed only beside another
one, as a secret key beside an access key, is not asked for: the error names it; `NAME=-` lets it be typed.

**Versions.** `--if-version N` refuses a change if the object has moved on since version N was read.

**Progress.** `export` shows what was read and exported, the rate, requests in flight, retries, dead letters
and, where the size is known, the time left: on a terminal as a display that rewrites itself, elsewhere as a
line every five seconds, the first after five seconds. `--quiet` shows none. Where the export waits until
somebody grants or mends something, it says what; a line of the log says it once, with `--quiet` too. At the
end comes the ledger, whose numbers add up. *Paused* is a run that somebody told so, with `runs pause`.

**Ctrl-C, SIGTERM and SIGHUP** during an export stop reading, settle what was read, for 30 seconds at most and
for 5 without an accepted record, and end with 130; a second Ctrl-C or SIGTERM ends at once. A hangup (SIGHUP)
never counts as a second one, since a terminal that closes sends several; one that is ignored (`nohup`) stays
ignored. Every other command, and an export that has not begun, is ended by the first with 130. Where Ctrl-C
ends the writer of standard input too, in the middle of a line, that line is the last one that was read, and
so a dead letter: `invalid-json`.

**Completion.** `tailrace --install-completion SHELL` installs it, `tailrace --show-completion SHELL` prints
it, for bash, zsh, fish, powershell and pwsh. Without SHELL the shell that called is looked up. Names of
accounts, connections, activations, destinations and formats are completed too.
"""

ENVIRONMENT = """\
## Environment

| variable | meaning |
|---|---|
| `TAILRACE_HOME` | the folder of the database and the dead letters; else the user's data folder |
| `TAILRACE_DATABASE_URL` | a database elsewhere, such as PostgreSQL |
| `TAILRACE_SECRET_KEY` | the key that stored secrets are encrypted with, where no keyring or file is wanted |
| `TAILRACE_LOG` | `debug`, `info` or `warning` (the default); `debug` shows where an unexpected error was |
| `TAILRACE_WRITE_TIMEOUT` | seconds within which a destination's write must return; 60 unless given |
| `TAILRACE_STRICT_PLUGINS` | `1`: a plugin that wraps the steps and fails to load ends the command |
| `TAILRACE_CONFIG_DIR` | the folder of the key file; the user's configuration folder unless given |
| `TAILRACE_KEYRING` | `off`: do not use the operating system's keyring |
| `TAILRACE_PLUGINS` | the only plugins that may load, separated by commas |
| `TAILRACE_DISABLE_PLUGINS` | plugins that may not load |
| `NO_COLOR` | no colours |
"""

EXIT_CODES = (
    (0, "it did what it was asked"),
    (1, "an unexpected error; the demo's comparison found a difference; a row of the selftest failed"),
    (
        2,
        "the call is wrong: an option or a field that is not valid, a destination that is not installed, "
        "a source file that is missing",
    ),
    (
        3,
        "what is set up does not fit: no object of that name, a name that is taken, an object in use, "
        "a version that has moved, a disabled activation, one that is being exported, or is not where it has "
        "to be; a secret that is not there, a lost key; a home or database that cannot be used, a damaged "
        "state, one that another home holds; no such stream",
    ),
    (4, "the credentials are missing or refused, or may not write"),
    (5, "the export finished, with dead letters"),
    (6, "the destination is unavailable after retries; what was read and not sent is pending"),
    (7, "a plugin failed to load or broke its contract"),
    (8, "a source was unreadable part-way; what came before is settled"),
    (130, "interrupted"),
)


SECRETS = """\
A secret that is a reference (`env:`, `file:`, `keyring:`) is looked up when an export begins. One that leads
nowhere ends it with 3 even where nothing is to be sent, rather than on the day when something is.
"""

OUTPUT_LOST = """\
Standard output that cannot be written (a full disk, a terminal that is gone) ends a command with 1 and an
`error:`. An export has done its work all the same, and its code says which: it keeps its code, and the
message is a `warning:`; so does a command that ends with an error of its own. `tailrace runs show` has the
ledger again.
"""


def page() -> str:
    """The whole page."""
    parts = []
    root = typer.main.get_command(app)
    context = root.context_class(root, info_name="tailrace")
    for title, names in SECTIONS.items():
        parts.append(f"### {title}\n")
        for name in names:
            parts += _commands(root.get_command(context, name), name, context)  # type: ignore[attr-defined]
    # The modules of all commands, and with them their errors, are loaded now.
    return "\n".join([HEAD, CONVENTIONS, _exit_codes(), ENVIRONMENT, "## Commands\n", *parts, _shapes()])


def _exit_codes() -> str:
    lines = ["## Exit codes\n", "| code | meaning | `error.code` in JSON |", "|---|---|---|"]
    for code, meaning in EXIT_CODES:
        names = sorted(
            {f"`{kind.code}`" for kind in _tree(errors.TailraceError) if code and kind.exit_code == code}
        )
        lines.append(f"| {code} | {meaning} | {', '.join(names)} |")
    lines.append("\nWhere several hold, the first of 130, 7, 4, 3, 6, 8, 5, 0 is given.\n")
    lines += [SECRETS, OUTPUT_LOST]
    return "\n".join(lines)


def _tree(kind: type[errors.TailraceError]) -> Iterator[type[errors.TailraceError]]:
    if kind.__module__.startswith("tailrace."):
        yield kind
    for sub in kind.__subclasses__():
        yield from _tree(sub)


def _commands(command: Any, name: str, parent: Any) -> Iterator[str]:
    """The section of a command, or those of each command of a group."""
    context = command.context_class(command, info_name=name, parent=parent)
    below = getattr(command, "commands", None)
    if not below:
        yield _section(command, context)
        return
    yield f"#### {context.command_path}\n\n{command.help}\n"
    for each, sub in below.items():
        yield from _commands(sub, each, context)


def _section(command: Any, context: Any) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"##### {context.command_path}\n", f"    {context.command_path} {usage}\n"]
    lines.append(inspect.cleandoc(command.help or "") + "\n")
    rows = [_row(each, context) for each in command.get_params(context) if each.opts[0] not in COMMON]
    if rows:
        lines += ["| | |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _row(param: Any, context: Any) -> str:
    name, help = param.get_help_record(context)
    if param.param_type_name == "argument":
        name = name.partition(" <")[0]
    help = " ".join(help.split())
    return f"| `{_cell(name)}` | {_cell(help)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _shapes() -> str:
    lines = [
        "## JSON\n",
        "With `--json` a command writes one object, unless a second Ctrl-C or SIGTERM ends it at once. Keys",
        "are only ever added. Times are ISO 8601 in UTC,",
        "sizes are in bytes. A secret is shown as its reference (`env:AWS_SECRET`), one that is stored",
        "encrypted as `sealed:…`. No personal data is in any of them, except with `preview` and",
        "`dead-letters show --reveal`.\n",
        "The `number` of a source counts the sources of its activation from 1, in the order in which they",
        "were first opened. A file keeps its number, and no other source of the activation gets it; standard",
        "input is a new source each time. `spooled` counts lines of the input that `--spool` has synced. The",
        "`exit_code` of a check is null unless it failed.\n",
    ]
    for commands, shape in SHAPES:
        lines += [", ".join(f"`{each}`" for each in commands) + "\n"]
        lines += ["```json", json.dumps(shape, ensure_ascii=False, indent=2), "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page())
