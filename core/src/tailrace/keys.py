"""The key rule: which value of a profile update is its key.

    identity               the first identity flagged `primary: true` in input order, else the
                           smallest (namespace, id)
    identity:NS,NS         the same, but before the smallest come the named namespaces, in order
    attribute:PATH         the string at an XDM path, exported or not
    random                 a fresh key for each record (a partition key only)

A value that is empty, not a string, or over the destination's limit counts as missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tailrace.paths import format_path, parse_path

Kind = Literal["identity", "attribute", "random"]


class KeyRuleError(ValueError):
    """The text is not a key rule; the message says why."""


@dataclass(frozen=True, slots=True)
class KeyRule:
    """A parsed rule. `str(rule)` gives the text back."""

    kind: Kind
    namespaces: tuple[str, ...] = ()
    path: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> KeyRule:
        """Read a rule. Raises KeyRuleError."""
        head, colon, rest = text.partition(":")
        if head == "random" and not colon:
            return cls("random")
        if head == "identity":
            namespaces = tuple(part.strip() for part in rest.split(",")) if colon else ()
            if "" in namespaces:
                raise KeyRuleError(f"key rule {text!r} names an empty namespace")
            return cls("identity", namespaces=namespaces)
        if head == "attribute" and rest:
            try:
                return cls("attribute", path=parse_path(rest))
            except ValueError as error:
                raise KeyRuleError(f"key rule {text!r}: {error}") from None
        raise KeyRuleError(
            f"{text!r} is not a key rule: use identity, identity:NS,NS, attribute:PATH or random"
        )

    @property
    def moves(self) -> bool:
        """Whether a profile's key can change as it gains or loses identities of any namespace."""
        return self.kind == "identity" and not self.namespaces

    def __str__(self) -> str:
        if self.kind == "attribute":
            return f"attribute:{format_path(self.path)}"
        return ":".join([self.kind, ",".join(self.namespaces)]) if self.namespaces else self.kind


def profile_rule(given: str | None, partition: str) -> KeyRule:
    """The rule of the key by which a profile is known: the one given, else that of the partition key;
    a random one knows nothing again, so it is `identity` then."""
    rule = KeyRule.parse(partition if given is None else given)
    return KeyRule("identity") if rule.kind == "random" else rule


def hash_key(key: str) -> str:
    """The `sha256` form of a key: 64 lower-case hexadecimal characters."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def fits(limit: int | None) -> Callable[[str], bool]:
    """A test for 'not empty and at most `limit` bytes in UTF-8'."""
    if limit is None:
        return bool

    def test(key: str) -> bool:
        return 0 < len(key.encode("utf-8", "surrogatepass")) <= limit

    return test
