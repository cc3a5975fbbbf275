"""A client that keeps the rules of recovery, and notes everything that breaks a promise to it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

from app.auth.base import Principal
from app.protocol.channels import START, Position
from app.protocol.commands import Subscribe
from app.protocol.errors import CloseCode, Unavailable
from app.realtime.hub import Hub
from app.realtime.namespaces import Namespace
from app.realtime.session import Session

from .ledger import Ledger

NAMESPACE = Namespace("chat", payload=str, durable=True, presence=True)
COMMAND_SECONDS = 10.0

Command = Callable[[], Awaitable[None]] | Hub
"""What a client does next; a hub means to connect there."""


class Connection:
    """What a hub takes for a session; hands everything to its client."""

    def __init__(self, number: int, hub: Hub, client: "Client") -> None:
        self.id = f"session-{number}"
        self.hub = hub
        self.principal = Principal(client.user)
        self.subscriptions: dict[str, Namespace] = {}
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._number = number
        self._client = client

    def __hash__(self) -> int:
        # Sets of sessions have the same order in every run.
        return self._number

    @property
    def session(self) -> Session:
        """The same, for those who ask for the type."""
        return cast(Session, self)

    def send(self, frame: bytes) -> None:
        """Hand a frame to the client."""
        self._client.receive(self, json.loads(frame))

    async def drained(self) -> None:
        """Wait while the peer does not read."""
        await self.flowing.wait()

    def end(self, code: CloseCode) -> None:
        """Note that the server gave up."""
        self._client.complain(f"closed with {code!r}")


class Client:
    """Carries out commands one after another, over one connection after another."""

    def __init__(self, number: int, ledger: Ledger, trouble: list[str]) -> None:
        self.user = f"user{number}"
        self.connection: Connection | None = None
        self.positions: dict[str, Position] = {}
        self.wanted: set[str] = set()
        """Channels that it would subscribe to again after a loss."""
        self.commands: asyncio.Queue[Command] = asyncio.Queue()
        self._number = number
        self._connections = 0
        self._ledger = ledger
        self._trouble = trouble
        self._asked: dict[str, Subscribe] = {}
        self._ahead: set[str] = set()
        self._live: set[str] = set()
        self._running: asyncio.Task[None] | None = None

    def complain(self, *facts: object) -> None:
        """Note a broken promise."""
        now = asyncio.get_running_loop().time()
        self._trouble.append(f"{now:.3f} {self.user}: {' '.join(map(str, facts))}")

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
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                await command()
        except (Unavailable, TimeoutError):
            # The reply is an error that may be retried; a client that still wants it will.
            pass

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

    def settle(self) -> None:
        """Read again, and subscribe to everything that is wanted and not subscribed."""
        if self.connection is not None:
            self.connection.flowing.set()
        for channel in sorted(self.wanted):
            self.commands.put_nowait(partial(self.recover, channel))

    def is_at(self, hub: Hub) -> bool:
        """Whether the client is connected to this node."""
        return self.connection is not None and self.connection.hub is hub

    def _connect(self, hub: Hub) -> None:
        """Leave the connection for another one, and recover there what was subscribed to."""
        if self.connection is not None:
            self.connection.hub.detach(self.connection.session)
            self._live.clear()
        self._connections += 1
        self.connection = Connection(100 * self._number + self._connections, hub, self)
        hub.attach(self.connection.session)
        for channel in sorted(self.wanted):
            self.commands.put_nowait(partial(self.recover, channel))

    # commands

    async def recover(self, channel: str) -> None:
        """Subscribe from where the client stands."""
        await self.subscribe(channel, self.positions.get(channel, START), last=2)

    async def subscribe(self, channel: str, since: Position | None, last: int) -> None:
        """Subscribe, unless that is done; a `since` is where the client stands from now on."""
        connection = self.connection
        if connection is None or channel in connection.subscriptions:
            return
        self.wanted.add(channel)
        if since is not None:
            self.positions[channel] = since
        wanted = Subscribe(
            id=1, type="subscribe", channel=channel, since=since, last=last, presence=True
        )
        self._asked[channel] = wanted
        self._ahead.discard(channel)
        if since is not None and since.offset > self._ledger.position(channel).offset:
            self._ahead.add(channel)
        try:
            await connection.hub.subscribe(connection.session, NAMESPACE, wanted)
        except BaseException:
            if channel in self._live:
                self.complain(channel, "refused after the answer")
            raise
        else:
            if channel in self._asked:
                self.complain(channel, "not answered")
        finally:
            self._asked.pop(channel, None)

    async def unsubscribe(self, channel: str) -> None:
        """Unsubscribe; from here on nothing of the channel may come."""
        self.wanted.discard(channel)
        if self.connection is not None:
            self.connection.hub.unsubscribe(self.connection.session, channel)
        self._live.discard(channel)

    # what comes

    def receive(self, connection: Connection, event: dict[str, Any]) -> None:
        """Hold a frame against what was promised."""
        channel = event["channel"]
        if connection is not self.connection:
            self.complain(channel, "came to a connection that was gone:", event)
        elif event["type"] == "subscribed":
            self._take_subscribed(channel, event)
        elif channel not in self._live:
            self.complain(channel, "came without a subscription:", event)
        elif event["type"] == "message":
            self._take_message(channel, event)

    def _take_subscribed(self, channel: str, event: dict[str, Any]) -> None:
        since, last = self.positions.get(channel), 0
        if "id" in event:
            asked = self._asked.pop(channel, None)
            if asked is None:
                return self.complain(channel, "answered what was not asked:", event)
            since, last = asked.since, asked.last
        elif channel not in self._live or event["recovered"]:
            return self.complain(channel, "restated wrongly:", event)
        self._live.add(channel)
        if since is None:
            if "recovered" in event:
                self.complain(channel, "speaks of recovery:", event)
        elif not event["recovered"]:
            self._judge(channel, since, event)
        after = Position(event["epoch"], event["offset"])
        recovered = event.get("recovered", False)
        if recovered:
            if since not in (START, Position(after.epoch, since.offset if since else 0)):
                self.complain(channel, "recovered another epoch:", since, event)
            start = since.offset if since else 0
        else:
            start = after.offset - len(event["messages"])
            if len(event["messages"]) > last:
                self.complain(channel, "more than asked for:", event)
        self.positions[channel] = Position(after.epoch, start)
        for message in event["messages"]:
            self._take_message(channel, message)
        if self.positions[channel] != after:
            self.complain(channel, "stands at", self.positions[channel], "after", event)

    def _judge(self, channel: str, since: Position, event: dict[str, Any]) -> None:
        """Continuity may be given up for a reason only, and the reason must be true."""
        justified = {
            "epoch_changed": since.epoch != event["epoch"]
            and (since != START or self._ledger.has_rotated(channel)),
            "ahead": channel in self._ahead,
            "expired": self._ledger.pruned(channel) > since.offset,
            "too_far": event["offset"] >= since.offset,
        }
        if not justified.get(event["reason"], False):
            self.complain(channel, "gave up without reason at", since, event)

    def _take_message(self, channel: str, event: dict[str, Any]) -> None:
        own, next = self.positions[channel], Position(event["epoch"], event["offset"])
        if next.offset != own.offset + 1 or (own.epoch != next.epoch and own != START):
            self.complain(channel, "hole or repeat: at", own, "came", next)
        if self._ledger.message(channel, next) != event["message_id"]:
            self.complain(channel, "not what is stored at", next)
        self.positions[channel] = next
