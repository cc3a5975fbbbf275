"""A server that says what a test tells it, and time that passes when a test says so.

It shows the client what a real server cannot be made to show on demand: a cut in the middle of
a recovery, a reply that is lost, silence. Each step is bounded, so that a broken client fails a
test soon; nothing waits for time to pass.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from client import Client, Subscription
from client.auth.base import Auth
from client.backoff import Clock
from client.connection import Connection

LOBBY = "chat:lobby"
PATIENCE = 10.0

One = TypeVar("One")
Other = TypeVar("Other")


async def both(one: Awaitable[One], other: Awaitable[Other]) -> tuple[One, Other]:
    """What the client does, and what the server does meanwhile."""
    async with asyncio.timeout(PATIENCE):
        return await asyncio.gather(one, other)


async def soon(one: Awaitable[One]) -> One:
    """What must come without any time passing."""
    async with asyncio.timeout(PATIENCE):
        return await one


class Peer:
    """One connection of the client's, seen from the server."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket

    @property
    def headers(self) -> dict[str, str]:
        """What the client sent in its handshake."""
        assert self._socket.request is not None
        return dict(self._socket.request.headers.raw_items())

    async def hears(self, type: str, **fields: Any) -> dict[str, Any]:
        """The next command, which must be of this type with these fields."""
        command: dict[str, Any] = json.loads(await soon(self._socket.recv()))
        assert command["type"] == type, command
        assert {name: command.get(name) for name in fields} == fields, command
        return command

    async def says(self, type: str, **fields: Any) -> None:
        """Send a frame."""
        await self._socket.send(json.dumps({"type": type, **fields}))

    async def says_raw(self, text: str | bytes) -> None:
        """Send what may be no frame."""
        await self._socket.send(text)

    async def answers(self, command: dict[str, Any], type: str = "ok", **fields: Any) -> None:
        """Send the reply to a command."""
        await self.says(type, id=command["id"], **fields)

    async def refuses(self, command: dict[str, Any], code: str, **fields: Any) -> None:
        """Send the error that answers a command."""
        fields = {"message": "no", "retryable": False} | fields
        await self.answers(command, "error", code=code, **fields)

    async def welcomes(self, command: dict[str, Any] | None = None, **fields: Any) -> None:
        """Say `welcome`, in answer to a command or first."""
        await self.says(
            "welcome", **welcome() | fields | ({"id": command["id"]} if command else {})
        )

    async def subscribes(
        self, channel: str = LOBBY, *, asked: dict[str, Any] | None = None, **fields: Any
    ) -> None:
        """Hear a subscribe with the fields `asked`, and answer it."""
        command = await self.hears("subscribe", channel=channel, **asked or {})
        await self.answers(command, "subscribed", **subscribed(channel) | fields)

    async def publishes(self, offset: int | None, **fields: Any) -> None:
        """Push a message."""
        await self.says(**message(offset, **fields))

    async def closes(self, code: int, reason: str = "") -> None:
        """End the connection in good order."""
        await self._socket.close(code, reason)

    def cuts(self) -> None:
        """End the connection without a word."""
        self._socket.transport.abort()

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """Take no notice of what the client says meanwhile, not even that it leaves."""
        self._socket.transport.pause_reading()
        yield
        self._socket.transport.resume_reading()

    async def ends(self) -> int | None:
        """Wait for the client to end the connection, and return its close code."""
        try:
            while True:
                await soon(self._socket.recv())
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


class ScriptedServer:
    """Accepts connections and leaves everything else to the test."""

    def __init__(self) -> None:
        self.url = ""
        self.refusals: list[tuple[int, dict[str, str]]] = []
        """Statuses and headers with which the next handshakes are refused."""
        self.refused = asyncio.Semaphore(0)
        """Released once per refusal."""
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()

    async def accepts(self) -> Peer:
        """The next connection."""
        return await soon(self._peers.get())

    async def welcomes(self, **fields: Any) -> Peer:
        """The next connection, welcomed."""
        peer = await self.accepts()
        await peer.welcomes(**fields)
        return peer

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["ScriptedServer"]:
        """Listen on a free port."""
        async with serve(
            self._handle,
            "127.0.0.1",
            0,
            ping_interval=None,
            process_request=self._receive,
            subprotocols=[Subprotocol("v1.json")],
        ) as server:
            host, port = next(iter(server.sockets)).getsockname()
            self.url = f"ws://{host}:{port}/ws"
            yield self

    async def _handle(self, socket: ServerConnection) -> None:
        self._peers.put_nowait(Peer(socket))
        await socket.wait_closed()

    def _receive(self, socket: ServerConnection, request: Request) -> Response | None:
        if not self.refusals:
            return None
        status, headers = self.refusals.pop(0)
        response = socket.respond(status, "")
        response.headers.update(headers)
        self.refused.release()
        return response


class ManualClock(Clock):
    """Stands still until a test lets somebody's sleep pass."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._sleeps: dict[asyncio.Future[None], tuple[float, float]] = {}
        self._changed = asyncio.Event()

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeps[awake] = seconds, self._now + seconds
        self._changed.set()
        try:
            await awake
        finally:
            del self._sleeps[awake]

    def advance(self, seconds: float) -> None:
        """Let time pass; who has slept long enough wakes."""
        self._now += seconds
        for awake, (_, until) in self._sleeps.items():
            if until <= self._now and not awake.done():
                awake.set_result(None)

    async def passes(self, seconds: float) -> None:
        """Wait until somebody goes to sleep for so long, and let that time pass."""
        async with asyncio.timeout(PATIENCE):
            while all(abs(length - seconds) > 1e-6 for length, _ in self._sleeps.values()):
                self._changed.clear()
                await self._changed.wait()
        self.advance(seconds)


class Greeted:
    """The plainest authentication: the server speaks first."""

    async def prepare(self, url: str) -> tuple[str, dict[str, str]]:
        return url, {}

    async def prove(self, connection: Connection) -> None:
        await connection.greeting

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


def welcome() -> dict[str, Any]:
    """The fields of a `welcome`, with a heartbeat every 25 s that may be 10 s late."""
    return {
        "session": "s1",
        "user": {"id": "ann", "name": "Ann"},
        "personal": "user:ann",
        "node": "n1",
        "heartbeat": {"interval_ms": 25000, "timeout_ms": 10000},
        "limits": {"message_bytes": 65536, "channels": 128},
    }


def subscribed(channel: str = LOBBY, **fields: Any) -> dict[str, Any]:
    """The fields of a `subscribed`, in epoch `e1` after offset 0 unless told otherwise."""
    return {"channel": channel, "epoch": "e1", "offset": 0, "messages": []} | fields


def message(offset: int | None, *, epoch: str | None = "e1", **fields: Any) -> dict[str, Any]:
    """A `message`, whole."""
    place = {} if offset is None else {"epoch": epoch, "offset": offset}
    body = {
        "type": "message",
        "channel": LOBBY,
        "message_id": f"m{offset}",
        "sent_at": "2026-03-01T12:00:00.000Z",
        "from": {"id": "bob"},
        "data": {"text": str(offset)},
    }
    return body | place | fields
