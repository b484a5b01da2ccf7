"""`tailrace demo`: the whole way, on this machine."""

from __future__ import annotations

from tailrace.cli.console import Console
from tailrace.cli.options import command, verb

app = verb()


@command(app, "demo")
def demo(console: Console) -> None:
    """Run the whole way on a stream that lives on this machine, in a temporary home."""
    import typer

    from tailrace import demo

    code = demo.run(console)
    if code:
        raise typer.Exit(code)
