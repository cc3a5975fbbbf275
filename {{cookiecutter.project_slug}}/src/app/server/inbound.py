"""uvicorn's WebSocket protocol with bounds on what a peer may make it parse, keep and answer."""

from asyncio import TimerHandle, Transport
from time import monotonic
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame as Received
from websockets.protocol import State

from ..protocol.errors import CloseCode

STEP_BYTES = 4096
"""How much is parsed at a time, before it is looked at what came of it."""

COMPRESSED_STEP_BYTES = 1024
"""The same where it may be compressed: each byte may become a thousand."""

CONTROL_FRAMES, CONTROL_SECONDS = 500, 10.0
"""How many pings and pongs a peer may send in so many seconds."""

FRAGMENTS, FRAGMENT_BYTES = 1024, 64
"""How many fragments a message may have: so many, or one for so many bytes that it may have."""


LINGER_BYTES = 1_048_576
"""How much is taken and thrown away of a peer that was told why it ends, so that it may read why:
where a socket is closed with something unread, TCP resets it."""


def throw_away(data: bytes, left: int, transport: Transport) -> int:
    """How many bytes more may come; the peer is cut when it sends on and on."""
    if left < len(data):
        transport.abort()
    return left - len(data)


class InboundProtocol(WebSocketsSansIOProtocol):
    """One connection of which little is parsed at a time, and only while somebody takes it."""

    __slots__ = (
        "_acceptance",
        "_controls",
        "_left",
        "_pong",
        "_since",
        "_step",
        "_unread",
        "heard",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.heard = monotonic()
        """When a byte came from the peer, or when it took some after too many had waited."""
        self._acceptance: TimerHandle | None = None
        self._controls = 0
        self._left: int | None = None
        """How many bytes more are thrown away; None while they are parsed."""
        self._pong: bytes | None = None
        """The answer to the newest ping, where the peer did not take it yet."""
        self._since = 0.0
        """Since when control frames are counted."""
        self._step = 0
        """How much is parsed at a time: nothing before the application has accepted."""
        self._unread: bytearray | None = None
        """What came and is not parsed yet."""

    def expect_acceptance(self, seconds: float) -> None:
        """Give the application so long to accept the connection, or to refuse it."""
        self._acceptance = self.loop.call_later(seconds, self._not_accepted)

    def _not_accepted(self) -> None:
        self.send_500_response()
        self.transport.close()
        self._cut_later()

    def start_keepalive(self) -> None:
        """The application has accepted, so that the peer may speak."""
        super().start_keepalive()
        self._stop_expecting_acceptance()
        self._step = COMPRESSED_STEP_BYTES if self.conn.extensions else STEP_BYTES
        self._read_on()

    def _stop_expecting_acceptance(self) -> None:
        if self._acceptance is not None:
            self._acceptance.cancel()
            self._acceptance = None

    def data_received(self, data: bytes) -> None:
        """Take what the peer says: at once where it is little, else in steps."""
        self.heard = monotonic()
        if self._left is not None:
            self._left = throw_away(data, self._left, self.transport)
            return
        if (self._unread is None and len(data) <= self._step) or not self.handshake_initiated:
            super().data_received(data)
            return
        if self._unread is None:
            self._unread = bytearray()
        self._unread += data
        self._read_on()

    async def receive(self) -> Any:
        """Hand the next event to the application, and read on once it has them all."""
        event = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self._read_on()
        return event

    def _read_on(self) -> None:
        # Parsing a read of a socket as a whole could make 40,000 frames of it, or 256 MiB.
        while self._unread and self._step and not (self.read_paused or self._at_an_end):
            step = bytes(self._unread[: self._step])
            del self._unread[: self._step]
            super().data_received(step)
            if self.close_sent and self._unread:
                # Nobody receives any more, so nothing else slows this down: a step per turn.
                self.loop.call_soon(self._read_on)
                break
        if self._at_an_end:
            self._unread = None
        elif self._unread:
            self.transport.pause_reading()
        elif not self.read_paused:
            self._unread = None
            self.transport.resume_reading()

    @property
    def _at_an_end(self) -> bool:
        return self._left is not None or self.transport.is_closing()

    def handle_events(self) -> None:
        """Handle what was parsed."""
        try:
            super().handle_events()
        except InvalidState:
            # What is not UTF-8 would be answered with 1007, but a close came right behind it.
            self.handle_parser_exception()

    def handle_cont(self, event: Received) -> None:
        """A message goes on, but not for ever."""
        super().handle_cont(event)
        most = max(FRAGMENTS, (self.conn.max_message_size or 0) // FRAGMENT_BYTES)
        if len(self.frames) >= most:
            self._fail(CloseCode.PROTOCOL_ERROR)

    def handle_ping(self) -> None:
        """Answer; to a peer that takes nothing, the newest ping alone (RFC 6455, 5.5.3)."""
        self._count()
        answers = self.conn.data_to_send()
        if self.close_sent or not answers:
            return
        if self.writable.is_set() or self.conn.state is not State.OPEN:
            self.transport.write(b"".join(answers))
        else:
            self._pong = answers[-1]

    def handle_pong(self, event: Received) -> None:
        """A sign of life."""
        self._count()
        super().handle_pong(event)

    def _count(self) -> None:
        now = self.loop.time()
        if now - self._since > CONTROL_SECONDS:
            self._controls, self._since = 0, now
        self._controls += 1
        if self._controls > CONTROL_FRAMES:
            self._fail(CloseCode.RATE_LIMITED)

    def _fail(self, code: CloseCode) -> None:
        """End as for a violation of the protocol: what still comes is not read."""
        if self.conn.state is State.OPEN:
            self.conn.fail(code, code.reason)
            self.handle_parser_exception()
        elif not self.transport.is_closing():
            self.transport.abort()

    def resume_writing(self) -> None:
        """The peer takes more."""
        super().resume_writing()
        pong, self._pong = self._pong, None
        if pong is not None and self.conn.state is State.OPEN:
            self.transport.write(pong)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        self._stop_expecting_acceptance()
        self._unread = self._pong = None
        super().connection_lost(exc)

    def _cut_later(self) -> None:
        raise NotImplementedError
