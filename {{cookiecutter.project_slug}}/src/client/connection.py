"""One connection: commands and their replies, pushes, and the silence that means it is dead."""

import asyncio
import json
import math
from asyncio import Future
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from . import wire
from .backoff import Clock
from .errors import CommandRefused, ConnectionLost
from .events import Frame, Welcome
from .pace import Pace

WELCOME_SECONDS = 10.0
"""How long the server may be silent before it has welcomed us; then `welcome` says how long."""

OPTIONS: dict[str, Any] = {
    "subprotocols": [Subprotocol("v1.json")],
    "ping_interval": None,  # the server's beats are watched instead
    "close_timeout": 2,
    "max_size": 16 * 2**20,  # a page holds up to 100 messages of 64 KiB
}
"""What we ask of `websockets`; the program's own options win."""

PONG = '{"type":"pong"}'

Receive = Callable[["Connection", Frame], None]


class Connection:
    """A WebSocket on which commands are answered; `receive` gets what else is said, in order."""

    welcome: Welcome
    """The newest `welcome`."""

    def __init__(self, socket: ClientConnection, receive: Receive, clock: Clock) -> None:
        loop = asyncio.get_running_loop()
        self.greeting: Future[Welcome] = loop.create_future()
        """The `welcome` of a server that speaks first."""
        self.departure: Future[float] = loop.create_future()
        """The seconds after which we are to open another connection."""
        self.lost: ConnectionLost | None = None
        self._socket = socket
        self._receive = receive
        self._clock = clock
        self._heard = clock.now()
        self._silence = WELCOME_SECONDS
        self._largest = math.inf
        self._pace = Pace(clock)
        self._turn = asyncio.Lock()
        self._ids = count(1)
        self._replies: dict[int, Future[Frame]] = {}

    async def command(self, type: str, **fields: Any) -> Frame:
        """Send a command and return its reply. Raises CommandRefused, or ConnectionLost."""
        id = next(self._ids)
        reply: Future[Frame] = asyncio.get_running_loop().create_future()
        self._replies[id] = reply
        try:
            await self.send(type, **fields, id=id)
            return await reply
        finally:
            del self._replies[id]

    async def send(self, type: str, **fields: Any) -> None:
        """Send what is not answered: it may be lost. Raises CommandRefused, or ConnectionLost."""
        if type != "subscribe":  # these have a budget of their own: all channels at once
            async with self._turn:
                if self.lost is None and (wait := self._pace.next()):
                    await self._clock.sleep(wait)
        frame = {"type": type, **fields}
        text = json.dumps(frame, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        payload = text.encode()
        if self.lost is not None:
            raise self.lost.with_traceback(None)
        # The server would end the connection for a message that is too large.
        if len(payload) > self._largest:
            raise CommandRefused("too_large", f"{len(payload)} bytes are too many for the server")
        # If it is closed already, `run` will soon tell whoever waits for an answer.
        with suppress(ConnectionClosed):
            await self._socket.send(payload, text=True)

    def leave_after(self, seconds: float) -> None:
        """Have another connection opened in this one's place; the first word counts."""
        if not self.departure.done():
            self.departure.set_result(seconds)

    async def run(self) -> None:
        """Read to the end; then whoever waits for something of this connection is told why."""
        lost = ConnectionLost(1000, "left by this client")
        try:
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(self._watch())
                lost = await self._read()
                watch.cancel()
        finally:
            try:
                await self._socket.close()
            finally:
                self._end(lost)

    async def close(self) -> None:
        """Take leave; `run` ends with it."""
        await self._socket.close()

    def abort(self) -> None:
        """Cut the connection at once; `run` ends with it."""
        self._socket.transport.abort()

    async def _read(self) -> ConnectionLost:
        try:
            while True:
                text = await self._socket.recv()
                self._heard = self._clock.now()
                await self._take(json.loads(text))
        except ConnectionClosed as closed:
            return _explain(closed)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return ConnectionLost(1002, f"the server does not speak our protocol: {error!r}")

    async def _take(self, frame: Frame) -> None:
        kind = frame["type"]
        if kind == "ping":
            await self._socket.send(PONG)
        elif kind == "welcome":
            self.welcome = wire.welcome(frame)
            self._silence, self._largest = self.welcome.silence, self.welcome.message_bytes
            self._pace = Pace(
                self._clock, self.welcome.commands_per_second, self.welcome.commands_burst
            )
            if not self.greeting.done():
                self.greeting.set_result(self.welcome)
        elif kind == "reconnect":
            self.leave_after(frame["after_ms"] / 1000)
        else:
            # Replies, too: a `subscribed` takes effect in its place between the pushes.
            self._receive(self, frame)
        reply = self._replies.get(frame.get("id", 0))
        if reply is not None and not reply.done():
            if kind == "error":
                reply.set_exception(wire.refusal(frame))
            else:
                reply.set_result(frame)

    async def _watch(self) -> None:
        """Cut the connection once the server has been silent for longer than it promised."""
        while (left := self._heard + self._silence - self._clock.now()) > 0:
            await self._clock.sleep(left)
        self.abort()

    def _end(self, lost: ConnectionLost) -> None:
        self.lost = lost
        waiting: list[Future[Any]] = [self.departure, self.greeting, *self._replies.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(lost)
                future.exception()  # it may well be that nobody waits for it


async def open_connection(
    url: str, headers: Mapping[str, str], options: Mapping[str, Any], receive: Receive, clock: Clock
) -> Connection:
    """A new connection, whose `run` is the caller's to start. Raises ConnectionLost."""
    try:
        socket = await connect(url, **(OPTIONS | {"additional_headers": headers} | {**options}))
    except InvalidStatus as error:
        response = error.response
        after = response.headers.get("Retry-After", "")
        raise ConnectionLost(
            response.status_code,
            response.reason_phrase,
            retry_after=float(after) if after.isdecimal() else None,
        ) from None
    except (OSError, InvalidHandshake) as error:
        raise ConnectionLost(1006, str(error)) from error
    return Connection(socket, receive, clock)


def _explain(closed: ConnectionClosed) -> ConnectionLost:
    # What we sent counts where the server said nothing: then it was we who refused a frame.
    close = closed.rcvd or closed.sent
    return ConnectionLost(close.code, close.reason) if close else ConnectionLost(1006, "cut off")
