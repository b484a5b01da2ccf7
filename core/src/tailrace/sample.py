"""A sample: some thousand profile updates of made-up people, a few of them bad on purpose.

The lines are made, not stored, and are the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

LINES = 3000
PEOPLE = 2400
EVERY = 375
"""One line in so many is bad."""

HIGH_PROPENSITY = "7841ba61-23c1-4bb3-a495-00d695fe1e93"
NEWSLETTER = "59bd2fcd-3c48-4b18-bf56-4f5c5e6967ae"
OTHERS = (
    "5114d758-ce71-43ba-b53e-e2a91d67b67f",
    "354e086f-2e11-49a2-9e39-e5d9a76be683",
    "5b998cb9-9488-4ec3-8d95-fa8338ced490",
)
FIRST = (
    "Ada", "Anaïs", "Bruno", "Chiara", "Dilek", "Élodie", "Farid", "Grete", "Håkon", "Inês", "Jürgen",
    "Kenji", "Łucja", "Mateo", "Noor", "Olek", "Petra", "Quentin", "Rosa", "Søren", "Tamar", "Uma",
)  # fmt: skip
LAST = (
    "Abel", "Björk", "Castillo", "D'Arcy", "Ekström", "Fontaine", "Grünwald", "Horvat", "Ito", "Jansen",
    "Kowalczyk", "Lemaître", "Moreau", "Núñez", "Okafor", "Petrov", "Quispe", "Rossi", "Sørensen", "Weiß",
)  # fmt: skip
CITIES = (("Paris", "FR"), ("Köln", "DE"), ("Malmö", "SE"), ("Porto", "PT"), ("Łódź", "PL"), ("Torino", "IT"))
TIERS = ("bronze", "silver", "gold", "platinum")
START = datetime(2026, 1, 1, tzinfo=UTC)


def lines() -> Iterator[bytes]:
    """The sample, line by line, without line ends."""
    random = Random(20260101)
    people = [_person(random, number) for number in range(PEOPLE)]
    for number in range(LINES):
        line = _encode(_update(random, random.choice(people)))
        if number % EVERY == EVERY - 1:
            line = BAD[number // EVERY % len(BAD)](line)
        yield line


def write(path: Path) -> int:
    """Write the sample as a JSON lines file; its size in bytes."""
    return path.write_bytes(b"".join(line + b"\n" for line in lines()))


def _encode(update: dict[str, Any]) -> bytes:
    return json.dumps(update, ensure_ascii=False, separators=(",", ":")).encode()


def _person(random: Random, number: int) -> dict[str, Any]:
    """What stays the same over a person's updates."""
    first, last = random.choice(FIRST), random.choice(LAST)
    city, country = random.choice(CITIES)
    address = f"{number}@example.com"
    identities: dict[str, list[dict[str, object]]] = {
        "ecid": [{"id": f"{random.randrange(10**37, 10**38)}", "primary": False}],
        "email_lc_sha256": [{"id": hashlib.sha256(address.encode()).hexdigest()}],
        "crm": [{"id": f"C-{number:06}", "primary": True}],
    }
    if random.random() < 0.2:
        identities["ecid"].append({"id": f"{random.randrange(10**37, 10**38)}", "primary": False})
    if random.random() < 0.3:
        del identities["crm"]
    return {
        "_id": f"profile-{number:06}",
        "person": {
            "name": {"firstName": first, "lastName": last},
            "birthDate": (START - timedelta(days=random.randrange(7000, 30000))).date().isoformat(),
        },
        "personalEmail": {"address": address, "status": "active"},
        "homeAddress": {"city": city, "countryCode": country},
        "identityMap": identities,
    }


def _update(random: Random, person: dict[str, Any]) -> dict[str, Any]:
    chances = {HIGH_PROPENSITY: 0.35, NEWSLETTER: 0.4, **dict.fromkeys(OTHERS, 0.25)}
    segments = {
        segment: _membership(random) for segment, chance in chances.items() if random.random() < chance
    }
    memberships: dict[str, Any] = {"ups": segments} if segments else {}
    if random.random() < 0.1:
        memberships["AAM"] = {str(random.randrange(10**6, 10**7)): _membership(random)}
    points = random.randrange(0, 5000)
    update = person | {"loyalty": {"tier": TIERS[points // 1250], "points": points}}
    if random.random() < 0.1:
        del update["personalEmail"]
    return update | {"segmentMembership": memberships} if memberships else update


def _membership(random: Random) -> dict[str, Any]:
    moment = START + timedelta(seconds=random.randrange(0, 60 * 86400))
    return {
        "lastQualificationTime": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "status": random.choices(("realized", "exited"), (4, 1))[0],
    }


def _changed(line: bytes, **fields: Any) -> bytes:
    """The line with fields replaced, and in the segment that makes it matter."""
    membership = {
        "ups": {HIGH_PROPENSITY: {"lastQualificationTime": "2026-02-01T08:00:00Z", "status": "realized"}}
    }
    return _encode(json.loads(line) | {"segmentMembership": membership} | fields)


BAD: tuple[Callable[[bytes], bytes], ...] = (
    lambda line: line[: len(line) // 2],
    lambda line: _changed(line, homeAddress={"city": "K\N{REPLACEMENT CHARACTER}ln"}).replace(
        "\N{REPLACEMENT CHARACTER}".encode(), "ö".encode("latin-1")
    ),
    lambda line: _changed(line, identityMap={}),
    lambda line: b"[" + line + b"]",
    lambda line: _changed(line, person="Ada"),
    lambda line: line.replace(b'"points":', b'"points":NaN,"was":'),
    lambda line: _changed(line, identityMap={"crm": [{"id": ""}]}),
    lambda line: line.replace(b'"tier":"', b'"tier":"\\ud83d'),
)
"""Cut off, not UTF-8, no identity, not an object, a wrong type, NaN, no usable key, half a pair."""
