"""uvicorn's WebSocket protocol with a way out that never waits: the link that the scope offers.

It rests on parts of uvicorn that are not promised; `tests/server/test_websocket.py` pins them.
"""

from itertools import islice
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame as Received
from websockets.http11 import Request
from websockets.protocol import State

from ..protocol.errors import CloseCode
from ..protocol.frames import Frame, Run
from .turns import turns_of

LINK = "app.link"
"""What the link is called in `scope["extensions"]`."""

CLOSE_SECONDS = 5.0
"""How long a peer may take to read what was written and to answer the close."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """One connection: frames made once for all recipients, joined, and written without waiting."""

    limit = 1_048_576
    """Bytes that may wait for the peer; beyond it, it is a slow consumer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._turns = turns_of(self.loop)
        self._turn = -1
        self._waits = -1
        self._outbox: list[bytes] = []
        self._counted = 0
        self._buffered = 0

    def handle_connect(self, event: Request) -> None:
        """Offer the link to the application, whose task has not begun to run."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[LINK] = self

    def write(self, frame: Frame | Run) -> None:
        """Write at once if this is the first frame of the turn, else with the others at its end."""
        if self._turn == self._turns.number:
            if self._waits != self._turn:
                self._waits = self._turn
                self._turns.waiting.append(self)
            self._outbox.append(frame.wire)
            return
        self._turn = self._turns.begin()
        self._outbox.append(frame.wire)
        self.flush()

    def flush(self) -> None:
        """Hand what waits to the transport if the peer takes it; else see that it stays bounded."""
        if not self._open:
            self._outbox.clear()
        elif self.writable.is_set():
            self._hand_over()
        else:
            self._buffered += sum(map(len, islice(self._outbox, self._counted, None)))
            self._counted = len(self._outbox)
            if self._buffered > self.limit:
                self.end(CloseCode.SLOW_CONSUMER, CloseCode.SLOW_CONSUMER.reason)

    @property
    def _open(self) -> bool:
        return not (self.close_sent or self.disconnected) and self.conn.state is State.OPEN

    def _hand_over(self) -> None:
        outbox, self._outbox = self._outbox, []
        self._counted = self._buffered = 0
        self.transport.write(outbox[0] if len(outbox) == 1 else b"".join(outbox))

    async def drained(self) -> None:
        """Return once the peer takes more, or never will."""
        await self.writable.wait()

    def end(self, code: int, reason: str) -> None:
        """Close after what was written; a peer that does not read is cut."""
        if not self._open:
            return
        if self._outbox and code != CloseCode.SLOW_CONSUMER:
            self._hand_over()
        self._outbox.clear()
        self.stop_keepalive()
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer takes more."""
        super().resume_writing()
        self.flush()

    def shutdown(self) -> None:
        """The server ends: what was written goes before the close."""
        if self._outbox and self._open:
            self._hand_over()
        super().shutdown()

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
        if self.close_timer is None:
            self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
