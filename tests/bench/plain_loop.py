"""What the export is compared with: the loop that one would write first, with json and boto3.

    python -m tests.bench.plain_loop FILE

The endpoint and the credentials come from the SDK's own variables. It makes the same records and keys as the
export of the same activation (a test compares them), sends 500 at a time and sends refused ones again until
none is left, after a pause that doubles.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from tests.bench.updates import ATTRIBUTES, MAPPED

STREAM = "bench"
AT_ONCE = 500
PATHS = tuple(tuple(path.split(".")) for path in ATTRIBUTES)


def records(path: str) -> Iterator[tuple[str, bytes]]:
    """(partition key, bytes) of each update that is exported."""
    with open(path, "rb") as file:
        for line in file:
            update = json.loads(line)
            members = update["segmentMembership"]["ups"]
            mapped = {segment: members[segment] for segment in MAPPED if segment in members}
            if mapped:
                record = json.dumps(_project(update, mapped), ensure_ascii=False, separators=(",", ":"))
                yield _key(update["identityMap"]), record.encode()


def send(client: Any, entries: list[dict[str, Any]]) -> None:
    """PutRecords until every entry is accepted."""
    pause = 0.05
    while entries:
        answer = client.put_records(StreamName=STREAM, Records=entries)
        if not answer["FailedRecordCount"]:
            return
        results = answer["Records"]
        entries = [entry for entry, result in zip(entries, results, strict=True) if "ErrorCode" in result]
        time.sleep(pause)
        pause = min(pause * 2, 2.0)


def main(path: str) -> None:
    import boto3

    client = boto3.client("kinesis")
    entries: list[dict[str, Any]] = []
    for key, data in records(path):
        entries.append({"Data": data, "PartitionKey": key})
        if len(entries) == AT_ONCE:
            send(client, entries)
            entries = []
    send(client, entries)


def _project(update: dict[str, Any], mapped: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for path in PATHS:
        source, target = update, record
        for name in path[:-1]:
            source, target = source[name], target.setdefault(name, {})
        target[path[-1]] = source[path[-1]]
    fields = ("lastQualificationTime", "status")
    record["segmentMembership"] = {
        "ups": {segment: {field: entry[field] for field in fields} for segment, entry in mapped.items()}
    }
    record["identityMap"] = {
        namespace: [{"id": identity["id"]} for identity in identities]
        for namespace, identities in update["identityMap"].items()
    }
    return record


def _key(identity_map: dict[str, list[dict[str, Any]]]) -> str:
    for identities in identity_map.values():
        for identity in identities:
            if identity.get("primary"):
                return str(identity["id"])
    namespace = min(identity_map)
    return str(min(identity["id"] for identity in identity_map[namespace]))


if __name__ == "__main__":
    main(sys.argv[1])
