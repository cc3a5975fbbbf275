"""One client's life on one connection, from the moment it has proved who it is."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import takewhile
from time import monotonic

from ..auth.base import Principal
from ..history.base import Outcome
from ..protocol import codec
from ..protocol.channels import personal_channel
from ..protocol.commands import AnyCommand, Id, Pong, Publish
from ..protocol.errors import CloseCode, CommandError, Disconnect, ErrorCode
from ..protocol.events import Beats, Event, Expiring, Limits, Welcome
from ..protocol.frames import Frame, Run
from .guard import recheck
from .handlers import HANDLERS, publish
from .heartbeat import Heartbeat
from .link import Link
from .namespaces import Namespace
from .node import Node
from .publishing import acknowledge
from .rates import Allowance
from .waiting import Published
from .wheel import Deadline

Commands = Callable[[], Awaitable[AnyCommand | None]]
"""Gives the next command; None once the client is gone."""

NOTICE_SECONDS = 60.0
"""The most that a client is told before its credential ends."""


@dataclass(eq=False, slots=True)
class Session:
    """Carries out one client's commands in order, and hands it what it subscribed to."""

    id: str
    node: Node
    link: Link
    principal: Principal
    allowance: Allowance
    subscriptions: dict[str, Namespace] = field(default_factory=dict)
    untouched: bool = True
    """Whether the client has not commanded anything yet, but what it may try again."""
    published: list[tuple[Publish, Published]] = field(default_factory=list)
    """Publications whose replies are due, in order."""
    send: Callable[[Frame | Run], None] = field(init=False)
    """Writes, soon; never waits, never raises."""
    offer: Callable[[Frame | Run], bool] = field(init=False)
    """The same for what can be had again, which is refused if too much waits: tells if not."""
    heartbeat: Heartbeat = field(init=False)
    opened: float = field(default_factory=monotonic)
    """When it began."""
    _expiry: Deadline | None = None

    def __post_init__(self) -> None:
        self.send, self.offer = self.link.write, self.link.offer
        self.heartbeat = Heartbeat(self.link, self.node.wheel, self.node.limits)

    def reply(self, event: Event) -> None:
        """Write an event."""
        self.send(codec.encode(event))

    async def run(self, commands: Commands, id: Id | None, first: AnyCommand | None) -> None:
        """Welcome the client, carry out `first` on its behalf, then what it commands."""
        self.node.hub.attach(self)
        try:
            # Whom a revocation does not find from here on, it has been found in the list.
            await self.node.revocations.check(self.principal)
            self.welcome(id)
            self.heartbeat.begin()
            self.untouched = first is None
            if first is not None and (refused := await self._carry_out(first)):
                again = refused.code.retryable
                raise Disconnect(CloseCode.INTERNAL_ERROR if again else CloseCode.FORBIDDEN)
            while command := await commands():
                refused = await self._carry_out(command)
                # A beat may come right after the welcome, and is answered at once.
                passing = isinstance(command, Pong) if refused is None else refused.code.retryable
                self.untouched = self.untouched and passing
        finally:
            self.heartbeat.stop()
            if self._expiry is not None:
                self._expiry.cancel()
            self.node.hub.detach(self)

    def welcome(self, id: Id | None) -> None:
        """Say that the connection is ready, and for whom."""
        principal, limits = self.principal, self.node.limits
        beat, late = limits.heartbeat_seconds * 1000, limits.heartbeat_timeout_seconds * 1000
        self.reply(
            Welcome(
                id=id,
                session=self.id,
                user=principal.member,
                personal=personal_channel(principal.user),
                node=self.node.id,
                heartbeat=Beats(interval_ms=round(beat), timeout_ms=round(late)),
                limits=Limits(
                    message_bytes=limits.max_message_bytes,
                    channels=limits.channels_per_connection,
                    commands_per_second=limits.commands_per_second,
                    commands_burst=limits.commands_burst,
                ),
                expires_at=principal.expires_at and principal.expires_at.isoformat(),
                guest_token=principal.guest_token,
            )
        )
        self._expire_in_time()

    async def take_up(self, principal: Principal) -> None:
        """Be another principal's from here on; raises as at the beginning, and nothing changes."""
        before = self.principal
        self.node.hub.rename(self, principal)
        try:
            await self.node.revocations.check(principal)
        except BaseException:
            self.node.hub.rename(self, before)
            raise
        self._expire_in_time()
        recheck(self.node.hub, self)

    def _expire_in_time(self) -> None:
        """Tell the client before its credential ends, then end the connection with it."""
        if self._expiry is not None:
            self._expiry.cancel()
        if self.principal.expires_at is not None:
            left = max((self.principal.expires_at - datetime.now(UTC)).total_seconds(), 0)
            notice = notice_seconds(left)
            warn = partial(self._warn, notice)
            self._expiry = self.node.wheel.schedule(left - notice, warn)

    def _warn(self, notice: float) -> None:
        self.reply(Expiring(in_ms=round(notice * 1000)))
        expire = partial(self.link.end, CloseCode.CREDENTIAL_EXPIRED)
        self._expiry = self.node.wheel.schedule(notice, expire)

    def acknowledge(self, _: object) -> None:
        """Reply, in one piece, to the publications that are stored, sent or refused."""
        ready = list(takewhile(lambda each: each[1].done(), self.published))
        del self.published[: len(ready)]
        if ready:
            self.send(Run([_reply(command, outcome.result()) for command, outcome in ready]))
        for _, outcome in ready:
            if isinstance(refused := outcome.result(), CommandError):
                self._blame(refused)

    async def _carry_out(self, command: AnyCommand) -> CommandError | None:
        """Why the command was refused, which the client was told; or nothing."""
        self.heartbeat.active = math.inf
        try:
            if self.link.buffered > self.node.limits.outbox_bytes:
                # What a peer does not read, it may not ask for.
                await self.link.drained()
            if self.link.code is not None:
                return None  # What was said before an end of ours comes too late.
            self.allowance.spend(command)
            if isinstance(command, Publish):
                # Not timed: that would cost a tenth, and stores and hooks answer in time.
                await publish(self, command)
                return None
            async with asyncio.timeout(self.node.limits.command_seconds):
                if self.published:
                    # What was published before this command is carried out before it.
                    await asyncio.wait((self.published[-1][1],))
                if self.link.code is None:
                    await HANDLERS[command.type](self, command)
            return None
        except CommandError as error:
            refused = error
        except TimeoutError:
            refused = CommandError(ErrorCode.TIMEOUT, "this took too long, try again")
        finally:
            self.heartbeat.active = monotonic()
        self.allowance.blame(refused)
        self.send(codec.encode_error(refused, command.id))
        return refused

    def _blame(self, refused: CommandError) -> None:
        """The same as the allowance does, where nobody would hear a Disconnect."""
        try:
            self.allowance.blame(refused)
        except Disconnect as ended:
            self.link.end(ended.code)


def notice_seconds(left: float) -> float:
    """How long before its end a client hears of it, of a credential that is good for so long."""
    return min(NOTICE_SECONDS, left / 5)


def _reply(command: Publish, outcome: Outcome | None) -> Frame:
    if isinstance(outcome, CommandError):
        return codec.encode_error(outcome, command.id)
    if outcome is None:
        return codec.encode(acknowledge(command, None))
    return codec.encode_stored(command.id, command.channel, outcome.position, outcome.duplicate)
