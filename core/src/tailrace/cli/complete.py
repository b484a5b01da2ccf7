"""Completion of names in the shell. It reads the database; whatever goes wrong, it offers nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tailrace.errors import UsageError

if TYPE_CHECKING:
    from tailrace.client import Tailrace


def accounts(incomplete: str) -> list[str]:
    return _names(lambda t: t.accounts.list(), incomplete)


def connections(incomplete: str) -> list[str]:
    return _names(lambda t: t.connections.list(), incomplete)


def activations(incomplete: str) -> list[str]:
    return _names(lambda t: t.activations.list(), incomplete)


def destinations(incomplete: str) -> list[str]:
    from tailrace.cli.destinations import names

    return _names(names, incomplete)


def formats(incomplete: str) -> list[str]:
    return _names(lambda t: t.formats.list(), incomplete)


def _names(objects: Callable[[Tailrace], Iterable[Any]], incomplete: str) -> list[str]:
    import tailrace

    try:
        with tailrace.open() as t:
            names = [each if isinstance(each, str) else each.name for each in objects(t)]
    except Exception:  # a traceback in the middle of a command line helps nobody
        return []
    return [name for name in names if name.startswith(incomplete)]


OPTIONS = ("--install-completion", "--show-completion")
SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")


def asked_for(arguments: Sequence[str]) -> bool:
    """Whether the command line is `--show-completion SHELL` or `--install-completion SHELL`.

    Without SHELL typer looks which shell is the parent process, which a script or a container may
    not have.
    """
    return len(arguments) == 2 and arguments[0] in OPTIONS


def answer(arguments: Sequence[str], program: str) -> str:
    """Install the completion of the named shell, or give its script."""
    from typer.completion import get_completion_script, install  # type: ignore[attr-defined]

    option, shell = arguments
    if shell not in SHELLS:
        raise UsageError(f"there is no completion for {shell!r}", hint=f"shells: {', '.join(SHELLS)}")
    variable = f"_{program.upper()}_COMPLETE"
    if option == "--show-completion":
        return get_completion_script(prog_name=program, complete_var=variable, shell=shell)
    _, path = install(shell=shell, prog_name=program, complete_var=variable)
    return f"{shell} completion installed in {path}; it takes effect in a new shell"
