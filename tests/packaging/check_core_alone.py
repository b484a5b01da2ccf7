"""Runs the core's own tests where no destination is: `make test` runs this.

A throwaway environment gets the core as a wheel. Neither plugin of the project can be imported there, nor a
client of any service; what the tests need is lent by the environment that runs this script.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.packaging.check_wheels import CLIENTS, ROOT, Environment, build, expect, run

ABSENT = """
import importlib.metadata, importlib.util
for name in ("tailrace_eventhubs", "tailrace_kinesis", "azure.eventhub", "azure", "botocore", "moto"):
    try:
        assert importlib.util.find_spec(name) is None, f"{name} can be imported"
    except ModuleNotFoundError:
        pass  # nor can what it is in
found = importlib.metadata.entry_points(group="tailrace.destinations")
assert not found, f"a destination is installed: {found}"
"""


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="tailrace-alone-") as temporary:
        here = Path(temporary)
        core = build(ROOT / "core", here / "wheels")
        environment = Environment(here, unseen=CLIENTS)
        environment.pip("install", "--quiet", "--no-deps", "--no-index", core)
        run([environment.python, "-c", ABSENT])
        command = [str(environment.python), "-m", "pytest", "core/tests", "-q", "-p", "no:cacheprovider"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TAILRACE_")}
        done = subprocess.run([*command, *arguments], cwd=ROOT, env=kept, stdin=subprocess.DEVNULL)
        expect(done.returncode == 0, "the core's tests do not pass without any destination")
    print("the core alone: its tests pass where no destination is")


if __name__ == "__main__":
    main(sys.argv[1:] or ["-m", "not slow"])
