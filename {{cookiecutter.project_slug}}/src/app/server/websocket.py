"""uvicorn's WebSocket protocol with a way out that never waits: the link that the scope offers.

It rests on parts of uvicorn that are not promised; `tests/server/test_websocket.py` pins them.
"""

from asyncio import TimerHandle
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame as Received
from websockets.http11 import Request
from websockets.protocol import State

from .. import metrics
from ..protocol.errors import CloseCode
from ..protocol.frames import Frame, Run
from ..settings import Limits
from .compression import EXTENSIONS

LINK = "app.link"
"""What the link is called in `scope["extensions"]`."""

CLOSE_SECONDS = 5.0
"""How long a peer may take to read what was written and to answer the close."""

LOOKS = 10
"""How often it is looked, in `outbox_seconds`, whether a peer that is too slow takes anything."""

STEP_BYTES = 1024
"""How much is parsed at a time where it may be compressed: each byte may become a thousand."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """One connection: frames made once for all recipients, and written without waiting.

    Each write is a system call, which is what a delivery costs; what can be joined comes as a Run.
    """

    # In the object itself, not in its large dictionary: each write looks there.
    __slots__ = ("_direct", "_outbox", "_patience", "_unread", "code", "heard", "limits")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._direct: Callable[[bytes], None] | None = None
        """What writes at once; None where that has to be thought about."""
        self._outbox = bytearray()
        self._patience: TimerHandle | None = None
        """Looks whether a peer takes anything; None while it takes everything."""
        self.code: int | None = None
        self.heard = monotonic()
        """When a byte came from the peer, or when it took some after too many had waited."""
        self._unread: bytearray | None = None
        """What may be compressed and is not parsed yet; None without compression."""
        if self.config.ws_per_message_deflate:
            self.conn.available_extensions = EXTENSIONS

    def handle_connect(self, event: Request) -> None:
        """Offer the link to the application, whose task has not begun to run."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[LINK] = self
            if self.conn.extensions:
                self._unread = bytearray()

    def begin(self, limits: Limits) -> None:
        """Serve as a link from here on: the handshake is over, and what was said in it goes."""
        self.limits = limits
        del self.request, self.response
        self._flow()

    def write(self, frame: Frame | Run) -> None:
        """Write, or keep it for when the peer takes more."""
        if self._direct is not None:
            self._direct(frame.wire)
        elif self._open:
            self._write_or_keep(self._encoded(frame))

    def offer(self, frame: Frame | Run) -> bool:
        """Write, or keep it as long as the outbox stays bounded; whether it was taken."""
        if self._direct is not None:
            self._direct(frame.wire)
        elif self._open:
            wire = self._encoded(frame)
            if self.buffered + len(wire) > self.limits.outbox_bytes and not self.writable.is_set():
                return False
            self._write_or_keep(wire)
        return True

    def _encoded(self, frame: Frame | Run) -> bytes:
        plain = self._unread is None
        return frame.wire if plain else frame.deflated(self.limits.compression_threshold)

    def _write_or_keep(self, wire: bytes) -> None:
        if self.writable.is_set():
            self.transport.write(wire)
        else:
            self._outbox += wire

    def _flow(self) -> None:
        if self._outbox:
            self._flush()
        if self._unread is None and self.writable.is_set():
            self._direct = self.transport.write

    @property
    def _open(self) -> bool:
        return not (self.close_sent or self.disconnected) and self.conn.state is State.OPEN

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, bytearray()
        self.transport.write(outbox)

    @property
    def buffered(self) -> int:
        """Bytes that wait for the peer, here and in the transport."""
        return len(self._outbox) + self.transport.get_write_buffer_size()

    @property
    def clogged(self) -> bool:
        """Whether more waits than may."""
        return self._direct is None and self.buffered > self.limits.outbox_bytes

    async def drained(self) -> None:
        """Return once the peer takes more, or never will."""
        # What was kept is written first, and may be too much again.
        while not self.writable.is_set():
            await self.writable.wait()

    def end(self, code: int, reason: str) -> None:
        """Close after what was written; a peer that does not read is cut."""
        if not self._open:
            return
        metrics.CLOSES.labels(code).inc()
        self.code = code
        if self._outbox and code != CloseCode.SLOW_CONSUMER:
            self._flush()
        self._outbox.clear()
        self._direct = None
        self._take_no_look()
        self.stop_keepalive()
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
        self.loop.call_soon(self._read_on)

    def data_received(self, data: bytes) -> None:
        """Take what the peer says; what may be compressed, in steps, as it is received."""
        self.heard = monotonic()
        if self._unread is None:
            super().data_received(data)
        else:
            self._unread += data
            self._read_on()

    def receive(self) -> Coroutine[Any, Any, Any]:
        """Hand the next event to the application, and read on once it has them all."""
        return super().receive() if self._unread is None else self._receive_and_read_on()

    async def _receive_and_read_on(self) -> Any:
        event = await super().receive()
        self._read_on()
        return event

    def _read_on(self) -> None:
        # Parsing inflates: what one read of a socket brings could become 256 MiB.
        while self._unread and not (self.read_paused or self.transport.is_closing()):
            step = bytes(self._unread[:STEP_BYTES])
            del self._unread[:STEP_BYTES]
            super().data_received(step)
            if self.close_sent and self._unread:
                # Nobody receives any more, so nothing else slows this down: a step per turn.
                self.transport.pause_reading()
                self.loop.call_soon(self._read_on)
                return
        if self.close_sent and not self.transport.is_closing():
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        """The peer takes no more for now; in the end it is too slow, if it takes nothing at all."""
        super().pause_writing()
        self._direct = None
        if self._patience is None and self._open:
            self._look(self.transport.get_write_buffer_size(), -1)

    def _look(self, waited: int, looks: int) -> None:
        """Look whether the peer took anything since `waited` bytes waited, `looks` looks ago."""
        waiting = self.transport.get_write_buffer_size()
        if waiting < waited:
            self.heard, looks = monotonic(), -1
        looks += 1
        if looks >= LOOKS:
            self.end(CloseCode.SLOW_CONSUMER, CloseCode.SLOW_CONSUMER.reason)
        else:
            pause = self.limits.outbox_seconds / LOOKS
            self._patience = self.loop.call_later(pause, self._look, waiting, looks)

    def _take_no_look(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def resume_writing(self) -> None:
        """The peer takes more."""
        super().resume_writing()
        self._take_no_look()
        if self._open:
            self._flow()

    def shutdown(self) -> None:
        """The server ends: what was written goes before the close."""
        if self._outbox and self._open:
            self._flush()
        self._direct = None
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        self._direct = None
        self._take_no_look()
        self._outbox.clear()
        super().connection_lost(exc)

    def handle_close(self, event: Received) -> None:
        """The peer leaves, and has so long to read what it was told."""
        super().handle_close(event)
        self._cut_later()

    def handle_parser_exception(self) -> None:
        """The peer does not speak the protocol, and has so long to read why that is the end."""
        super().handle_parser_exception()
        self._cut_later()

    def keepalive_timeout(self) -> None:
        """The peer answers no ping: it is gone, whatever waits for it."""
        super().keepalive_timeout()
        self._cut_later()

    def _cut_later(self) -> None:
        # A closed transport stays until its buffer was read, and tells nobody before.
        self._direct = None
        if self.close_timer is None:
            self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
