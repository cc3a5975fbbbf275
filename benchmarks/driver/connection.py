"""One client on one connection: it asks, it listens while it is set up, then it counts."""

import asyncio
import os
from base64 import b64encode
from collections import deque
from collections.abc import Callable

from .dialects import Dialect, RefusedError, text_of
from .frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameError,
    accepts,
    frame,
    scan,
    upgrade_request,
)
from .tally import MeasurementError, Tally

HOST = "127.0.0.1"


class Connection(asyncio.Protocol):
    """A WebSocket client without a queue or a task: what arrives is counted where it arrives."""

    def __init__(self, dialect: Dialect, tally: Tally, patience: float) -> None:
        self.received = 0
        """Deliveries so far."""
        self.bytes = 0
        """Bytes so far, of deliveries and of everything else."""
        self.confirmed = 0
        """Publications that the server has confirmed to this connection."""
        self.after_confirmed: Callable[[bytes], None] | None = None
        """What else to do with a confirmation."""
        self._dialect = dialect
        self._delivery = dialect.delivery
        self._tally = tally
        self._patience = patience
        self._key = b64encode(os.urandom(16))
        self._rest = b""
        self._upgraded = False
        self._leaving = False
        self._expected: int | None = None
        self._heard: deque[bytes] = deque()
        self._listening = True
        self._news = asyncio.Event()

    async def open(self, port: int) -> None:
        """Connect, up to where the server calls the connection ready."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_connection(lambda: self, HOST, port)
        subprotocol = self._dialect.subprotocol
        request = upgrade_request(f"{HOST}:{port}", self._dialect.path, self._key, subprotocol)
        self._transport.write(request)
        while not self._upgraded:
            await self._wait()
        await self._dialect.open(self)

    def say(self, payload: bytes) -> None:
        """Send one text."""
        self._transport.write(frame(payload))

    def write(self, frames: bytes) -> None:
        """Send finished frames, all at once."""
        self._transport.write(frames)

    async def hear(self) -> bytes:
        """The next text that is no delivery; only while the connection is set up."""
        while not self._heard:
            await self._wait()
        return self._heard.popleft()

    def set_up(self) -> None:
        """From here on what is no delivery is not kept, only answered."""
        self._listening = False

    def follow(self, number: int) -> None:
        """From here on read each delivery: they have to be numbered in sequence, from `number`."""
        self._expected = number

    def leave(self) -> None:
        """End the connection, at once."""
        self._leaving = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Count what came. Everything rare is elsewhere."""
        self.bytes += len(data)
        if self._rest:
            data = self._rest + data
        try:
            if self._upgraded and self._expected is None:
                deliveries, used, others = scan(data, self._delivery)
            else:
                deliveries, used, others = self._look_closely(data)
            self._rest = data[used:]
            for opcode, payload in others:
                self._take(opcode, payload)
        except (FrameError, RefusedError, MeasurementError) as error:
            self._tally.fail(str(error))
            self._news.set()
            return
        if deliveries:
            self.received += deliveries
            self._tally.arrived(deliveries)

    def connection_lost(self, error: Exception | None) -> None:
        """A connection that the server ended is a failure."""
        if not self._leaving:
            self._tally.fail(f"a connection was lost: {error or 'closed by the server'}")
            self._news.set()

    def _look_closely(self, data: bytes) -> tuple[int, int, list[tuple[int, bytes]]]:
        """The same as `scan`, also for the answer to the upgrade, and reading each text."""
        begin = 0
        if not self._upgraded:
            begin = data.find(b"\r\n\r\n") + 4
            if begin < 4:
                return 0, 0, []
            if not accepts(data[:begin], self._key):
                raise RefusedError(f"no upgrade: {data[:200].decode('latin-1')!r}")
            self._upgraded = True
            self._news.set()
        if self._expected is None:
            deliveries, used, others = scan(data[begin:], self._delivery)
            return deliveries, begin + used, others
        _, used, messages = scan(data[begin:], b"\xff")  # no text begins like this
        others = []
        for opcode, payload in messages:
            if opcode == TEXT and payload.startswith(self._delivery):
                self._compare(payload)
            else:
                others.append((opcode, payload))
        return len(messages) - len(others), begin + used, others

    def _compare(self, payload: bytes) -> None:
        assert self._expected is not None
        if text_of(self._expected) not in payload:
            raise MeasurementError(f"not message {self._expected}, but {payload[:300]!r}")
        self._expected += 1

    def _take(self, opcode: int, payload: bytes) -> None:
        """What is no delivery: answered, kept for who listens, or a failure."""
        if opcode == PING:
            self._transport.write(frame(payload, PONG))
        elif opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big")
            raise MeasurementError(f"the server closed a connection: {code} {payload[2:].decode()}")
        elif opcode in (TEXT, BINARY):
            reaction = self._dialect.react(payload)
            if reaction.answer is not None:
                self.say(reaction.answer)
            self.confirmed += reaction.confirms
            if reaction.confirms and self.after_confirmed is not None:
                self.after_confirmed(payload)
            if self._listening and not reaction.handled:
                self._heard.append(payload)
                self._news.set()

    async def _wait(self) -> None:
        self._tally.check()
        self._news.clear()
        try:
            await asyncio.wait_for(self._news.wait(), self._patience)
        except TimeoutError:
            raise MeasurementError(f"no answer after {self._patience:g} s") from None
        self._tally.check()
