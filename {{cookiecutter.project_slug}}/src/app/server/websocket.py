"""uvicorn's WebSocket protocol with a way out that never waits: the link that the scope offers.

It rests on parts of uvicorn that are not promised; `tests/server/test_websocket.py` pins them.
"""

import socket
import sys
from asyncio import TimerHandle
from collections.abc import Callable
from time import monotonic
from typing import Any

from websockets.frames import Frame as Received
from websockets.http11 import Request
from websockets.protocol import State

from .. import metrics
from ..protocol.errors import CloseCode
from ..protocol.frames import Frame, Run
from ..settings import Limits
from .compression import EXTENSIONS
from .inbound import LINGER_BYTES, InboundProtocol

LINK = "app.link"
"""What the link is called in `scope["extensions"]`."""

CLOSE_SECONDS = 5.0
"""How long a peer may take to read what was written and to answer the close."""

LOOK_SECONDS = 1.0
"""How often it is looked whether a peer that is too slow takes anything."""

NOTSENT_LOWAT = 25 if sys.platform == "linux" else None
"""TCP_NOTSENT_LOWAT, which the standard library names since Python 3.12."""
UNSENT_BYTES = 16_384
"""How much of what was not sent yet the kernel takes."""


class SocketProtocol(InboundProtocol):
    """One connection: frames made once for all recipients, and written without waiting.

    Each write is a system call, which is what a delivery costs; what can be joined comes as a Run.
    """

    # In the object itself, not in its large dictionary: each write looks there.
    __slots__ = ("_direct", "_outbox", "_patience", "_plain", "limits")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._direct: Callable[[bytes], None] | None = None
        """What writes at once; None where that has to be thought about."""
        self._outbox = bytearray()
        self._patience: TimerHandle | None = None
        """Looks whether a peer takes anything; None while it takes everything."""
        self._plain = True
        """Whether no compression was negotiated."""
        if self.config.ws_per_message_deflate:
            self.conn.available_extensions = EXTENSIONS

    def handle_connect(self, event: Request) -> None:
        """Offer the link to the application, whose task has not begun to run."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[LINK] = self
            self._plain = not self.conn.extensions

    def begin(self, limits: Limits) -> None:
        """Serve as a link from here on: the handshake is over, and what was said in it goes."""
        self.limits = limits
        del self.request, self.response
        # What a peer does not take waits here, where it is seen, and not in the kernel.
        raw = self.transport.get_extra_info("socket")
        if NOTSENT_LOWAT and raw is not None and raw.family != socket.AF_UNIX:
            raw.setsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT, UNSENT_BYTES)
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
        return frame.wire if self._plain else frame.deflated(self.limits.compression_threshold)

    def _write_or_keep(self, wire: bytes) -> None:
        if self.writable.is_set():
            self.transport.write(wire)
        else:
            self._outbox += wire

    def _flow(self) -> None:
        if self._outbox:
            self._flush()
        if self._plain and self.writable.is_set():
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

    async def drained(self) -> None:
        """Return once the peer takes more, or never will."""
        # What was kept is written first, and may be too much again.
        while not self.writable.is_set():
            await self.writable.wait()

    @property
    def code(self) -> int | None:
        """The code of the close that was sent or received, 1006 without; None while it is open."""
        close = self.conn.close_sent or self.conn.close_rcvd
        if close is not None:
            return int(close.code)
        return 1006 if self.disconnected else None

    def end(self, code: CloseCode, reason: str = "") -> None:
        """Close after what was written; a peer that does not read is cut."""
        if not self._open:
            return
        metrics.CLOSES.labels(code).inc()
        reason = reason or code.reason
        if self._outbox and code != CloseCode.SLOW_CONSUMER:
            self._flush()
        self._outbox.clear()
        self._direct = None
        self._take_no_look()
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
        self.loop.call_soon(self._read_on)

    def pause_writing(self) -> None:
        """The peer takes no more for now; in the end it is too slow, if it takes nothing at all."""
        super().pause_writing()
        self._direct = None
        if self._patience is None and self._open:
            self._look(self.transport.get_write_buffer_size(), monotonic())

    def _look(self, waited: int, since: float) -> None:
        """Look whether the peer took anything of the bytes that waited, and have for some time."""
        waiting, patience = self.transport.get_write_buffer_size(), self.limits.outbox_seconds
        now = monotonic()
        if waiting < waited:
            self.heard = since = now
        if now - since >= patience:
            self.end(CloseCode.SLOW_CONSUMER)
        else:
            pause = min(LOOK_SECONDS, patience / 10)
            self._patience = self.loop.call_later(pause, self._look, waiting, since)

    def _take_no_look(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def resume_writing(self) -> None:
        """The peer takes more."""
        super().resume_writing()
        self._take_no_look()
        self.heard = monotonic()
        if self._open:
            self._flow()

    def shutdown(self) -> None:
        """The server ends: what was written goes before the close."""
        if self.close_timer is not None:
            return  # Who was told already has time to read why: closing now might take that away.
        opened = self._open
        if self._outbox and opened:
            self._flush()
        self._direct = None
        super().shutdown()
        if opened:
            metrics.CLOSES.labels(self.code).inc()

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
        ours = self.conn.close_sent is not self.conn.close_rcvd
        if ours and not (self.close_sent or self.transport.is_closing()):
            metrics.CLOSES.labels(self.code).inc()
        if self.transport.can_write_eof():
            self._linger()
        else:
            super().handle_parser_exception()
        self._cut_later()

    def _linger(self) -> None:
        """Say why, and nothing more; take what still comes."""
        close = self.conn.close_sent
        if close is None or self._at_an_end:
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.write_eof()
        self.close_sent, self.read_paused, self._left = True, False, LINGER_BYTES
        self.transport.resume_reading()

    def _cut_later(self) -> None:
        # A closed transport stays until its buffer was read, and tells nobody before.
        self._direct = None
        if self.close_timer is None:
            self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
