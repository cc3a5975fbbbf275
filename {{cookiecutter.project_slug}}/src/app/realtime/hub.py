"""Channels to sessions on this node: who is subscribed to what, and what they get when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from ..broker.base import Broker, Gap, Kind, Packet
from ..coordination.base import Coordination
from ..history.base import Draft, History, Receipt
from ..presence.base import Entry, Presence
from ..protocol.channels import Position
from ..protocol.commands import Subscribe
from ..protocol.errors import CloseCode, Unavailable
from ..protocol.events import Roster
from ..settings import Limits
from .attendance import Attendance
from .background import Background
from .channel import LocalChannel
from .committer import Committer
from .joining import Join
from .namespaces import Namespace

if TYPE_CHECKING:
    from .session import Session

log = structlog.stdlib.get_logger(__name__)

HOLD_SECONDS = 0.05
"""How long a packet that is ahead may wait for those between: two nodes often race."""
RETRY_SECONDS = 1.0
ROSTER_LIMIT = 200
"""How many members an answer names; it counts all."""


class Hub:
    """Tracks the channels followed on this node, and keeps each complete and in order."""

    def __init__(
        self,
        broker: Broker,
        history: History,
        presence: Presence,
        coordination: Coordination,
        limits: Limits,
        background: Background,
    ) -> None:
        self.history = history
        self.limits = limits
        self.sessions: dict[str, Session] = {}
        self.channels: dict[str, LocalChannel] = {}
        self.background = background
        self.broker = broker
        self._presence = presence
        self._coordination = coordination
        self._committer = Committer(history, broker, self.deliver)
        self._attendance = Attendance(presence, broker, lambda: self.channels.keys())
        self._gap = asyncio.Event()

    def start(self) -> None:
        """Begin the loops that live as long as the background does."""
        self.background.keep("deliveries", self._receive)
        self.background.keep("committer", self._committer.run)
        self.background.keep("attendance", self._attendance.run)
        self.background.keep("sweep", self._sweep)

    def attach(self, session: "Session") -> None:
        """Make a session known; it is reachable from here on."""
        self.sessions[session.id] = session

    def detach(self, session: "Session") -> None:
        """Forget a session, at once; the cost is in its own subscriptions only."""
        self.sessions.pop(session.id, None)
        for name in list(session.subscriptions):
            self.unsubscribe(session, name)

    async def subscribe(self, session: "Session", namespace: Namespace, wanted: Subscribe) -> None:
        """Answer with `subscribed`; the rest and what is live follow, without hole or repeat."""
        name, presence = wanted.channel, wanted.presence and namespace.presence
        channel = await self._follow(namespace, name)
        join = Join(self, channel, session, wanted, presence)
        channel.joins[session] = join
        session.subscriptions[name] = namespace
        try:
            if namespace.presence:
                await self._attendance.enter(Entry(name, session.id, session.principal.member))
            if presence:
                join.roster = await self.roster(name)
            rest = await join.run()
        except BaseException:
            self.unsubscribe(session, name)
            raise
        if rest is not None:
            join.task = self.background.spawn(self._catch_up(session, join, rest))

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
        self._forget_if_idle(channel)

    async def publish(self, namespace: Namespace, draft: Draft) -> Receipt | None:
        """Durable: stored, then announced. Else announced, and there is no receipt."""
        if namespace.durable:
            return await self._committer.commit(draft)
        await self.broker.publish([Packet(Kind.MESSAGE, draft.channel, draft.body)])
        return None

    async def signal(self, channel: str, frame: bytes) -> None:
        """Hand a finished frame to all subscribers; it is not kept."""
        await self.broker.publish([Packet(Kind.SIGNAL, channel, frame)])

    async def roster(self, channel: str) -> Roster:
        """Who is in a channel, over all nodes."""
        return await self._presence.roster(channel, ROSTER_LIMIT)

    def deliver(self, packet: Packet) -> None:
        """Hand a packet to the subscribers here; begin to mend where something is missing."""
        # The broker may still yield what was sent to a channel that this node just left.
        channel = self.channels.get(packet.channel)
        if channel is not None and not channel.accept(packet):
            self._mend_soon(channel)

    async def repair(self, channel: LocalChannel) -> None:
        """Bring a channel up to its history, or restate it; one read, however many wait for it."""
        if channel.repairing is None or channel.repairing.done():
            channel.repairing = self.background.spawn(self._repair(channel))
        await asyncio.shield(channel.repairing)

    async def _repair(self, channel: LocalChannel) -> None:
        before, channel.doubted = channel.position, False
        limit = self.limits.repair_limit
        page = await self.history.read(channel.name, after=before.offset, limit=limit)
        top = Position(page.epoch, page.top)
        if channel.position.epoch != before.epoch:
            return
        if channel.fresh and page.epoch:
            channel.adopt(page.epoch)
        if page.epoch != channel.position.epoch:
            channel.restate(top, "epoch_changed")
        elif page.top < before.offset:
            # The store went back in time: what it numbers now would pass for what was seen.
            rotated = await self.history.rotate(channel.name, page.epoch)
            channel.restate(rotated, "epoch_changed")
        else:
            for each in page.publications:
                position = Position(page.epoch, each.offset)
                channel.accept(Packet(Kind.MESSAGE, channel.name, each.body, position))
            if channel.position.offset < page.top:
                channel.restate(top, "expired" if page.top - before.offset <= limit else "too_far")

    def _mend_soon(self, channel: LocalChannel) -> None:
        if channel.mending is None or channel.mending.done():
            channel.mending = self.background.spawn(self._mend(channel))

    async def _mend(self, channel: LocalChannel) -> None:
        pause = HOLD_SECONDS
        while True:
            await asyncio.sleep(pause)
            if not channel.incomplete or self.channels.get(channel.name) is not channel:
                return
            try:
                await self.repair(channel)
                pause = HOLD_SECONDS
            except Unavailable:
                pause = RETRY_SECONDS

    async def _catch_up(self, session: "Session", join: Join, rest: Position) -> None:
        try:
            await join.catch_up(rest)
        except Exception:
            log.exception("catching up failed", session=session.id)
            session.end(CloseCode.INTERNAL_ERROR)

    async def _follow(self, namespace: Namespace, name: str) -> LocalChannel:
        """The channel, followed and located; the first who wants it opens it for all."""
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = LocalChannel(name, durable=namespace.durable)
            channel.opening = self.background.spawn(self._open(channel))
        if channel.opening is not None:
            await self._opened(channel, channel.opening)
        return channel

    async def _opened(self, channel: LocalChannel, opening: asyncio.Task[None]) -> None:
        channel.waiting += 1
        try:
            await asyncio.shield(opening)
        except BaseException:
            channel.waiting -= 1
            self._forget_if_idle(channel)
            raise
        # Not forgotten here: the caller takes its place in the channel before anything else runs.
        channel.waiting -= 1

    async def _open(self, channel: LocalChannel) -> None:
        try:
            await self.broker.follow([channel.name])
            if channel.durable:
                tops = await self.history.tops([channel.name])
                if not channel.locate(tops[channel.name]):
                    self._mend_soon(channel)
        except BaseException:
            self._drop(channel)
            raise
        channel.opening = None
        self._forget_if_idle(channel)

    def _forget_if_idle(self, channel: LocalChannel) -> None:
        if channel.idle and channel.opening is None:
            self._drop(channel)

    def _drop(self, channel: LocalChannel) -> None:
        if self.channels.get(channel.name) is channel:
            del self.channels[channel.name]
            self.background.spawn(self.broker.forget([channel.name]))

    async def _receive(self) -> None:
        async for delivery in self.broker.deliveries():
            if isinstance(delivery, Gap):
                self._gap.set()
                continue
            for packet in delivery:
                self.deliver(packet)

    async def _sweep(self) -> None:
        """Find what no later packet reveals: now and then, and after every gap."""
        while True:
            try:
                async with asyncio.timeout(self.limits.sweep_seconds):
                    await self._gap.wait()
            except TimeoutError:
                pass
            self._gap.clear()
            try:
                await self._compare()
                await self._prune()
            except Unavailable:
                log.warning("sweep found history unavailable")
                self._gap.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _compare(self) -> None:
        here = [each for each in self.channels.values() if each.durable and each.located]
        seen = {each.name: each.position.offset for each in here}
        tops = await self.history.tops(seen)
        for channel in here:
            top, here_now = tops[channel.name], channel.position
            behind = not seen[channel.name] <= top.offset <= here_now.offset
            if behind or top.epoch != here_now.epoch:
                await self.repair(channel)

    async def _prune(self) -> None:
        if await self._coordination.hold("prune", 2 * self.limits.sweep_seconds):
            while await self.history.prune():
                await asyncio.sleep(0)


@asynccontextmanager
async def open_hub(
    broker: Broker, history: History, presence: Presence, coordination: Coordination, limits: Limits
) -> AsyncIterator[Hub]:
    """A hub at work; its tasks end with the scope."""
    async with Background() as background:
        hub = Hub(broker, history, presence, coordination, limits, background)
        hub.start()
        yield hub
