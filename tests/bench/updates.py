"""What the benchmark exports: profile updates of made-up people, about a kilobyte each, the same ones for
the same seed. A bit less than half of them belong to one of the two mapped segments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

SEED = 7
MAPPED = ("0b7f4c1e-53d6-4e0e-9d2a-6c1f0a9be301", "c4a9d1f2-7e55-4b6a-8f3d-21d7e0b5aa02")
ATTRIBUTES = ("person.name.firstName", "personalEmail.address", "homeAddress.city", "loyalty.tier")

_FIRST = (
    "Aino",
    "Basil",
    "Célia",
    "Dragan",
    "Emre",
    "Fleur",
    "Goran",
    "Hanna",
    "Iveta",
    "João",
    "Kaja",
    "Léon",
)
_LAST = ("Almeida", "Bošković", "Çelik", "Dahl", "Eriksen", "Fekete", "Gruber", "Holm", "Ivanov", "Jónsson")
_CITIES = ("Aarhus", "Brno", "Córdoba", "Debrecen", "Essen", "Gdańsk", "Lyon", "Tromsø", "Zürich")
_TIERS = ("none", "bronze", "silver", "gold")
_WORDS = (
    "autumn", "blue", "call", "desk", "early", "few", "green", "hotel", "in", "jacket", "kind", "late",
    "mail", "north", "open", "plan", "quiet", "red",
)  # fmt: skip
_START = datetime(2026, 1, 1, tzinfo=UTC)


def updates(count: int, seed: int = SEED) -> Iterator[bytes]:
    """The lines, each with its line end."""
    random = Random(seed)
    unmapped = [_uuid(random) for _ in range(24)]
    for number in range(count):
        text = json.dumps(_update(random, number, unmapped), ensure_ascii=False, separators=(",", ":"))
        yield text.encode() + b"\n"


def write(path: Path, count: int, seed: int = SEED) -> int:
    """Write them to a file; its size in bytes."""
    with open(path, "wb") as file:
        file.writelines(updates(count, seed))
    return path.stat().st_size


def _update(random: Random, number: int, unmapped: list[str]) -> dict[str, Any]:
    first, last = random.choice(_FIRST), random.choice(_LAST)
    return {
        "_id": f"u-{number:09}",
        "identityMap": _identities(random),
        "person": {
            "name": {"firstName": first, "lastName": last, "fullName": f"{first} {last}"},
            "birthDate": (_START - timedelta(days=random.randrange(6600, 29000))).date().isoformat(),
            "gender": random.choice(("female", "male", "not_specified")),
        },
        "personalEmail": {"address": f"{first}.{number}@example.org".lower(), "status": "active"},
        "homeAddress": {
            "street1": f"{random.choice(_WORDS).title()} street {random.randrange(1, 300)}",
            "city": random.choice(_CITIES),
            "postalCode": f"{random.randrange(10000, 99999)}",
        },
        "loyalty": {"tier": random.choice(_TIERS), "points": random.randrange(20_000)},
        "consents": {
            "marketing": {"email": {"val": random.choice("yn")}, "push": {"val": random.choice("yn")}}
        },
        "orders": {
            "count": random.randrange(90),
            "value": round(random.random() * 9000, 2),
            "last": _time(random),
        },
        "note": " ".join(random.choices(_WORDS, k=random.randrange(4, 30))),
        "segmentMembership": {"ups": _memberships(random, unmapped)},
    }


def _identities(random: Random) -> dict[str, Any]:
    identities: dict[str, Any] = {
        "ecid": [{"id": str(random.randrange(10**37, 10**38))} for _ in range(random.choice((1, 1, 2)))],
        "email_lc_sha256": [{"id": f"{random.getrandbits(256):064x}"}],
    }
    if random.random() < 0.7:
        identities["crm"] = [{"id": f"C-{random.randrange(10**8):08}", "primary": True}]
    return identities


def _memberships(random: Random, unmapped: list[str]) -> dict[str, Any]:
    segments = random.sample(unmapped, random.randrange(1, 5))
    segments += [segment for segment in MAPPED if random.random() < 0.25]
    random.shuffle(segments)
    return {
        segment: {
            "lastQualificationTime": _time(random),
            "status": "exited" if random.random() < 0.2 else "realized",
        }
        for segment in segments
    }


def _time(random: Random) -> str:
    return (_START + timedelta(seconds=random.randrange(10**7))).strftime("%Y-%m-%dT%H:%M:%SZ")


def _uuid(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128), version=4))
