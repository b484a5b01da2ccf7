"""Runs the tests of the Event Hubs plugin with each minor version of `azure-eventhub` that is supported.

    python tests/packaging/check_sdk_versions.py                     # all of them, from the package index
    python tests/packaging/check_sdk_versions.py --only 5.14 plugins/eventhubs/tests/test_encoding.py
    python tests/packaging/check_sdk_versions.py --unpacked FOLDER   # FOLDER/5.14.0, …: nothing is downloaded

Each version is unpacked beside the environment that runs this script, which lends it everything else, and
comes first on the path. `make test` runs the tests with the version that is pinned. This needs the index and
takes minutes, so it is run before a release, and when a version or what depends on one changes.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MINORS = ("5.13", "5.14", "5.15")
"""The last three; the oldest is the lower bound in the plugin's pyproject.toml."""

TESTS = ("plugins/eventhubs/tests",)
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="MINOR", choices=MINORS, action="append", help="repeatable")
    parser.add_argument("--unpacked", metavar="FOLDER", type=Path)
    parser.add_argument("--workers", metavar="N", default="2", help="processes at once (default: 2)")
    parser.add_argument("--slow", action="store_true", help="the slow tests, too")
    parser.add_argument("tests", nargs="*", default=TESTS)
    asked = parser.parse_args(arguments)
    check_bound()
    results = {}
    with tempfile.TemporaryDirectory(prefix="tailrace-sdks-") as temporary:
        for minor in asked.only or MINORS:
            folder = _found(asked.unpacked, minor) if asked.unpacked else _installed(Path(temporary), minor)
            options = ["-n", asked.workers, *([] if asked.slow else ["-m", "not slow"])]
            results[minor] = run_tests(folder, minor, [*options, *asked.tests])
    print("\n".join(f"azure-eventhub {version}: {verdict}" for version, verdict in results.values()))
    return 0 if all(verdict == "passed" for _, verdict in results.values()) else 1


def check_bound() -> None:
    """The plugin accepts what is tested here, and nothing older."""
    text = (ROOT / "plugins/eventhubs/pyproject.toml").read_text(encoding="utf-8")
    bound = re.search(r"azure-eventhub>=([0-9.]+),", text)
    if bound is None or bound[1] != MINORS[0]:
        raise SystemExit(f"the plugin needs azure-eventhub>={bound and bound[1]}, tested is {MINORS[0]}")


def _installed(temporary: Path, minor: str) -> Path:
    folder = temporary / minor
    subprocess.run(
        [*PIP, "install", "--no-deps", "--target", folder, f"azure-eventhub=={minor}.*"], check=True
    )
    return folder


def _found(unpacked: Path, minor: str) -> Path:
    folders = sorted(path for path in unpacked.iterdir() if path.name.startswith(f"{minor}."))
    if not folders:
        raise SystemExit(f"{unpacked} has no {minor}.*")
    return folders[-1].resolve()


def run_tests(folder: Path, minor: str, arguments: Sequence[str]) -> tuple[str, str]:
    """The exact version, and how its tests went."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    show = "import azure.eventhub as sdk; print(sdk.__version__, sdk.__file__)"
    shown = subprocess.run(
        [sys.executable, "-c", show], env=environment, check=True, capture_output=True, text=True
    )
    version, _, place = shown.stdout.strip().partition(" ")
    if not version.startswith(f"{minor}.") or not place.startswith(str(folder)):
        raise SystemExit(f"azure-eventhub {version} of {place} is used, and not {minor} of {folder}")
    print(f"--- azure-eventhub {version}", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment)
    return version, "passed" if done.returncode == 0 else f"FAILED ({done.returncode})"


if __name__ == "__main__":
    sys.exit(main())
