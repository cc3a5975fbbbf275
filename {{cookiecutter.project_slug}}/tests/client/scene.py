"""A client on a stage: with a scripted server, and a clock that stands still."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from client import Client, Message, Subscription
from client.auth.base import Auth
from client.connection import Connection

from .manual_clock import ManualClock
from .scripted import LOBBY, PATIENCE, Peer, ScriptedServer, both, soon


class Greeted:
    """The plainest authentication: the server speaks first."""

    async def prepare(self, url: str) -> tuple[str, dict[str, str]]:
        return url, {}

    async def prove(self, connection: Connection) -> None:
        await connection.greeting

    async def refresh(self, url: str, connection: Connection) -> None:
        pass

    def renew(self) -> bool:
        return False


class Scene:
    """A client and the server that a test scripts, on a clock that stands still."""

    def __init__(self, server: ScriptedServer, clock: ManualClock) -> None:
        self.server = server
        self.clock = clock
        self.states: list[str] = []
        """What the client has told of its state."""
        self._told = asyncio.Event()

    def client(self, auth: Auth | None = None, **options: Any) -> Client:
        """A client whose waits are as long as they may be."""
        options = {"clock": self.clock, "random": lambda: 1.0, "proxy": None} | options
        options = {"on_state": self._tell} | options
        return Client(self.server.url, auth=auth or Greeted(), **options)

    async def reconnects(self, seconds: float = 0.5) -> Peer:
        """Let a wait of this length pass; the next connection, once the client is welcome on it."""
        await self.clock.passes(seconds)
        told = len(self.states)
        peer = await self.server.welcomes()
        await self.tells(told + 1)
        return peer

    async def tells(self, count: int) -> str:
        """The state that the client tells as the one of this number."""
        async with asyncio.timeout(PATIENCE):
            while len(self.states) < count:
                self._told.clear()
                await self._told.wait()
        return self.states[count - 1]

    def _tell(self, state: str) -> None:
        self.states.append(state)
        self._told.set()

    @asynccontextmanager
    async def connected(self, **options: Any) -> AsyncIterator[tuple[Client, Peer]]:
        """A client that has been welcomed, and the server's side of its connection."""
        welcoming = asyncio.create_task(self.server.welcomes())
        async with self.client(**options) as client:
            yield client, await welcoming

    @asynccontextmanager
    async def subscribed(
        self, *, options: dict[str, Any] | None = None, **answer: Any
    ) -> AsyncIterator[tuple[Client, Peer, Subscription]]:
        """The same, subscribed to the lobby."""
        async with self.connected(**options or {}) as (client, peer):
            room, _ = await both(client.subscribe(LOBBY), peer.subscribes(**answer))
            yield client, peer, room


async def offsets(room: Subscription, count: int) -> list[int | None]:
    """The next so many events, which must be messages."""
    events = [await soon(anext(room)) for _ in range(count)]
    assert all(isinstance(event, Message) for event in events), events
    return [event.offset for event in events if isinstance(event, Message)]
