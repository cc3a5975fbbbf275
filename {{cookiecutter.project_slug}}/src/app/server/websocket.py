"""uvicorn's WebSocket protocol with a way out that never waits: the link that the scope offers.

It rests on parts of uvicorn that are not promised; `tests/server/test_websocket.py` pins them.
"""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame as Received
from websockets.http11 import Request
from websockets.protocol import State

from .. import metrics
from ..protocol.errors import CloseCode
from ..protocol.frames import Frame, Run

LINK = "app.link"
"""What the link is called in `scope["extensions"]`."""

CLOSE_SECONDS = 5.0
"""How long a peer may take to read what was written and to answer the close."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """One connection: frames made once for all recipients, and written without waiting.

    Each write is a system call, which is what a delivery costs; what can be joined comes as a Run.
    """

    limit = 1_048_576
    """Bytes that may wait for the peer; beyond it, it is a slow consumer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._flowing = True
        self._outbox: list[bytes] = []
        self._buffered = 0

    def handle_connect(self, event: Request) -> None:
        """Offer the link to the application, whose task has not begun to run."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[LINK] = self

    def write(self, frame: Frame | Run) -> None:
        """Write, or keep it for when the peer takes more, as long as that stays bounded."""
        if self._flowing:
            self.transport.write(frame.wire)
        elif self._open:
            self._outbox.append(frame.wire)
            self._buffered += len(frame.wire)
            if self._buffered > self.limit:
                self.end(CloseCode.SLOW_CONSUMER, CloseCode.SLOW_CONSUMER.reason)

    @property
    def _open(self) -> bool:
        return not (self.close_sent or self.disconnected) and self.conn.state is State.OPEN

    def _flush(self) -> None:
        outbox, self._outbox, self._buffered = self._outbox, [], 0
        self.transport.write(b"".join(outbox))

    @property
    def buffered(self) -> int:
        """Bytes that wait for the peer, here and in the transport."""
        return self._buffered + self.transport.get_write_buffer_size()

    async def drained(self) -> None:
        """Return once the peer takes more, or never will."""
        await self.writable.wait()

    def end(self, code: int, reason: str) -> None:
        """Close after what was written; a peer that does not read is cut."""
        if not self._open:
            return
        metrics.CLOSES.labels(code).inc()
        if self._outbox and code != CloseCode.SLOW_CONSUMER:
            self._flush()
        self._outbox.clear()
        self._flowing = False
        self.stop_keepalive()
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        """The peer takes no more for now."""
        super().pause_writing()
        self._flowing = False

    def resume_writing(self) -> None:
        """The peer takes more."""
        super().resume_writing()
        if self._open:
            self._flowing = True
            if self._outbox:
                self._flush()

    def shutdown(self) -> None:
        """The server ends: what was written goes before the close."""
        if self._outbox and self._open:
            self._flush()
        self._flowing = False
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        self._flowing = False
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
        self._flowing = False
        if self.close_timer is None:
            self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
