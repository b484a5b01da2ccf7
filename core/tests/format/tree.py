"""JSON read by hand into a tree whose nodes remember the text they were read from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]

MAX_DEPTH = 200
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
SPACE = " \t\n\r"
SURROGATE = re.compile("[\ud800-\udfff]")
LITERALS = ("true", "false", "null")


@dataclass
class Node:
    """A JSON value and the text it was read from."""

    raw: str
    kind: str
    text: str = ""
    items: list[Node] = field(default_factory=list)
    members: dict[str, Node] = field(default_factory=dict)
    """Last value wins; a dict keeps the first position."""

    @property
    def null(self) -> bool:
        return self.kind == "null"


class Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.faults: set[str] = set()
        self.duplicates = False

    def document(self) -> Node:
        node, end = self.value(self.skip(0), 0)
        if self.skip(end) != len(self.text):
            raise ValueError("trailing text")
        return node

    def skip(self, at: int) -> int:
        while at < len(self.text) and self.text[at] in SPACE:
            at += 1
        return at

    def value(self, at: int, depth: int) -> tuple[Node, int]:
        if depth > MAX_DEPTH:
            self.faults.add("too-deep")
            raise ValueError("too deep")
        head = self.text[at : at + 1]
        if head == "{":
            return self.object(at, depth)
        if head == "[":
            return self.array(at, depth)
        if head == '"':
            text, end = self.string(at)
            return Node(self.text[at:end], "string", text=text), end
        for literal in LITERALS:
            if self.text.startswith(literal, at):
                return Node(literal, "null" if literal == "null" else "bool"), at + len(literal)
        number = NUMBER.match(self.text, at)
        if number is None:
            raise ValueError("not a value")
        return Node(number.group(), "number"), number.end()

    def string(self, at: int) -> tuple[str, int]:
        text, end = scanstring(self.text, at + 1, True)
        if SURROGATE.search(text):
            self.faults.add("lone-surrogate")
        return text, end

    def object(self, start: int, depth: int) -> tuple[Node, int]:
        node = Node("", "object")
        at = self.skip(start + 1)
        while self.text[at : at + 1] != "}" or node.members:
            if self.text[at : at + 1] != '"':
                raise ValueError("a key was expected")
            key, at = self.string(at)
            at = self.skip(at)
            if self.text[at : at + 1] != ":":
                raise ValueError("a colon was expected")
            self.duplicates = self.duplicates or key in node.members
            node.members[key], at = self.value(self.skip(at + 1), depth + 1)
            at = self.skip(at)
            if self.text[at : at + 1] != ",":
                break
            at = self.skip(at + 1)
        if self.text[at : at + 1] != "}":
            raise ValueError("an object is not closed")
        node.raw = self.text[start : at + 1]
        return node, at + 1

    def array(self, start: int, depth: int) -> tuple[Node, int]:
        node = Node("", "array")
        at = self.skip(start + 1)
        while self.text[at : at + 1] != "]" or node.items:
            item, at = self.value(at, depth + 1)
            node.items.append(item)
            at = self.skip(at)
            if self.text[at : at + 1] != ",":
                break
            at = self.skip(at + 1)
        if self.text[at : at + 1] != "]":
            raise ValueError("an array is not closed")
        node.raw = self.text[start : at + 1]
        return node, at + 1


@dataclass
class Reading:
    """A line's tree, what is wrong with its text, and what the contract leaves open."""

    root: Node | None
    faults: set[str]
    also: frozenset[str]


def read(line: bytes) -> Reading:
    faults: set[str] = set()
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        faults.add("invalid-utf8")
        text = line.decode("utf-8", "replace")
    parser = Parser(text)
    root: Node | None = None
    try:
        root = parser.document()
        if root.kind != "object":
            faults.add("not-an-object")
    except ValueError:
        if "too-deep" not in parser.faults:
            faults.add("invalid-json")
    also: set[str] = set()
    if faults or parser.faults or parser.duplicates:
        also.add("wrong-type")
    if faults and re.search(r"\\u[dD][89a-fA-F]", text):
        also.add("lone-surrogate")
    if faults and text.strip(SPACE)[:1] != "{":
        also.add("not-an-object")
    return Reading(root, faults | parser.faults, frozenset(also))
