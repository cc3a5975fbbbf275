"""A client that recovers as the protocol says, over one connection after another."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import cast

from app.auth.base import Principal
from app.protocol.channels import START, Position
from app.protocol.commands import Subscribe
from app.protocol.errors import CloseCode, Unavailable
from app.protocol.frames import Frame as WireFrame
from app.protocol.frames import Run
from app.realtime.hub import Hub
from app.realtime.namespaces import Namespace
from app.realtime.session import Session

from .ledger import Ledger
from .witness import Frame, Witness

NAMESPACE = Namespace("chat", payload=str, durable=True, presence=True)
COMMAND_SECONDS = 10.0

Command = Callable[[], Awaitable[None]] | Hub
"""What a client does next; a hub means to connect there."""


class Connection:
    """What a hub takes for a session and its link; hands everything to its client."""

    def __init__(self, number: int, hub: Hub, client: "Client") -> None:
        self.id = f"session-{number}"
        self.hub = hub
        self.link = self
        self.principal = Principal(client.user)
        self.subscriptions: dict[str, Namespace] = {}
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._number = number
        self._client = client
        self._offers = 0

    def __hash__(self) -> int:
        # Sets of sessions have the same order in every run.
        return self._number

    @property
    def session(self) -> Session:
        """The same, for those who ask for the type."""
        return cast(Session, self)

    def send(self, frame: WireFrame | Run) -> None:
        """Hand frames to the client."""
        for each in frame.frames:
            self._client.receive(self, json.loads(each.payload))

    def offer(self, frame: WireFrame | Run) -> bool:
        """The same, unless the peer does not read; every third connection is slow now and then."""
        self._offers += 1
        slow = self._number % 3 == 0 and self._offers % 5 == 0
        if taken := self.flowing.is_set() and not slow:
            self.send(frame)
        return taken

    async def drained(self) -> None:
        """Wait while the peer does not read."""
        await self.flowing.wait()

    def end(self, code: CloseCode) -> None:
        """Note that the server gave up."""
        self._client.complain(f"closed with {code!r}")


class Client:
    """Carries out commands one after another; what it sees goes to its witness."""

    def __init__(self, number: int, ledger: Ledger, trouble: list[str]) -> None:
        self.user = f"user{number}"
        self.connection: Connection | None = None
        self.commands: asyncio.Queue[Command] = asyncio.Queue()
        self.wanted: set[str] = set()
        """Channels to which it subscribes again after a loss."""
        self.witness = Witness(ledger, self.complain)
        self._number = number
        self._connections = 0
        self._trouble = trouble
        self._running: asyncio.Task[None] | None = None

    def complain(self, *facts: object) -> None:
        """Note a broken promise."""
        now = asyncio.get_running_loop().time()
        self._trouble.append(f"{now:.3f} {self.user}: {' '.join(map(str, facts))}")

    def receive(self, connection: Connection, frame: Frame) -> None:
        """Take a frame from a connection."""
        if connection is self.connection:
            self.witness.sees(frame)
        else:
            self.complain("came to a connection that is gone:", frame)

    async def work(self) -> None:
        """Carry out commands until cancelled."""
        while True:
            command = await self.commands.get()
            if isinstance(command, Hub):
                self._connect(command)
            else:
                self._running = asyncio.create_task(self._attempt(command))
                await asyncio.wait([self._running])
                if not self._running.cancelled() and (error := self._running.exception()):
                    self.complain(f"a command failed: {error!r}")
            self.commands.task_done()

    async def _attempt(self, command: Callable[[], Awaitable[None]]) -> None:
        # The reply would be an error that may be retried; a client that still wants it will.
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(COMMAND_SECONDS):
                await command()

    def _connect(self, hub: Hub) -> None:
        if self.connection is not None:
            self.connection.hub.detach(self.connection.session)
            self.witness.loses_everything()
        self._connections += 1
        self.connection = Connection(100 * self._number + self._connections, hub, self)
        hub.attach(self.connection.session)
        self.recover()

    def time_out(self) -> None:
        """Let the command that runs take too long."""
        if self._running is not None:
            self._running.cancel()

    def reconnect(self, hub: Hub) -> None:
        """Lose the connection, and the commands that were not carried out; open another one."""
        while not self.commands.empty():
            self.commands.get_nowait()
            self.commands.task_done()
        self.time_out()
        self.commands.put_nowait(hub)

    def recover(self) -> None:
        """Subscribe to all that is wanted, from where the client stands."""
        for channel in sorted(self.wanted):
            since = self.witness.positions.get(channel, START)
            self.commands.put_nowait(partial(self.subscribe, channel, since, last=2))

    def is_at(self, hub: Hub) -> bool:
        """Whether the client is connected to this node."""
        return self.connection is not None and self.connection.hub is hub

    # commands

    async def subscribe(self, channel: str, since: Position | None, last: int) -> None:
        """Subscribe, unless that is done."""
        connection = self.connection
        if connection is None or channel in connection.subscriptions:
            return
        self.wanted.add(channel)
        wanted = Subscribe(
            id=1, type="subscribe", channel=channel, since=since, last=last, presence=True
        )
        self.witness.asks(wanted)
        try:
            await connection.hub.subscribe(connection.session, NAMESPACE, wanted)
        except BaseException:
            self.witness.was_refused(channel)
            raise
        self.witness.was_answered(channel)

    async def unsubscribe(self, channel: str) -> None:
        """Unsubscribe for good."""
        self.wanted.discard(channel)
        if self.connection is not None:
            self.connection.hub.unsubscribe(self.connection.session, channel)
        self.witness.leaves(channel)
