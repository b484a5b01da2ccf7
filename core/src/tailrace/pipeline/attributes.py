"""The mapped attributes as Struct fields: read at their XDM path, written at the same path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

import msgspec

from tailrace.paths import RESERVED, format_path, parse_path, without_covered
from tailrace.pipeline.raw import ABSENT, Field, struct

Path = tuple[str, ...]
Attrs = tuple[str, ...]
Prune = Callable[[Any], None]


class _Node:
    """A parent in the tree of mapped paths; children in order of first appearance."""

    def __init__(self) -> None:
        self.children: dict[str, _Node | None] = {}

    def add(self, path: Path) -> None:
        node = self
        for key in path[:-1]:
            child = node.children.setdefault(key, _Node())
            assert child is not None  # without_covered leaves no path below a leaf
            node = child
        node.children[path[-1]] = None

    def has_parent_of(self, path: Path) -> bool:
        node: _Node | None = self
        for key in path[:-1]:
            node = node.children.get(key) if node else None
        return node is not None and path[-1] not in node.children

    @cached_property
    def fields(self) -> list[Field]:
        return [
            (f"f{index}", key, msgspec.Raw, ABSENT)
            if child is None
            else (f"f{index}", key, child.type | None, None)
            for index, (key, child) in enumerate(self.children.items())
        ]

    @cached_property
    def type(self) -> Any:
        return struct("Parent", self.fields)

    def attrs(self, path: Path) -> Attrs:
        """The Python attributes that lead to a path."""
        node: _Node | None = self
        found: list[str] = []
        for key in path:
            assert node is not None
            found.append(f"f{list(node.children).index(key)}")
            node = node.children[key]
        return tuple(found)

    def pruner(self, borrowed: Attrs | None) -> Prune:
        """A function that blanks the key where it was only `borrowed`, then parents without a
        present leaf."""
        parents = [
            (f"f{index}", child.pruner(None) if child.has_parents else None, child.type())
            for index, child in enumerate(self.children.values())
            if child is not None
        ]

        above, last = (borrowed[:-1], borrowed[-1]) if borrowed else ((), None)

        def prune(holder: Any) -> None:
            if last is not None:
                owner = holder
                for attr in above:
                    owner = getattr(owner, attr, None)
                if owner is not None:
                    setattr(owner, last, ABSENT)
            for attr, prune_below, empty in parents:
                parent = getattr(holder, attr)
                if parent is not None:
                    if prune_below is not None:
                        prune_below(parent)
                    if parent == empty:
                        setattr(holder, attr, None)

        return prune

    @property
    def has_parents(self) -> bool:
        return any(child is not None for child in self.children.values())


@dataclass(frozen=True, slots=True)
class Attributes:
    """`fields` are the Struct's; `prune(update)` blanks what must not be written; `key(update)` is
    the raw value at the key path, where the Struct holds it; `paths` are the mapped ones by what leads
    to them in the Struct; `unseen` shrinks as `look` finds."""

    fields: list[Field]
    prune: Prune
    key: Callable[[Any], msgspec.Raw] | None
    paths: Mapping[Attrs, str]
    unseen: dict[Attrs, str]

    def look(self, update: Any) -> None:
        """Strike out the attributes that this update carries."""
        for attrs in [a for a in self.unseen if value_at(update, a) is not ABSENT]:
            del self.unseen[attrs]


def read_attributes(texts: Sequence[str], key_path: Path | None) -> Attributes:
    """Compile the mapped paths. The key path joins the Struct when it needs no parent of its own
    (a parent of another type is no error for a key); else `key` is None. Raises ValueError."""
    paths = without_covered([parse_path(text) for text in texts])
    for path in paths:
        if path[0] in RESERVED:
            raise ValueError(f"{path[0]} is always exported and cannot be mapped as an attribute")
    tree = _Node()
    for path in paths:
        tree.add(path)
    borrowed = key_path is not None and key_path[0] not in RESERVED and tree.has_parent_of(key_path)
    if borrowed and key_path is not None:
        tree.add(key_path)
    key_attrs = tree.attrs(key_path) if key_path is not None and (borrowed or key_path in paths) else None

    by_attrs = {tree.attrs(path): format_path(path) for path in paths}

    return Attributes(
        fields=tree.fields,
        prune=tree.pruner(key_attrs if borrowed else None),
        key=_getter(key_attrs) if key_attrs is not None else None,
        paths=by_attrs,
        unseen=dict(by_attrs),
    )


def _getter(attrs: Attrs) -> Callable[[Any], msgspec.Raw]:
    return attrgetter(attrs[0]) if len(attrs) == 1 else lambda update: value_at(update, attrs)


def value_at(update: Any, attrs: Attrs) -> Any:
    """The value at a path of attributes; an absent parent gives ABSENT for a leaf below it."""
    value = update
    for attr in attrs:
        if value is None:
            return ABSENT
        value = getattr(value, attr)
    return value
