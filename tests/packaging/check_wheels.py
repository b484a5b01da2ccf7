"""Builds the core and the plugins as wheels and uses them as a stranger would: `make check` runs this.

A throwaway environment gets the core alone, then each plugin in turn, then loses it again; each step may
change the catalogue of destinations and nothing else. Nothing is downloaded: what the wheels depend on is
lent by the environment that runs this script.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
PLUGINS = ("eventhubs", "kinesis")
INSTALL = ("install", "--quiet", "--no-deps", "--no-index")
OURS = ("tailrace", "_editable_impl_tailrace", "__editable__")
CLIENTS = ("azure", "boto", "moto", "confluent_kafka", "s3transfer", "uamqp")
"""What destinations need, and nobody else."""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tailrace-wheels-") as temporary:
        here = Path(temporary)
        core = build(ROOT / "core", here / "wheels")
        check_contents(core, "tailrace", entry_points={"console_scripts"})
        environment = Environment(here)
        environment.pip(*INSTALL, core)
        for name in PLUGINS:
            plugin = build(ROOT / "plugins" / name, here / "wheels")
            check_contents(plugin, f"tailrace_{name}", entry_points={"tailrace.destinations"})
            check_use(environment, name, plugin)
    print("wheels: each plugin comes and goes, and nothing else changes")


def build(project: Path, target: Path) -> Path:
    """Build one wheel, with the installed build backend."""
    before = set(target.glob("*.whl"))
    command = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    run([*PIP, *command, "-w", target, project])
    (wheel,) = set(target.glob("*.whl")) - before
    return wheel


def check_contents(wheel: Path, package: str, *, entry_points: set[str]) -> None:
    """The wheel holds its package, typed, its metadata with these entry points, and nothing beside."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        licences = [archive.read(name) for name in names if "/licenses/" in name]
        (declared,) = [name for name in names if name.endswith(".dist-info/entry_points.txt")]
        groups = {line[1:-1] for line in archive.read(declared).decode().splitlines() if line.startswith("[")}
    info = declared.split("/")[0]
    expect(f"{package}/py.typed" in names, f"{wheel.name} has no py.typed")
    expect({name.split("/")[0] for name in names} == {package, info}, f"{wheel.name} holds other things")
    expect(groups == entry_points, f"{wheel.name} declares the entry points {sorted(groups)}")
    expect(licences == [(ROOT / "LICENSE").read_bytes()], f"{wheel.name} lacks the licence")


class Environment:
    """A throwaway virtual environment that sees everything installed here but our distributions, and
    whatever is named beside."""

    def __init__(self, here: Path, unseen: tuple[str, ...] = ()) -> None:
        venv.create(here / "env", symlinks=True)
        self.bin = here / "env" / "bin"
        self.python = self.bin / "python"
        self.home = here / "home"
        paths = {"base": str(here / "env"), "platbase": str(here / "env")}
        self.site = Path(sysconfig.get_path("purelib", "venv", paths))
        lent = here / "lent"
        lent.mkdir()
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if not entry.name.startswith((*OURS, *unseen)) and entry.suffix != ".pth":
                (lent / entry.name).symlink_to(entry)
        (self.site / "lent.pth").write_text(f"{lent}\n")

    def pip(self, *arguments: str | Path) -> None:
        run([*PIP, "--python", self.python, *arguments])

    def tailrace(self, *arguments: str) -> str:
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("TAILRACE_", "PYTHON"))}
        environ |= {"TAILRACE_HOME": str(self.home)}
        return run([self.bin / "tailrace", *arguments], env=environ)

    def catalogue(self) -> dict[str, dict[str, Any]]:
        answer = json.loads(self.tailrace("destinations", "--json"))
        return {record["name"]: record for record in answer["destinations"]}

    def files(self) -> set[str]:
        found = (path.relative_to(self.site) for path in self.site.rglob("*"))
        return {str(path) for path in found if "__pycache__" not in path.parts}


def check_use(environment: Environment, name: str, plugin: Path) -> None:
    expect(environment.catalogue() == {}, "the core alone lists a destination")
    words, files = environment.tailrace("--help"), environment.files()

    environment.pip(*INSTALL, plugin)
    records = environment.catalogue()
    expect(set(records) == {name}, f"the catalogue holds {sorted(records)}")
    record = records[name]
    expect(record["distribution"] == f"tailrace-{name}", f"unexpected record {record}")
    expect(record["state"] == "available", f"listing loaded the plugin: {record}")
    environment.tailrace("destinations", "show", name)
    expect(environment.tailrace("--help") == words, "the plugin changed the command line")

    environment.pip("uninstall", "--quiet", "--yes", f"tailrace-{name}")
    expect(environment.catalogue() == {}, "the plugin is still listed")
    expect(environment.tailrace("--help") == words, "losing the plugin changed the command line")
    expect(environment.files() == files, "the plugin left files behind")


def run(command: Sequence[str | Path], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} exited with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        sys.exit(f"wheels: {otherwise}")


if __name__ == "__main__":
    main()
