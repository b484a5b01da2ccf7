"""Running what a page prints, the way a reader would: one shell a page, in a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.docs.pages import ROOT, Block, Command, commands

SERVER = "127.0.0.1:4566"
EVENT_HUBS = "127.0.0.1:5672"
"""The servers in the pages; the tests use free ports."""

Servers = Mapping[str, str]
"""From the address in the pages to the real one."""

SECONDS = 180
_END = "\x1e"
_UNSTABLE = (
    (re.compile(r"took [\d.]+ s, [\d,]+ updates?/s"), "took T"),
    (re.compile(r'(?<!")\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z| UTC)?'), "TIME"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"^(event id +)[0-9a-f]{32}$", re.M), r"\1ID"),
    (re.compile(r"\b[\d.]+ s\b"), "T s"),
)


def environment(folder: Path) -> dict[str, str]:
    """A machine of a user who has just installed Tailrace."""
    kept = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "VIRTUAL_ENV")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "HOME": str(folder),
        "TAILRACE_KEYRING": "off",
        "TAILRACE_HOME": str(folder / "home"),
        "TAILRACE_CONFIG_DIR": str(folder / "config"),
        "AWS_SECRET": "tutorial",
        "AWS_EC2_METADATA_DISABLED": "true",
        "EVENTHUBS_KEY": "SAS_KEY_VALUE",
        "COLUMNS": "400",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "error::DeprecationWarning:tailrace",
    }


def stable(text: str) -> list[str]:
    """Lines without what differs from run to run."""
    for pattern, word in _UNSTABLE:
        text = pattern.sub(word, text)
    return [line.rstrip() for line in text.strip("\n").split("\n")]


def agree(shown: Sequence[str], real: Sequence[str]) -> bool:
    """Whether the real output is the shown one, where `…` stands for any lines."""
    if not shown:
        return not real
    if shown[0].strip() == "…":
        return any(agree(shown[1:], real[start:]) for start in range(len(real) + 1))
    return bool(real) and shown[0] == real[0] and agree(shown[1:], real[1:])


def real(text: str, servers: Servers) -> str:
    for shown, address in servers.items():
        text = text.replace(shown, address)
    return text


def printed(text: str, servers: Servers) -> str:
    for shown, address in servers.items():
        text = text.replace(address, shown)
    return text


def run_commands(
    listed: Sequence[Command], folder: Path, given: dict[str, str], servers: Servers
) -> list[tuple[int, str]]:
    """Run them in one shell, so that an `export` lasts; the exit code and the output of each."""
    script = ["exec 2>&1", "code=0"]
    for command in listed:
        text = real(command.text, servers)
        script += ["(exit $code)", text, "code=$?", f"printf '{_END}%s{_END}' $code"]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=folder, env=given, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=SECONDS, text=True, encoding="utf-8",
    )  # fmt: skip
    parts = printed(done.stdout, servers).split(_END)
    outputs, codes = parts[0:-1:2], parts[1::2]
    assert len(codes) == len(listed), f"the shell ended early: {done.stdout[-500:]}"
    return [(int(code), output) for code, output in zip(codes, outputs, strict=True)]


def run_python(programs: Sequence[str], folder: Path, given: dict[str, str], servers: Servers) -> list[str]:
    """Run them one after the other in one process and one namespace; the output of each."""
    texts = [real(program, servers) for program in programs]
    driver = f"space = {{}}\nfor text in {texts!r}:\n    exec(text, space)\n    print({_END!r}, end='')\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", driver], cwd=folder, env=given, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=SECONDS, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return printed(done.stdout, servers).split(_END)[:-1]


def save_files(listed: Sequence[Block], folder: Path, servers: Servers) -> None:
    """Write the files that a page asks to save."""
    for block in listed:
        if block.mark == "file":
            assert block.value is not None
            (folder / block.value).write_text(real(block.body, servers), encoding="utf-8")


def console(listed: Sequence[Block]) -> list[Command]:
    return [
        command
        for block in listed
        if block.language == "console" and block.mark is None
        for command in commands(block)
    ]


__all__ = [
    "EVENT_HUBS", "ROOT", "SERVER", "Servers", "agree", "console", "environment", "run_commands",
    "run_python", "save_files", "stable",
]  # fmt: skip
