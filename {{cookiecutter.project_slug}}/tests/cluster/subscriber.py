"""Follows channels over one connection after another, to any node, and notes what it is told."""

import asyncio
from collections.abc import Sequence
from random import Random

from httpx2 import HTTPError
from websockets.exceptions import WebSocketException

from ..doors.base import Refused
from ..service import PATIENCE, Connected, NotWelcome, Service
from ..shapes import parse
from .story import Story


class Subscriber:
    """Recovers from where it stands, on whichever node takes it."""

    def __init__(
        self, nodes: Sequence[Service], channels: Sequence[str], name: str, random: Random
    ) -> None:
        self.stories = {channel: Story() for channel in channels}
        self._nodes, self._name, self._random = nodes, name, random
        self._wire: Connected | None = None

    async def follow(self) -> None:
        """Be connected and subscribed, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    wire = await Connected.open(self._random.choice(self._nodes), self._name)
                self._wire = wire
                try:
                    await asyncio.gather(*(self._subscribe(wire, each) for each in self.stories))
                    await self._hear(wire)
                finally:
                    self._wire = None
                    wire.connection.transport.abort()
            except (OSError, WebSocketException, HTTPError, Refused, NotWelcome):
                await asyncio.sleep(self._random.uniform(0, 0.2))

    def cut(self) -> None:
        """Lose the connection, if there is one."""
        if self._wire is not None:
            self._wire.connection.transport.abort()

    async def _subscribe(self, wire: Connected, channel: str) -> None:
        since = self.stories[channel].since
        fields = {} if since is None else {"since": since}
        await wire.say(type="subscribe", id=channel, channel=channel, **fields)

    async def _hear(self, wire: Connected) -> None:
        """Note what comes, until the connection ends or the node asks its clients to move."""
        while True:
            frame = parse(await wire.connection.recv())
            if frame["type"] in ("message", "subscribed"):
                self.stories[frame["channel"]].take(frame)
            elif frame["type"] == "error":
                assert frame["retryable"], frame
                await asyncio.sleep(0.1)
                await self._subscribe(wire, frame["id"])
            elif frame["type"] == "reconnect":
                return
