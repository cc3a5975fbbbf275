"""One client's life on one connection, from the moment it has proved who it is."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from ..auth.base import Principal
from ..protocol import codec
from ..protocol.channels import personal_channel
from ..protocol.commands import AnyCommand, Id
from ..protocol.errors import CloseCode, CommandError, Disconnect, ErrorCode
from ..protocol.events import Event, Heartbeat, Limits, Ping, Welcome
from .handlers import handle
from .link import Link
from .namespaces import Namespace
from .node import Node
from .wheel import Deadline

PING = codec.encode(Ping())


class Session:
    """Carries out one client's commands in order, and hands it what it subscribed to."""

    def __init__(self, id: str, node: Node, link: Link, principal: Principal) -> None:
        self.id = id
        self.node = node
        self.principal = principal
        self.subscriptions: dict[str, Namespace] = {}
        self.untouched = True
        """Whether the client has not commanded anything yet."""
        self._link = link
        self._beat: Deadline | None = None
        self._expiry: Deadline | None = None

    def send(self, frame: bytes) -> None:
        """Write a frame, soon; never waits, never raises."""
        self._link.write((frame,))

    def reply(self, event: Event) -> None:
        """Write an event."""
        self.send(codec.encode(event))

    async def drained(self) -> None:
        """Return once the peer can take more."""
        await self._link.drained()

    def end(self, code: CloseCode) -> None:
        """End the connection, after what was written."""
        self._link.end(code, code.reason)

    async def run(
        self, commands: AsyncIterator[AnyCommand], id: Id | None, first: AnyCommand | None
    ) -> None:
        """Welcome the client, carry out `first` on its behalf, then what it commands."""
        self.node.hub.attach(self)
        try:
            self.welcome(id)
            self._schedule_beat(random.random())
            if first is not None:
                await self._begin_with(first)
            async for command in commands:
                await self._take(command)
        finally:
            self._cancel_deadlines()
            self.node.hub.detach(self)

    def welcome(self, id: Id | None) -> None:
        """Say that the connection is ready, and for whom."""
        principal, limits = self.principal, self.node.limits
        self.reply(
            Welcome(
                id=id,
                session=self.id,
                user=principal.member,
                personal=personal_channel(principal.user),
                node=self.node.id,
                heartbeat=Heartbeat(
                    interval_ms=round(limits.heartbeat_seconds * 1000),
                    timeout_ms=round(limits.heartbeat_timeout_seconds * 1000),
                ),
                limits=Limits(
                    message_bytes=limits.max_message_bytes,
                    channels=limits.channels_per_connection,
                ),
                expires_at=principal.expires_at and principal.expires_at.isoformat(),
                guest_token=principal.guest_token,
            )
        )
        self._schedule_expiry()

    async def _begin_with(self, command: AnyCommand) -> None:
        self.untouched = False
        try:
            await self._carry_out(command)
        except CommandError as refused:
            self.send(codec.encode_error(refused))
            raise Disconnect(CloseCode.FORBIDDEN) from None

    async def _take(self, command: AnyCommand) -> None:
        try:
            await self._carry_out(command)
        except CommandError as refused:
            self.send(codec.encode_error(refused, command.id))
        self.untouched = False

    async def _carry_out(self, command: AnyCommand) -> None:
        try:
            async with asyncio.timeout(self.node.limits.command_seconds):
                await handle(self, command)
        except TimeoutError:
            raise CommandError(ErrorCode.TIMEOUT, "this took too long, try again") from None

    def _schedule_beat(self, part: float = 1.0) -> None:
        """The first beat comes at a random part of the interval, so that beats spread."""
        delay = self.node.limits.heartbeat_seconds * part
        self._beat = self.node.wheel.schedule(delay, self._say_ping)

    def _say_ping(self) -> None:
        self.send(PING)
        self._schedule_beat()

    def _schedule_expiry(self) -> None:
        if self.principal.expires_at is not None:
            left = (self.principal.expires_at - datetime.now(UTC)).total_seconds()
            self._expiry = self.node.wheel.schedule(max(left, 0), self._expire)

    def _expire(self) -> None:
        self.end(CloseCode.CREDENTIAL_EXPIRED)

    def _cancel_deadlines(self) -> None:
        for deadline in (self._beat, self._expiry):
            if deadline is not None:
                deadline.cancel()
