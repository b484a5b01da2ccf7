"""Destinations of this project that may not be installed, and what installs each.

The core names none of them: its distribution declares an extra for each, NAME for `tailrace-NAME`. No
name that somebody typed goes into an advice to install: anybody may have published a package of that name.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires

DISTRIBUTION = "tailrace"


def published() -> dict[str, str]:
    """Destination to distribution, for those of this project. Empty where the core has no metadata."""
    try:
        declared = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return {}
    return dict(found for found in map(_destination, declared) if found is not None)


def _destination(requirement: str) -> tuple[str, str] | None:
    """Whether it is what an extra brings: `tailrace-NAME`, by the name of its destination."""
    text, _, marker = requirement.partition(";")
    name = text.strip().removeprefix(f"{DISTRIBUTION}-")
    if name == text.strip() or marker.replace(" ", "").replace('"', "'") != f"extra=='{name}'":
        return None
    return name, f"{DISTRIBUTION}-{name}"
