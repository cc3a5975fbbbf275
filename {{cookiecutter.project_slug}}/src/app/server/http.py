"""uvicorn's HTTP protocol with bounds on what a stranger may send, and on how long that may take.

It rests on parts of uvicorn that are not promised; `tests/server/test_http.py` pins them.
"""

import socket
from asyncio import BaseTransport, TimerHandle
from collections.abc import Callable
from functools import cache
from math import inf
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from .. import metrics
from ..settings import Limits
from .crowd import crowd, origin
from .inbound import LINGER_BYTES, throw_away
from .websocket import CLOSE_SECONDS, SocketProtocol

UNACKNOWLEDGED_SECONDS = 30
"""How long TCP keeps a peer that acknowledges nothing, or takes nothing; unless it may be longer
before it is a slow consumer."""

READ_SECONDS, READ_BYTES = 10.0, 4096
"""In so many seconds a peer reads at least so many bytes of an answer that waits for it."""

PIPELINED = 16
"""How many requests may wait behind one that is being answered."""


class HttpProtocol(HttpToolsProtocol):
    """One connection on which requests arrive whole, small and in time; until it is a WebSocket."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = _limits()
        self._crowd = crowd()
        self._origin: str | None = None
        """What it is counted as there, while it is."""
        self._pending = 0
        """Bytes since the parser last passed anything on: of headers, or of a chunk's frills."""
        self._deadline: TimerHandle | None = None
        """Ends the connection, unless what is due comes before."""
        self._answering: RequestResponseCycle | None = None
        """What is answered now; uvicorn knows only what came last."""
        self._left: int | None = None
        """How many bytes more are thrown away; None while they are parsed."""
        self._reading: TimerHandle | None = None
        """Cuts a peer that does not read."""

    def connection_made(self, transport: BaseTransport) -> None:
        """A stranger connects, and has so long to say what it wants; unless it is one too many."""
        super().connection_made(transport)  # type: ignore[arg-type]
        name = self.client and origin(self.client[0])
        if name is not None and not self._crowd.enter(name):
            metrics.REFUSED.labels("crowded").inc()
            self._answer(429)
            self.transport.close()
            return
        self._origin = name
        peer = transport.get_extra_info("socket")
        if hasattr(socket, "TCP_USER_TIMEOUT") and peer.family != socket.AF_UNIX:
            seconds = max(UNACKNOWLEDGED_SECONDS, self._limits.outbox_seconds + CLOSE_SECONDS)
            milliseconds = int(min(seconds * 1000, 2**31 - 1))
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        self._expect(self._limits.handshake_seconds, self._late)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which keeps headers whole, no more than those may have."""
        if self._left is not None:
            self._left = throw_away(data, self._left, self.transport)
            return
        if self._deadline is None:
            self._expect(self._limits.handshake_seconds, self._late)
        while data and self.parser is not None and self._reads_on:
            room = self._limits.max_header_bytes - self._pending
            step, data = data[:room], data[room:]
            self._pending += len(step)
            super().data_received(step)
            if self._pending >= self._limits.max_header_bytes:
                self._refuse(431)

    @property
    def _reads_on(self) -> bool:
        return self._left is None and not self.transport.is_closing()

    def on_message_begin(self) -> None:
        """A request begins, maybe in what came with the one before."""
        super().on_message_begin()
        self._pending = self._pending or 1
        if self._deadline is None:
            self._expect(self._limits.handshake_seconds, self._late)

    def on_headers_complete(self) -> None:
        """The headers were not too large; an exception makes the answer a 400."""
        self._pending = 0
        if len(self.pipeline) >= PIPELINED:
            raise ValueError("too many requests at once")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of the body came."""
        self._pending = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request came in time; from here on the application decides how long it takes."""
        self._pending = 0
        self._cancel()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, and let go of it; the application has so long to accept."""
        answering = self._answering is not None and not self._answering.response_complete
        # Of an answer that is not read yet the WebSocket would know nothing, and write without end.
        if answering or self.transport.get_write_buffer_size():
            self._refuse(400)
            return
        super().handle_websocket_upgrade()
        self._stop_expecting_reading()
        self._leave()
        upgraded = self.transport.get_protocol()
        if isinstance(upgraded, SocketProtocol) and not self.transport.is_closing():
            if upgraded.conn.handshake_exc is not None:
                # Of what websockets does not take, such as a line over 8 KiB, uvicorn says nothing.
                self._refuse(431)
            else:
                upgraded.expect_acceptance(self._limits.handshake_seconds)
        # The parser holds this object, which nobody needs any more.
        self.parser = None  # type: ignore[assignment]

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """The peer does not speak HTTP, and has so long to read that."""
        super().send_400_response(msg)
        self._end()

    def on_response_complete(self) -> None:
        """An answer was written, and has to be read."""
        super().on_response_complete()
        self._expect_reading()

    def pause_writing(self) -> None:
        """The peer takes no more for now."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """The peer takes more."""
        super().resume_writing()
        self._stop_expecting_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        self._leave()
        self._cancel()
        self._stop_expecting_reading()
        self._disown()
        super().connection_lost(exc)

    def _leave(self) -> None:
        """Count no more: it is over, or a WebSocket, which is counted elsewhere."""
        if self._origin is not None:
            self._crowd.leave(self._origin)
            self._origin = None

    def _late(self) -> None:
        """The request did not come in time: 408 if any of it did."""
        self._deadline = None
        cycle = self._answering
        if cycle is not None and cycle.response_complete:
            cycle = None
        if self._pending if cycle is None else not cycle.response_started:
            self._refuse(408)
        else:
            self._end()

    def _refuse(self, status: int) -> None:
        """Answer instead of the application, and close."""
        self._answer(status)
        if self.transport.can_write_eof() and self.transport.get_protocol() is self:
            self._linger()
        else:
            self._end()

    def _answer(self, status: int) -> None:
        headers = [
            *self.server_state.default_headers,
            (b"content-length", b"0"),
            (b"connection", b"close"),
        ]
        lines = (b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n")))

    def _linger(self) -> None:
        """Say no more, and take what still comes: closed with that unread, TCP would reset."""
        self._disown()
        self._left = LINGER_BYTES
        self.transport.write_eof()
        self.flow.resume_reading()
        self._cancel()
        self._expect(CLOSE_SECONDS, self.transport.abort)

    def _disown(self) -> None:
        """Let what is being answered know that nobody is there: else its writing were an error."""
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def _end(self) -> None:
        self.transport.close()
        self._cancel()
        self._expect(CLOSE_SECONDS, self.transport.abort)

    def _expect(self, seconds: float, otherwise: Callable[[], None]) -> None:
        self._deadline = self.loop.call_later(seconds, otherwise)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expect_reading(self, left: float = inf) -> None:
        """Look every while whether so much less waits than before, as long as anything does."""
        self._stop_expecting_reading()
        waiting = self.transport.get_write_buffer_size()
        if waiting > max(0, left - READ_BYTES):
            self.transport.abort()
        elif waiting:
            self._reading = self.loop.call_later(READ_SECONDS, self._expect_reading, waiting)

    def _stop_expecting_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None


@cache
def _limits() -> Limits:
    """Read once in each process: uvicorn makes the connections, and passes nothing on."""
    return Limits()
