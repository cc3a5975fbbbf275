"""A server that says what a test tells it.

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

LOBBY = "chat:lobby"
PATIENCE = 10.0
RECEIPT: dict[str, Any] = {"channel": LOBBY, "epoch": "e1", "offset": 1, "duplicate": False}
"""The fields of the `ok` to the first publication."""

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

    @property
    def path(self) -> str:
        """The path and the query of its handshake."""
        assert self._socket.request is not None
        return self._socket.request.path

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
