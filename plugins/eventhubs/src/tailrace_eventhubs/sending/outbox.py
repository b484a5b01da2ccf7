"""Frames on their way to the socket."""

from __future__ import annotations

from tailrace_eventhubs.sending.channels import CHUNK, Channel

HELD = 1 << 19
"""Bytes of frames that wait for the socket: enough for it never to starve."""


class Outbox:
    """`frames` takes more, `held` counts the bytes of those that are large."""

    def __init__(self) -> None:
        self.frames: list[bytes | memoryview] = []
        self.held = 0
        self._chunk = memoryview(b"")

    @property
    def empty(self) -> bool:
        return not (self._chunk or self.frames)

    @property
    def has_room(self) -> bool:
        return self.held < HELD

    def flush(self, channel: Channel) -> bool:
        """Send as much as the channel takes. Whether it took anything."""
        took = False
        while not self.empty:
            if not self._chunk:
                self._chunk = memoryview(self._gather())
            count = channel.send(self._chunk)
            if not count:
                break
            self._chunk = self._chunk[count:]
            took = True
        return took

    def _gather(self) -> bytes:
        size = count = 0
        for frame in self.frames:
            size += len(frame)
            count += 1
            if size >= CHUNK:
                break
        chunk = b"".join(self.frames[:count])
        del self.frames[:count]
        self.held = max(self.held - size, 0) if self.frames else 0
        return chunk
