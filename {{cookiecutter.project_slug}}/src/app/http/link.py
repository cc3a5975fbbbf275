"""A link over plain ASGI: frames wait here until one task has sent them.

What it cannot promise: `send` waits for a peer that does not read, so ending such a peer takes up
to CLOSE_SECONDS, and half-open peers are found by the pings of the server underneath.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from starlette.types import Send

from ..protocol.errors import CloseCode

CLOSE_SECONDS = 5.0


class AsgiLink:
    """Writes to one peer through ASGI's `send`; one that is too slow is closed.

    Belongs to the task that makes it, which is cancelled if the end takes too long.
    """

    def __init__(self, send: Send, limit: int) -> None:
        self.overdue = False
        """Whether the end took too long."""
        self._send = send
        self._limit = limit
        self._frames: deque[bytes] = deque()
        self._buffered = 0
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._ending: tuple[int, str] | None = None
        self._owner = asyncio.current_task()
        self._deadline: asyncio.TimerHandle | None = None

    def write(self, frames: Sequence[bytes]) -> None:
        """Queue text frames; beyond the limit the peer is a slow consumer."""
        if self._ending is not None:
            return
        self._frames.extend(frames)
        self._buffered += sum(map(len, frames))
        self._empty.clear()
        self._wake.set()
        if self._buffered > self._limit:
            self._frames.clear()
            self.end(CloseCode.SLOW_CONSUMER, CloseCode.SLOW_CONSUMER.reason)

    async def drained(self) -> None:
        """Return once everything written was sent, or never will be."""
        await self._empty.wait()

    def end(self, code: int, reason: str) -> None:
        """Close after what was written."""
        if self._ending is None:
            self._ending = (code, reason)
            self._wake.set()
            self._deadline = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._give_up)

    async def run(self) -> None:
        """Send what is written until the end, or until the peer is gone."""
        try:
            while self._frames or self._ending is None:
                self._wake.clear()
                await self._flush()
                if self._ending is None:
                    await self._wake.wait()
            code, reason = self._ending
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except (OSError, RuntimeError):
            # How servers say that nobody is there any more.
            self._ending = self._ending or (CloseCode.INTERNAL_ERROR, "")
        finally:
            self._empty.set()

    def release(self) -> None:
        """Let go of the owning task."""
        if self._deadline is not None:
            self._deadline.cancel()

    async def _flush(self) -> None:
        while self._frames:
            frame = self._frames.popleft()
            await self._send({"type": "websocket.send", "text": frame.decode()})
            self._buffered -= len(frame)
        self._empty.set()

    def _give_up(self) -> None:
        self.overdue = True
        if self._owner is not None:
            self._owner.cancel()
