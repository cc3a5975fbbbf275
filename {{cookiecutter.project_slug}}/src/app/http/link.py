"""A link over plain ASGI: frames wait here until one task has sent them.

What it cannot promise: `send` waits for a peer that does not read, so ending such a peer takes up
to CLOSE_SECONDS; half-open peers are found by the pings of the server underneath, since its pongs
are not seen here; and what a message is sent as, and how much waits in the server, is its own.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from time import monotonic

import structlog
from starlette.types import Scope, Send

from .. import metrics
from ..protocol.errors import CloseCode
from ..protocol.frames import Frame, Run
from ..realtime.link import Link
from ..server.websocket import CLOSE_SECONDS, LINK, SocketProtocol
from ..settings import Limits

log = structlog.stdlib.get_logger(__name__)


class AsgiLink:
    """Writes to one peer through ASGI's `send`; one that is too slow is closed.

    Belongs to the task that makes it, which is cancelled if the end takes too long.
    """

    def __init__(self, send: Send, limits: Limits) -> None:
        self.overdue = False
        """Whether the end took too long."""
        self.buffered = 0
        """Bytes that the server has not taken yet."""
        self._send = send
        self._limits = limits
        self._frames: deque[Frame] = deque()
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._ending: tuple[int, str] | None = None
        self._owner = asyncio.current_task()
        self._deadline: asyncio.TimerHandle | None = None

    def write(self, frame: Frame | Run) -> None:
        """Queue frames."""
        if self._ending is None:
            self._frames.extend(frame.frames)
            self.buffered += _size(frame)
            self._empty.clear()
            self._wake.set()

    def offer(self, frame: Frame | Run) -> bool:
        """Queue frames as long as the queue stays bounded; whether they were taken."""
        if self.buffered and self.buffered + _size(frame) > self._limits.outbox_bytes:
            return False
        self.write(frame)
        return True

    @property
    def heard(self) -> float:
        """Now, since nobody tells here that a pong came."""
        return monotonic()

    @property
    def code(self) -> int | None:
        """The code with which the service ended the connection."""
        return None if self._ending is None else self._ending[0]

    async def drained(self) -> None:
        """Return once everything written was sent, or never will be."""
        await self._empty.wait()

    def end(self, code: CloseCode, reason: str = "") -> None:
        """Close after what was written."""
        if self._ending is None:
            metrics.CLOSES.labels(code).inc()
            self._ending = (code, reason or code.reason)
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
            pass  # How servers say that nobody is there any more.
        finally:
            self._ending = self._ending or (CloseCode.INTERNAL_ERROR, "")
            self._frames.clear()
            self.buffered = 0
            self._empty.set()

    def release(self) -> None:
        """Let go of the owning task."""
        if self._deadline is not None:
            self._deadline.cancel()

    async def _flush(self) -> None:
        while self._frames:
            frame = self._frames.popleft()
            try:
                async with asyncio.timeout(self._limits.outbox_seconds):
                    await self._send({"type": "websocket.send", "text": frame.payload.decode()})
            except TimeoutError:
                self._frames.clear()
                self.buffered = len(frame.payload)
                self.end(CloseCode.SLOW_CONSUMER)
            self.buffered -= len(frame.payload)
        self._empty.set()

    def _give_up(self) -> None:
        self.overdue = True
        if self._owner is not None:
            self._owner.cancel()


def _size(frame: Frame | Run) -> int:
    return sum(len(each.payload) for each in frame.frames)


def offered_link(scope: Scope, limits: Limits) -> Link | None:
    """The link that the server offers, once the handshake is over."""
    offered: SocketProtocol | None = scope.get("extensions", {}).get(LINK)
    if offered is None:
        return None
    offered.begin(limits)
    return offered


@asynccontextmanager
async def open_link(send: Send, limits: Limits) -> AsyncIterator[Link]:
    """A link over `send`; closed when the scope ends."""
    _warn()
    link = AsgiLink(send, limits)
    writer = asyncio.create_task(link.run())
    try:
        yield link
    except asyncio.CancelledError:
        if not link.overdue:
            raise
    finally:
        link.end(CloseCode.INTERNAL_ERROR, "the session is over")
        link.release()
        if not link.overdue:
            # A peer that does not read is cut.
            await asyncio.wait((writer,), timeout=CLOSE_SECONDS)
        writer.cancel()


@cache
def _warn() -> None:
    log.warning("served by plain ASGI: slower, see http/link.py; use python -m app")
