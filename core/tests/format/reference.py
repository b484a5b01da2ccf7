"""The format contract `xdm-json` once more: slow, plain, and with nothing of the engine in it.

Each line becomes a tree whose nodes remember the text they were read from; the record is written
from the tree. Where a line has several faults, any of them is a true reason, so `Rejected` carries
a set and the engine has to name one of it. `also` adds what the contract leaves open:

- a line that is no JSON may have a value of a wrong type before the place where it breaks, or an
  escape of half a pair outside of any string;
- of duplicate keys the last wins, but an earlier one of a wrong type may count as a fault.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from core.tests.format.tree import Node, read
from tailrace import Activation, Segment

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Filtered:
    also: frozenset[str] = field(default=NOTHING, compare=False)


@dataclass(frozen=True)
class Rejected:
    reasons: frozenset[str]
    also: frozenset[str] = field(default=NOTHING, compare=False)


@dataclass(frozen=True)
class Record:
    """`key` is None where the rule makes a random one."""

    data: bytes
    key: str | None
    also: frozenset[str] = field(default=NOTHING, compare=False)


Outcome = Record | Filtered | Rejected


class _Reject(Exception):
    pass


def quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def write_object(members: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{quote(key)}:{value}" for key, value in members) + "}"


# --- the reference's own reading of paths -------------------------------------------------------


def split_path(path: str) -> tuple[str, ...]:
    parts = re.findall(r"(?:\\.|[^.\\])+", path)
    return tuple(re.sub(r"\\(.)", r"\1", part) for part in parts)


def effective_paths(activation: Activation) -> list[tuple[str, ...]]:
    """The mapped paths without repetitions and without those below a shorter one."""
    paths = list(dict.fromkeys(split_path(path) for path in activation.attributes))
    return [p for p in paths if not any(p != q and p[: len(q)] == q for q in paths)]


def find(root: Node, path: tuple[str, ...]) -> Node | None:
    """The value at a path. Absent, or null on the way: None. Another type on the way: rejected."""
    node = root
    for step in path:
        if node.null:
            return None
        if node.kind != "object":
            raise _Reject("wrong-type")
        found = node.members.get(step)
        if found is None:
            return None
        node = found
    return node


def unflatten(found: list[tuple[tuple[str, ...], str | None]]) -> list[tuple[str, str]]:
    """Nest (path, value text) pairs; a parent stands where a path first names it."""
    groups: dict[str, list[tuple[tuple[str, ...], str | None]]] = {}
    for path, text in found:
        groups.setdefault(path[0], []).append((path[1:], text))
    members: list[tuple[str, str]] = []
    for name, below in groups.items():
        if below[0][0] == ():
            if below[0][1] is not None:
                members.append((name, below[0][1]))
        elif nested := unflatten(below):
            members.append((name, write_object(nested)))
    return members


# --- memberships --------------------------------------------------------------------------------


def mapped_segments(activation: Activation) -> dict[str, dict[str, Segment]]:
    namespaces: dict[str, dict[str, Segment]] = {}
    for segment in activation.segments:
        namespaces.setdefault(segment.namespace, {}).setdefault(segment.id, segment)
    return namespaces


def memberships(root: Node, activation: Activation) -> list[tuple[str, list[tuple[str, Node]]]] | None:
    """What is exported, as (namespace, [(segment id, entry)]); None where no mapped one is there."""
    found = root.members.get("segmentMembership")
    if found is None or found.null:
        return None
    require(found, "object")
    mapped = mapped_segments(activation)
    selected = False
    every: list[tuple[str, list[tuple[str, Node]]]] = []
    for namespace, segments in found.members.items():
        if segments.null or (namespace not in mapped and activation.memberships == "mapped"):
            continue
        require(segments, "object")
        entries: list[tuple[str, Node]] = []
        for segment, entry in segments.members.items():
            is_mapped = segment in mapped.get(namespace, {})
            if entry.null or (not is_mapped and activation.memberships == "mapped"):
                continue
            require(entry, "object")
            entries.append((segment, entry))
            selected = selected or is_mapped
        if entries:
            every.append((namespace, entries))
    if not selected:
        return None
    if activation.memberships == "all":
        return every
    present = {namespace: dict(entries) for namespace, entries in every}
    ordered = [
        (namespace, [(s, present[namespace][s]) for s in segments if s in present[namespace]])
        for namespace, segments in mapped.items()
        if namespace in present
    ]
    return ordered


def write_entry(entry: Node, segment: Segment | None, activation: Activation) -> str:
    """One membership entry; `segment` is None for one that only rides along."""
    if activation.keep_extra_fields:
        out = {key: value.raw for key, value in entry.members.items()}
    else:
        wanted = ["lastQualificationTime", "status"]
        if segment is not None and activation.include_segment_timestamps:
            wanted += ["createdAt", "updatedAt"]
        out = {key: entry.members[key].raw for key in wanted if key in entry.members}
    if segment is not None and activation.include_segment_timestamps:
        out["mappingCreatedAt"] = str(segment.created_at)
        out["mappingUpdatedAt"] = str(segment.updated_at)
    if segment is not None and activation.include_segment_names:
        if segment.name is not None:
            out["name"] = quote(segment.name)
        elif "name" in entry.members:
            out["name"] = entry.members["name"].raw
    return write_object(list(out.items()))


def write_memberships(found: list[tuple[str, list[tuple[str, Node]]]], activation: Activation) -> str:
    mapped = mapped_segments(activation)
    return write_object(
        [
            (
                namespace,
                write_object(
                    [
                        (name, write_entry(entry, mapped.get(namespace, {}).get(name), activation))
                        for name, entry in entries
                    ]
                ),
            )
            for namespace, entries in found
        ]
    )


# --- identities and the key ---------------------------------------------------------------------


def identities(root: Node) -> list[tuple[str, list[Node]]]:
    """All identity entries that have an id, by namespace, in input order."""
    found = root.members.get("identityMap")
    if found is None or found.null:
        return []
    require(found, "object")
    kept: list[tuple[str, list[Node]]] = []
    for namespace, entries in found.members.items():
        if entries.null:
            continue
        require(entries, "array")
        for entry in entries.items:
            if not entry.null:
                require(entry, "object")
        usable = [e for e in entries.items if "id" in e.members and not e.members["id"].null]
        if usable:
            kept.append((namespace, usable))
    return kept


def write_identities(kept: list[tuple[str, list[Node]]], activation: Activation) -> str:
    def one(entry: Node) -> str:
        return entry.raw if activation.keep_extra_fields else '{"id":' + entry.members["id"].raw + "}"

    return write_object([(name, "[" + ",".join(map(one, entries)) + "]") for name, entries in kept])


def candidates(kept: list[tuple[str, list[Node]]], preferred: tuple[str, ...]) -> Iterator[str]:
    """Possible keys, the best first."""
    everything = [
        (namespace, entry.members["id"].text, entry.members.get("primary"))
        for namespace, entries in kept
        for entry in entries
        if entry.members["id"].kind == "string"
    ]
    yield from (name for _, name, primary in everything if primary and primary.raw == "true")
    for wanted in preferred:
        yield from (name for namespace, name, _ in everything if namespace == wanted)
    yield from (name for _, name in sorted((namespace, name) for namespace, name, _ in everything))


def finish_key(text: str, hashed: bool, limit: int | None) -> str | None:
    """The key as it is sent, or None where it is unusable."""
    if not text:
        return None
    key = hashlib.sha256(text.encode()).hexdigest() if hashed else text
    return None if limit is not None and len(key.encode()) > limit else key


def choose_key(
    root: Node,
    kept: list[tuple[str, list[Node]]],
    rule: str,
    hashed: bool,
    missing: str,
    limit: int | None,
) -> str | None:
    head, _, rest = rule.partition(":")
    if head == "random":
        return None
    if head == "attribute":
        try:
            value = find(root, split_path(rest))
        except _Reject:
            value = None
        texts = iter([value.text] if value is not None and value.kind == "string" else [])
    else:
        texts = candidates(kept, tuple(filter(None, rest.split(","))))
    for text in texts:
        if (key := finish_key(text, hashed, limit)) is not None:
            return key
    if missing == "dead-letter":
        raise _Reject("no-key")
    return None


# --- the whole ----------------------------------------------------------------------------------


def require(node: Node, kind: str) -> None:
    if node.kind != kind:
        raise _Reject("wrong-type")


def reference_project(
    line: bytes,
    activation: Activation,
    key_rule: str = "identity",
    *,
    hashed: bool = False,
    missing: str = "dead-letter",
    key_bytes: int | None = 256,
) -> Outcome:
    """What becomes of one line."""
    reading = read(line)
    root, faults, also = reading.root, reading.faults, reading.also
    if root is None or faults:
        return Rejected(frozenset(faults), also)
    try:
        found = memberships(root, activation)
    except _Reject as reject:
        return Rejected(frozenset({str(reject)}), also)
    if found is None:
        return Filtered(also)

    kept: list[tuple[str, list[Node]]] = []
    values: list[tuple[tuple[str, ...], str | None]] = []
    key: str | None = None
    for path in effective_paths(activation):
        try:
            value = find(root, path)
        except _Reject as reject:
            faults.add(str(reject))
        else:
            values.append((path, None if value is None else value.raw))
    try:
        kept = identities(root)
        if not kept and key_rule.startswith("identity"):
            faults.add("no-identity")
        else:
            key = choose_key(root, kept, key_rule, hashed, missing, key_bytes)
    except _Reject as reject:
        faults.add(str(reject))
    if faults:
        return Rejected(frozenset(faults), also)

    members = [*unflatten(values), ("segmentMembership", write_memberships(found, activation))]
    if activation.identities is not None:
        kept = [(name, entries) for name, entries in kept if name in activation.identities]
    if kept:
        members.append(("identityMap", write_identities(kept, activation)))
    return Record(write_object(members).encode(), key, also)
