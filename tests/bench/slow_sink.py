"""The sink where there is no C compiler: the same as `sink.c`, in asyncio. It costs more than what it
measures, so the report says when it was used.

    python -m tests.bench.slow_sink LATENCY_MS REFUSED_PER_MILLE
"""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import count

SECONDS = 900
MOST = 500
SUMMARY = {"StreamName": "bench", "StreamStatus": "ACTIVE", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
REFUSAL = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded for shard"}


class Sink:
    def __init__(self, latency: float, refused_per_mille: int) -> None:
        self._latency = latency
        self._per_mille = refused_per_mille
        self._sequence = count()
        self._drawn = count()
        self.seen = {"requests": 0, "accepted": 0, "refused": 0, "bytes": 0}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                size = int(head.partition(b"\ncontent-length:")[2].partition(b"\r")[0] or b"0")
                body = await reader.readexactly(size)
                if b"describestreamsummary" in head:
                    status, answer = b"200 OK", json.dumps({"StreamDescriptionSummary": SUMMARY}).encode()
                else:
                    await asyncio.sleep(self._latency)
                    status, answer = self._put_records(body)
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(answer), answer))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _put_records(self, body: bytes) -> tuple[bytes, bytes]:
        records = body.count(b'"Data":')
        self.seen["requests"] += 1
        self.seen["bytes"] += len(body)
        if not 1 <= records <= MOST:
            return b"400 Bad Request", b'{"__type":"ValidationException","message":"1 to 500 records"}'
        entries = [self._entry() for _ in range(records)]
        failed = sum("ErrorCode" in entry for entry in entries)
        self.seen["accepted"] += records - failed
        self.seen["refused"] += failed
        return b"200 OK", json.dumps({"FailedRecordCount": failed, "Records": entries}).encode()

    def _entry(self) -> dict[str, str]:
        if self._per_mille:
            number = next(self._drawn)
            mixed = (number ^ (number >> 7)) * 2654435761 & 0xFFFFFFFF
            if (mixed >> 12) % 1000 < self._per_mille:
                return REFUSAL
        return {
            "SequenceNumber": f"{49645 * 10**51 + next(self._sequence)}",
            "ShardId": "shardId-000000000000",
        }


async def main(latency_ms: int, refused_per_mille: int) -> None:
    sink = Sink(latency_ms / 1000, refused_per_mille)
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait([ended], timeout=SECONDS)
    print(json.dumps(sink.seen), flush=True)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
