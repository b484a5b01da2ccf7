"""A command in the middle of a sentence exists, with the options it is shown with.

docs/cli.md is made from the commands and held to them by its own test, so it is what is asked.
"""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import PAGES

COMMON = {
    "--json",
    "--no-input",
    "--verbose",
    "--help",
    "--version",
    "--install-completion",
    "--show-completion",
}


def reference() -> dict[str, set[str]]:
    """The commands, each with its options."""
    sections = re.split(r"^#+ (?=tailrace)", PAGES["docs/cli.md"].read_text(encoding="utf-8"), flags=re.M)[1:]
    return {section.partition("\n")[0]: set(re.findall(r"--[a-z][a-z-]+", section)) for section in sections}


def problem(text: str, known: dict[str, set[str]]) -> str | None:
    words = text.split()
    name = next((n for k in (3, 2) if (n := " ".join(words[:k])) in known), None)
    if name is None:
        return None if len(words) == 1 or words[1].startswith("--") else f"{text}: there is no such command"
    wrong = {word.partition("=")[0] for word in words if word.startswith("--")} - known[name] - COMMON
    return f"{text}: {name} has no {', '.join(sorted(wrong))}" if wrong else None


@pytest.mark.parametrize("name", sorted(PAGES.keys() - {"docs/cli.md"}))
def test_commands_in_sentences_exist(name: str) -> None:
    text = re.sub(r"^```.*?^```$", "", PAGES[name].read_text(encoding="utf-8"), flags=re.M | re.S)
    shown = [code for code in re.findall(r"`([^`\n]+)`", text) if re.match(r"tailrace\b(?![-.\[/_:])", code)]
    known = reference()
    assert not [wrong for code in shown if (wrong := problem(code, known))]


def test_the_check_sees_what_is_wrong() -> None:
    known = reference()
    assert problem("tailrace export hot --quiet", known) is None
    assert problem("tailrace dead-letters show 1-1 --reveal", known) is None
    assert problem("tailrace --help", known) is None
    assert problem("tailrace dispatch hot", known) == "tailrace dispatch hot: there is no such command"
    assert problem("tailrace export hot --loud", known) is not None
