"""Random activations and random profile updates that may hit them, spelled in every way JSON allows."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

NAMES = ("a", "b", "name", "é", "a.b", "x y", "😀", "segmentMembership", "id")
JUNK_KEYS = ("", '"', "\\", "a", "A", "\u0000", "\x7f", "zz", "\u2028", "status", "id")
SEGMENT_IDS = ("s0", "s1", "s2", "é", "a.b", "a/b", "UPS", "7841ba61-23c1-4bb3-a495-00d695fe1e93")
MEMBERSHIP_SPACES = ("ups", "AAM", "é", "Email")
IDENTITY_SPACES = ("ecid", "ECID", "crm", "é", "email_lc_sha256", "")
SEGMENT_NAMES = ("High propensity", "é", 'a "quote" \\ /', "tab\t\u0001", "😀", "a=")
ENTRY_FIELDS = (
    "lastQualificationTime", "status", "createdAt", "updatedAt", "mappingCreatedAt",
    "mappingUpdatedAt", "name", "version", "payload", "Status", "",
)  # fmt: skip
NUMBERS = ("0", "-0", "1", "7.0", "1.0e+2", "-1E-7", "1e400", "12345678901234567890123", "0.10", "0E0")
TEXTS = (
    "", "a", "1", "é", "😀", "x" * 9, "é" * 40, "a b", "/", "\u0000", '"', "\\", "\\ud800", "\u2028",
    "realized", "exited", "2020-03-03T21:24:39Z", "655332b5fa2aea4498bf7a290cff017cb4", "x" * 300,
)  # fmt: skip
SHORT = {
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
    '"': '\\"',
    "\\": "\\\\",
    "/": "\\/",
}

Members = list[tuple[str, str]]


@dataclass(frozen=True)
class Case:
    """What to compile: options for `make_activation`, and the key."""

    options: dict[str, Any]
    key: str
    hashed: bool
    missing: str
    key_bytes: int | None


def some_path(random: Random) -> str:
    names = [random.choice(NAMES) for _ in range(random.randint(1, 3))]
    if names[0] == "segmentMembership":
        names[0] = "a"
    return ".".join(name.replace(".", "\\.") for name in names)


def some_case(random: Random) -> Case:
    """An activation; one in four maps so many segments that the engine reads them as maps."""
    segments = {
        f"{random.choice(MEMBERSHIP_SPACES)}/{random.choice(SEGMENT_IDS)}"
        for _ in range(random.randint(1, 5))
    }
    if random.random() < 0.25:
        spaces = random.sample(MEMBERSHIP_SPACES, random.randint(1, 2))
        segments |= {f"{random.choice(spaces)}/m{n}" for n in range(random.randint(25, 45))}
    named = [
        text + (f"={random.choice(SEGMENT_NAMES)}" if random.random() < 0.4 else "")
        for text in sorted(segments)
    ]
    random.shuffle(named)
    identities = random.choice([None, None, random.sample(IDENTITY_SPACES[:-1], random.randint(1, 3))])
    key = random.choice(
        [
            "identity",
            "identity",
            "identity:crm,ecid",
            "identity:é",
            "random",
            f"attribute:{some_path(random)}",
        ]
    )
    return Case(
        options={
            "segments": named,
            "attributes": [some_path(random) for _ in range(random.randint(0, 6))],
            "identities": identities,
            "mapping": (random.choice([0, 1649856570000]), 1649856580000),
            "memberships": random.choice(["mapped", "all"]),
            "include_segment_names": random.random() < 0.5,
            "include_segment_timestamps": random.random() < 0.5,
            "keep_extra_fields": random.random() < 0.4,
        },
        key=key,
        hashed=random.random() < 0.2,
        missing=random.choice(["dead-letter", "dead-letter", "random"]),
        key_bytes=random.choice([256, 256, 128, 64, 9, 3, None]),
    )


class Writer:
    """Writes JSON text. `odd` is the chance of a null or a wrong type wherever one can stand."""

    def __init__(self, random: Random, odd: float) -> None:
        self.random = random
        self.odd = odd
        self.spaces = random.choice([("",), ("", "", " "), ("", " ", "\t", "  \r", "\n")])
        self.escapes = random.choice([0.0, 0.0, 0.3])
        self.twice = random.choice([0.0, 0.0, 0.15])

    def space(self) -> str:
        return self.random.choice(self.spaces)

    def character(self, char: str) -> str:
        if self.escapes and self.random.random() < self.escapes:
            if char in SHORT and self.random.random() < 0.5:
                return SHORT[char]
            units = char.encode("utf-16-be").hex()
            hexes = [units[i : i + 4] for i in range(0, len(units), 4)]
            return "".join("\\u" + self.random.choice([h, h.upper()]) for h in hexes)
        if char < " ":
            return SHORT.get(char, f"\\u{ord(char):04x}")
        return SHORT[char] if char in '"\\' else char

    def string(self, text: str) -> str:
        return '"' + "".join(map(self.character, text)) + '"'

    def scalar(self) -> str:
        kind = self.random.randrange(3)
        if kind == 0:
            return self.string(self.random.choice(TEXTS))
        return self.random.choice(NUMBERS if kind == 1 else ("true", "false", "null"))

    def value(self, depth: int = 2) -> str:
        kind = self.random.random()
        if depth and kind < 0.2:
            keys = [self.random.choice(JUNK_KEYS) for _ in range(self.random.randint(0, 3))]
            return self.object([(key, self.value(depth - 1)) for key in keys], keep=True)
        if depth and kind < 0.35:
            return self.array([self.value(depth - 1) for _ in range(self.random.randint(0, 3))])
        return self.scalar()

    def array(self, items: list[str]) -> str:
        padded = [f"{self.space()}{item}{self.space()}" for item in items]
        return "[" + (",".join(padded) or self.space()) + "]"

    def object(self, members: Members, *, keep: bool = False) -> str:
        """The members in random order; some keys twice, unless `keep`."""
        if not keep:
            self.random.shuffle(members)
            for key, _ in list(members):
                if self.twice and self.random.random() < self.twice:
                    spare = self.random.choice([self.value(1), self.random.choice(members)[1]])
                    members.insert(self.random.randint(0, len(members)), (key, spare))
        padded = [
            f"{self.space()}{self.string(key)}{self.space()}:{self.space()}{value}{self.space()}"
            for key, value in members
        ]
        return "{" + (",".join(padded) or self.space()) + "}"

    def or_odd(self, text: str) -> str:
        if self.odd and self.random.random() < self.odd:
            return self.random.choice(["null", "null", self.value(1)])
        return text

    # --- a profile update -----------------------------------------------------------------------

    def attribute(self, depth: int) -> str:
        if depth and self.random.random() < 0.75:
            names = self.random.sample(NAMES, self.random.randint(0, 5))
            return self.or_odd(self.object([(name, self.attribute(depth - 1)) for name in names]))
        return self.value()

    def entry(self) -> str:
        fields = self.random.sample(ENTRY_FIELDS, self.random.randint(0, 6))
        return self.or_odd(self.object([(name, self.value(1)) for name in fields]))

    def memberships(self, segments: list[str]) -> str:
        spaces: dict[str, Members] = {}
        for text in segments:
            space, _, identifier = text.partition("=")[0].partition("/")
            if self.random.random() < 0.6:
                spaces.setdefault(space, []).append((identifier, self.entry()))
        for _ in range(self.random.randint(0, 3)):
            space = self.random.choice((*MEMBERSHIP_SPACES, *JUNK_KEYS))
            spaces.setdefault(space, []).append((self.random.choice((*SEGMENT_IDS, "", '"')), self.entry()))
        return self.or_odd(self.object([(s, self.or_odd(self.object(e))) for s, e in spaces.items()]))

    def identity(self) -> str:
        members = [("id", self.or_odd(self.string(self.random.choice(TEXTS))))]
        if self.random.random() < 0.3:
            members.append(("primary", self.random.choice(["true", "true", "false", self.value(1)])))
        if self.random.random() < 0.3:
            members.append((self.random.choice(JUNK_KEYS), self.value(1)))
        if self.random.random() < self.odd:
            members = members[1:]
        return self.or_odd(self.object(members))

    def identities(self) -> str:
        spaces = self.random.sample(IDENTITY_SPACES, self.random.randint(0 if self.odd else 1, 4))
        arrays = [
            (s, self.or_odd(self.array([self.identity() for _ in range(self.random.randint(0, 3))])))
            for s in spaces
        ]
        return self.or_odd(self.object(arrays))

    def update(self, case: Case) -> str:
        names = self.random.sample([n for n in NAMES if n != "segmentMembership"], self.random.randint(0, 5))
        members = [(name, self.attribute(2)) for name in names]
        members += [(key, self.value()) for key in self.random.sample(JUNK_KEYS[:3], 1)]
        if self.random.random() < 0.97:
            members.append(("segmentMembership", self.memberships(case.options["segments"])))
        if self.random.random() < 0.95:
            members.append(("identityMap", self.identities()))
        return self.space() + self.object(members) + self.space()


def some_update(random: Random, case: Case) -> bytes:
    return Writer(random, odd=random.choice([0.0, 0.0, 0.03, 0.2])).update(case).encode()


def mutate(random: Random, line: bytes) -> bytes:
    """Damage a line somewhere."""
    at = random.randrange(len(line))
    piece = random.choice(
        [b",", b"}", b"]", b"{", b'"', b"0", b"\xff", b"\x00", b"\\ud800", b"NaN", b" ", b"\\"]
    )
    flipped = bytes([line[at] ^ (1 << random.randrange(8))])
    return random.choice(
        [
            line[:at],
            line[:at] + flipped + line[at + 1 :],
            line[:at] + piece + line[at:],
            line[:at] + line[at + 1 :],
            line + piece,
            piece + line,
        ]
    )
