"""A node inside this process, and clients that talk to its engine without a socket."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from pydantic import BaseModel
from starlette.requests import HTTPConnection, Request

from app.auth.base import Principal
from app.auth.revocation import Record, Revocations
from app.background import open_background
from app.broker.base import Broker
from app.broker.memory import MemoryBroker
from app.coordination.base import Coordination
from app.coordination.memory import MemoryCoordination
from app.history.base import Draft, Page, Store
from app.history.memory import MemoryHistory
from app.presence.base import Presence
from app.presence.memory import MemoryPresence
from app.protocol import frames
from app.protocol.commands import AnyCommand, Json, Publish
from app.protocol.errors import CloseCode, Disconnect, Unavailable
from app.protocol.events import Member
from app.realtime.connection import serve
from app.realtime.gate import Gate
from app.realtime.guard import Guard
from app.realtime.hub import Hub
from app.realtime.namespaces import Directory, Namespace
from app.realtime.node import Node
from app.realtime.publishing import compose
from app.realtime.wheel import Wheel
from app.settings import Limits

from ..service import IN_HASTE, PATIENCE
from ..shapes import Frame, parse


class Text(BaseModel):
    """What is published to `talk:`."""

    text: str


TALK = Namespace("talk", payload=Text, durable=True, presence=True)
WIRE = Namespace("wire", payload=Json)


@dataclass
class Anybody:
    """Takes every token for a name, except for `forged`, and those that prove somebody special."""

    tokens: Mapping[str, Principal] = field(default_factory=dict)
    ambient: bool = False

    async def at_handshake(self, connection: HTTPConnection) -> Principal | None:
        """Nobody yet."""
        return None

    async def at_request(self, request: Request, bearer: str | None) -> Principal | None:
        """Nobody asks over HTTP here."""
        return None

    async def by_token(self, token: str) -> Principal:
        """Whoever it says."""
        if token == "forged":
            raise Disconnect(CloseCode.UNAUTHENTICATED)
        return self.tokens.get(token) or Principal(token)


class GatedHistory(MemoryHistory):
    """A history whose reads wait to be let through, or fail."""

    def __init__(self) -> None:
        super().__init__(length=1000, seconds=3600)
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self.away = False

    async def read(
        self, channel: str, *, after: int | None = None, before: int | None = None, limit: int
    ) -> Page:
        self.asked.set()
        await self.open.wait()
        if self.away:
            raise Unavailable
        return await super().read(channel, after=after, before=before, limit=limit)


def elsewhere(channel: str, count: int) -> list[Draft]:
    """What somebody says on another node, for a history to store; nobody announces it here."""
    wanted = Publish(type="publish", channel=channel, data={"text": "x"})
    return [compose(Member(id="eve"), wanted, b'{"text":"x"}') for _ in range(count)]


@asynccontextmanager
async def open_node(
    *,
    broker: Broker | None = None,
    history: Store | None = None,
    presence: Presence | None = None,
    coordination: Coordination | None = None,
    record: Record | None = None,
    namespaces: Sequence[Namespace] = (TALK, WIRE),
    tokens: Mapping[str, Principal] | None = None,
    **limits: Any,
) -> AsyncIterator[Node]:
    """A node at work, of memory adapters where none are given."""
    hasty = {name.removeprefix("APP_").lower(): most for name, most in IN_HASTE.items()}
    bounds = Limits(**{**hasty, **limits})
    kept = history or MemoryHistory(length=1000, seconds=3600)
    async with open_background() as background:
        carrier, facts = broker or MemoryBroker(), coordination or MemoryCoordination()
        hub = Hub(carrier, kept, presence or MemoryPresence(grace=0), facts, bounds, background)
        wheel = Wheel()
        background.keep("wheel", wheel.run)
        directory = Directory(namespaces, kept, creates=False)
        revocations = Revocations(facts, carrier, record)
        background.keep("guard", Guard(hub, revocations).run)
        yield Node(hub, directory, Anybody(tokens or {}), revocations, wheel, bounds, Gate(bounds))


class Peer:
    """A client of a node; the engine writes to it as to a link."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        """With what the engine closed."""
        self.flowing = asyncio.Event()
        """Whether what is written gets through."""
        self.flowing.set()
        self.room = math.inf
        """How much it takes until nothing gets through."""
        self.alive = True
        self._said: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.buffered = 0

    # the link

    def write(self, frame: frames.Frame | frames.Run) -> None:
        """Take what the engine writes."""
        if not self.ended.done():
            for each in frame.frames:
                self._heard.put_nowait(each.payload)

    def offer(self, frame: frames.Frame | frames.Run) -> bool:
        """Take it, if what is written gets through."""
        if not self.room:
            self.flowing.clear()
        if taken := self.flowing.is_set():
            self.write(frame)
            self.room -= 1
        return taken

    @property
    def heard(self) -> float:
        """Now, unless the peer is said to be gone."""
        return monotonic() if self.alive else 0.0

    @property
    def code(self) -> int | None:
        """With what the engine closed."""
        return self.ended.result()[0] if self.ended.done() else None

    async def drained(self) -> None:
        """Wait until what was written got through."""
        await self.flowing.wait()

    def end(self, code: CloseCode, reason: str = "") -> None:
        """Close; nothing is said any more."""
        if not self.ended.done():
            self.ended.set_result((int(code), reason or code.reason))
            self.leave()

    # the client

    async def inbox(self) -> str | bytes | None:
        """What the client says next."""
        return await self._said.get()

    def say(self, text: str | bytes = "", **frame: Any) -> None:
        """Send one message."""
        self._said.put_nowait(text or json.dumps(frame))

    async def hear_any(self) -> Frame:
        """The next message."""
        async with asyncio.timeout(PATIENCE):
            return parse(await self._heard.get())

    async def hear(self) -> Frame:
        """The next message that is no heartbeat."""
        while (frame := await self.hear_any())["type"] == "ping":
            pass
        return frame

    def said(self) -> list[Frame]:
        """What was heard already and not asked for yet, without heartbeats."""
        heard = [parse(self._heard.get_nowait()) for _ in range(self._heard.qsize())]
        return [frame for frame in heard if frame["type"] != "ping"]

    @property
    def silent(self) -> bool:
        """Whether nothing was written that the client has not heard."""
        return self._heard.empty()

    async def hear_type(self, wanted: str) -> Frame:
        """The next message of a type; others are passed over."""
        while (frame := await self.hear())["type"] != wanted:
            pass
        return frame

    async def ask(self, **frame: Any) -> Frame:
        """Send a command and return its reply; pushes before it are passed over."""
        wanted = frame.setdefault("id", "asked")
        self.say(**frame)
        while (reply := await self.hear()).get("id") != wanted:
            pass
        return reply

    def leave(self) -> None:
        """Be gone."""
        self._said.put_nowait(None)


@asynccontextmanager
async def connected(
    node: Node, principal: Principal | None = None, first: AnyCommand | None = None
) -> AsyncIterator[Peer]:
    """A client whose connection is served until the end of the block."""
    peer = Peer()

    async def identify() -> Principal | None:
        return principal

    async with AsyncExitStack() as stack:
        serving = asyncio.create_task(serve(node, peer, peer.inbox, identify, first))
        stack.push_async_callback(asyncio.wait, [serving])
        stack.callback(peer.leave)
        yield peer
    serving.result()


@asynccontextmanager
async def welcomed(node: Node, user: str = "ann") -> AsyncIterator[Peer]:
    """The same, after `welcome`."""
    async with connected(node, Principal(user)) as peer:
        assert (await peer.hear())["type"] == "welcome"
        yield peer
