"""One client, in one protocol object without tasks, which can also behave badly."""

import asyncio
import json
import os
import socket
import struct
from base64 import b64encode
from contextlib import suppress
from time import monotonic
from typing import Any, Self

from ..driver.connection import HOST
from ..driver.frames import CLOSE, PING, PONG, TEXT, frame, scan, upgrade_request
from ..driver.tally import MeasurementError

PATIENCE = 30.0
LOST = 1006
"""What stands for an end without a close frame."""

SMALL = 4096
"""A receive buffer, in bytes, that is full at once."""


class Peer(asyncio.Protocol):
    """Answers heartbeats, keeps what it hears, and knows how and when it ended."""

    def __init__(self) -> None:
        self.code = LOST
        self.ended_at = 0.0
        self.ended = asyncio.Event()
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._rest = b""
        self._upgraded = False

    async def open(self, port: int, *, address: str = HOST, buffer: int | None = None) -> Self:
        """Connect, from an address and with a receive buffer of one's own, and be welcome."""
        key = b64encode(os.urandom(16))
        await self.connect(port, address, buffer)
        self.transport.write(upgrade_request(f"{HOST}:{port}", "/ws", key, "v1.json"))
        await self.hear("welcome")
        return self

    @classmethod
    async def several(cls, port: int, count: int, **options: Any) -> list[Self]:
        """Many that are open, fifty at a time."""
        peers: list[Self] = []
        while len(peers) < count:
            few = min(50, count - len(peers))
            peers += await asyncio.gather(*(cls().open(port, **options) for _ in range(few)))
        return peers

    async def connect(self, port: int, address: str = HOST, buffer: int | None = None) -> None:
        """Connect, and say nothing yet."""
        loop = asyncio.get_running_loop()
        connection = socket.socket()
        connection.setblocking(False)
        if buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.bind((address, 0))
        await loop.sock_connect(connection, (HOST, port))
        self.transport, _ = await loop.create_connection(lambda: self, sock=connection)

    def say(self, **command: Any) -> None:
        """Send one command."""
        self.transport.write(frame(json.dumps(command, separators=(",", ":")).encode()))

    async def hear(self, wanted: str) -> dict[str, Any]:
        """The next message of a type; others are passed over."""
        try:
            async with asyncio.timeout(PATIENCE):
                while (message := await self.heard.get())["type"] != wanted:
                    if message["type"] in ("error", "the end"):
                        raise MeasurementError(f"no {wanted}, but {message}")
                return message
        except TimeoutError:
            raise MeasurementError(f"no {wanted} within {PATIENCE:g} s") from None

    async def subscribe(self, channel: str, **wanted: Any) -> dict[str, Any]:
        """Subscribe, and return what that says."""
        self.say(type="subscribe", channel=channel, **wanted)
        return await self.hear("subscribed")

    def stall(self) -> None:
        """Read nothing from here on."""
        self.transport.pause_reading()

    def read_on(self) -> None:
        """Read again, with as much room as others have."""
        if not self.ended.is_set():
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            self.transport.resume_reading()

    def leave(self) -> None:
        """Close as one should."""
        self.transport.write(frame((1000).to_bytes(2, "big"), CLOSE))

    def reset(self) -> None:
        """Be gone without a word, by a TCP reset."""
        with suppress(OSError, ValueError):  # it may be closed already
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def until_ended(self, seconds: float = PATIENCE) -> bool:
        """Whether the connection ends in time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), seconds)
        return self.ended.is_set()

    def text(self, payload: bytes) -> None:
        """Take one message."""
        message = json.loads(payload)
        if message["type"] == "ping":
            self.say(type="pong")
        else:
            self.heard.put_nowait(message)

    def data_received(self, data: bytes) -> None:
        """Take the frames that are complete."""
        data = self._rest + data if self._rest else data
        if not self._upgraded:
            head, blank, rest = data.partition(b"\r\n\r\n")
            if not blank or b" 101 " not in head.partition(b"\r\n")[0]:
                self._rest = data
                return
            self._upgraded, data = True, rest
        _, used, frames = scan(data, b"\xff")  # no text begins like this
        self._rest = data[used:]
        for opcode, payload in frames:
            if opcode == TEXT:
                self.text(payload)
            elif opcode == PING:
                self.transport.write(frame(payload, PONG))
            elif opcode == CLOSE:
                self.code = int.from_bytes(payload[:2], "big") or 1005
                self._ends()
                self.transport.write(frame(payload[:2], CLOSE))

    def connection_lost(self, error: Exception | None) -> None:
        """The end, if no close came before."""
        self._ends()

    def _ends(self) -> None:
        if not self.ended.is_set():
            self.ended_at = monotonic()
            self.ended.set()
            self.heard.put_nowait({"type": "the end", "code": self.code})
