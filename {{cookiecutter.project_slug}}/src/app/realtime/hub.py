"""Channels to sessions on this node: who is subscribed to what, and what they get when."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from ..auth.base import Principal
from ..auth.revocation import CONTROL
from ..background import Background
from ..broker.base import Broker, Gap, Kind, Packet
from ..coordination.base import Coordination
from ..history.base import Draft, History
from ..presence.base import Entry, Presence
from ..protocol.commands import Subscribe
from ..protocol.errors import CloseCode, Disconnect, Unavailable
from ..protocol.events import Roster
from ..settings import Limits
from ..tally import Tally
from .announcer import Announcer
from .attendance import ROSTER_LIMIT, Attendance
from .channel import LocalChannel
from .committer import Committer
from .guard import obey
from .joining import Join
from .mending import RETRY_SECONDS, Mender
from .namespaces import Namespace
from .waiting import Published

if TYPE_CHECKING:
    from .session import Session


@dataclass(eq=False)
class Hub:
    """Tracks the channels followed on this node, and keeps each complete and in order.

    Its loops begin at once and live as long as the background does.
    """

    broker: Broker
    history: History
    presence: Presence
    coordination: Coordination
    limits: Limits
    background: Background
    sessions: dict[str, "Session"] = field(default_factory=dict)
    channels: dict[str, LocalChannel] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._mender = Mender(
            self.history, self.coordination, self.limits, self.background, self.channels
        )
        self._committer = Committer(
            self.coordination, self.history, self.broker, self.deliver, self.channels
        )
        self._announcer = Announcer(self.coordination, self.broker)
        self._attendance = Attendance(self.presence, self.broker, self.channels)
        self._users = Tally(self.limits.connections_per_user)
        self.background.spawn(self._heed())
        self.background.keep("deliveries", self._receive)
        self.background.keep("committer", self._committer.run)
        self.background.keep("announcer", self._announcer.run)
        self.background.keep("attendance", self._attendance.run)
        self.background.keep("rosters", self._attendance.recount)
        self.background.keep("sweep", self._mender.sweep)
        self.background.keep("retention", self._mender.retain)

    @property
    def buffered(self) -> int:
        """How many bytes wait for peers that do not read."""
        return sum(session.link.buffered for session in self.sessions.values())

    def attach(self, session: "Session") -> None:
        """Make a session known; raises Disconnect if its user has too many here already."""
        self._admit(session.principal)
        self.sessions[session.id] = session

    def rename(self, session: "Session", principal: Principal) -> None:
        """Take a session for another principal's; raises as `attach` does, and nothing changes."""
        if principal.user != session.principal.user:
            self._admit(principal)
            self._users.leave(session.principal.user)
        session.principal = principal

    def detach(self, session: "Session") -> None:
        """Forget a session, at once; the cost is in its own subscriptions only."""
        if self.sessions.pop(session.id, None):
            self._users.leave(session.principal.user)
        for name in list(session.subscriptions):
            self.unsubscribe(session, name)

    async def subscribe(self, session: "Session", namespace: Namespace, wanted: Subscribe) -> None:
        """Answer with `subscribed`; the rest and what is live follow, without hole or repeat."""
        name, presence = wanted.channel, wanted.presence and namespace.presence
        channel = self._follow(namespace, name)
        join = channel.joins[session] = Join(self._mender, channel, session, wanted)
        session.subscriptions[name] = namespace
        if presence:
            channel.watching.add(session)
        try:
            await asyncio.shield(channel.opening)
            if namespace.presence:
                await self._attendance.enter(Entry(name, session.id, session.principal.member))
            if presence:
                join.roster = await self.roster(name)
            await join.run()
        except BaseException:
            self.unsubscribe(session, name)
            raise

    def unsubscribe(self, session: "Session", name: str) -> None:
        """End a subscription, at once; nothing of the channel is written afterwards."""
        namespace = session.subscriptions.pop(name, None)
        channel = self.channels.get(name)
        if namespace is None or channel is None:
            return
        channel.live.discard(session)
        channel.watching.discard(session)
        join = channel.joins.pop(session, None)
        if join is not None and join.task is not None:
            join.task.cancel()
        if namespace.presence:
            self._attendance.leave(Entry(name, session.id, session.principal.member))
        self._forget_if_idle(name)

    def publish(self, namespace: Namespace, draft: Draft) -> Published:
        """Durable: have it stored, then announced; the future tells where. Else announce it."""
        return (self._committer if namespace.durable else self._announcer).submit(draft)

    async def signal(self, channel: str, frame: bytes) -> None:
        """Hand a finished frame to all subscribers; it is not kept."""
        await self.broker.publish([Packet(Kind.SIGNAL, channel, frame)])

    async def roster(self, channel: str) -> Roster:
        """Who is in a channel, over all nodes."""
        return await self.presence.roster(channel, ROSTER_LIMIT)

    def deliver(self, packets: Sequence[Packet]) -> None:
        """Hand packets to the subscribers here; begin to mend where something is missing."""
        for name, run in groupby(packets, key=lambda packet: packet.channel):
            # The broker may still yield what was sent to a channel that this node just left.
            if channel := self.channels.get(name):
                channel.accept(run)
            elif name == CONTROL:
                obey(self.sessions.values(), run)

    def _fall_behind(self, channel: LocalChannel, session: "Session") -> None:
        """Take a subscriber for which too much waits out of the live set until it has read that."""
        wanted = Subscribe(type="subscribe", channel=channel.name)
        channel.live.discard(session)
        join = channel.joins[session] = Join(self._mender, channel, session, wanted, lagging=True)
        join.catch_up(channel.delivered)

    def _admit(self, principal: Principal) -> None:
        if not self._users.enter(principal.user):
            raise Disconnect(CloseCode.TOO_MANY_CONNECTIONS)

    def _follow(self, namespace: Namespace, name: str) -> LocalChannel:
        """The channel; the first who wants it opens it for all."""
        if name not in self.channels:
            mend, lag = self._mender.mend_soon, self._fall_behind
            channel = self.channels[name] = LocalChannel(name, namespace.durable, mend, lag)
            channel.opening = self.background.spawn(self._open(channel))
            channel.opening.add_done_callback(lambda _: self._forget_if_idle(name))
        return self.channels[name]

    async def _open(self, channel: LocalChannel) -> None:
        await self.broker.follow([channel.name])
        if channel.durable:
            tops = await self.history.tops([channel.name])
            channel.locate(tops[channel.name])

    def _forget_if_idle(self, name: str) -> None:
        channel = self.channels.get(name)
        if channel and channel.idle and channel.opening.done():
            del self.channels[name]
            self.background.spawn(self.broker.forget([name]))

    async def _heed(self) -> None:
        """Follow what nodes tell each other, once the broker can be reached."""
        while True:
            try:
                return await self.broker.follow([CONTROL])
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)

    async def _receive(self) -> None:
        async for delivery in self.broker.deliveries():
            if isinstance(delivery, Gap):
                self._mender.gap.set()
                self._attendance.gap.set()
            else:
                self.deliver(delivery)
