"""Finds what a channel on this node has missed, and reads it from history, once for all."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from .. import metrics
from ..background import Background
from ..broker.base import Kind, Packet
from ..coordination.base import Coordination
from ..history.base import History, Page
from ..protocol.channels import START, Position
from ..protocol.errors import Unavailable
from ..settings import Limits
from .channel import LocalChannel

log = structlog.stdlib.get_logger(__name__)

HOLD_SECONDS = 0.05
"""How long a packet that is ahead may wait for those between: two nodes often race."""
RETRY_SECONDS = 1.0


@dataclass
class Mender:
    """Keeps each channel that this node follows complete, or says that it is not."""

    history: History
    coordination: Coordination
    limits: Limits
    background: Background
    channels: dict[str, LocalChannel]
    gap: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where anything may have been missed."""

    def feed(self, channel: LocalChannel, page: Page) -> None:
        """Let the channel take what it does not have yet: every read is a repair too."""
        name, epoch = channel.name, page.epoch
        for each in page.publications:
            if each.offset > channel.position.offset:
                position = Position(epoch, each.offset)
                channel.accept((Packet(Kind.MESSAGE, name, each.body, position),))

    def mend_soon(self, channel: LocalChannel) -> None:
        """Repair the channel unless what is missing comes by itself."""
        if channel.mending is None or channel.mending.done():
            channel.mending = self.background.spawn(self._mend(channel))

    async def repair(self, channel: LocalChannel) -> None:
        """Bring a channel up to its history, or restate it; one read, however many wait for it."""
        if channel.repairing is None or channel.repairing.done():
            channel.repairing = self.background.spawn(self._repair(channel))
        await asyncio.shield(channel.repairing)

    async def sweep(self) -> None:
        """Find what no later packet reveals, now and then and after every gap; until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.limits.sweep_seconds):
                    await self.gap.wait()
            self.gap.clear()
            try:
                await self._compare()
            except Unavailable:
                log.warning("history is unavailable")
                self.gap.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def retain(self) -> None:
        """Have one node at a time delete what retention no longer keeps; until cancelled."""
        while True:
            await asyncio.sleep(self.limits.sweep_seconds)
            try:
                # It goes on for long where there is much: the lease is renewed at each step.
                while await self._may_prune() and await self.history.prune():
                    await asyncio.sleep(0)
            except Unavailable:
                log.warning("retention waits: history is unavailable")

    async def _mend(self, channel: LocalChannel) -> None:
        pause = 0.0 if channel.doubted else HOLD_SECONDS
        while True:
            await asyncio.sleep(pause)
            if not channel.incomplete or self.channels.get(channel.name) is not channel:
                return
            try:
                await self.repair(channel)
            except Unavailable:
                pause = RETRY_SECONDS

    async def _repair(self, channel: LocalChannel) -> None:
        before, jumps, doubted = channel.position, channel.jumps, channel.doubted
        channel.doubted, limit = False, self.limits.repair_limit
        try:
            page = await self.history.read(channel.name, after=before.offset, limit=limit)
        except BaseException:
            channel.doubted = channel.doubted or doubted
            raise
        top = Position(page.epoch, page.top)
        if channel.jumps != jumps:
            return
        if before == START and page.epoch:
            # Nothing had been published: the first publication tells the epoch.
            channel.locate(Position(top.epoch, 0))
        else:
            metrics.REPAIRS.inc()
        if top.epoch != channel.position.epoch:
            channel.restate(top, "epoch_changed")
        elif channel.rewound or top.offset < before.offset:
            # In this epoch, what the store numbers now would pass for what was seen.
            rotated = await self.history.rotate(channel.name, top.epoch)
            channel.restate(rotated, "epoch_changed")
        else:
            self.feed(channel, page)
            if channel.position.offset < top.offset:
                many = top.offset - before.offset > limit
                channel.restate(top, "too_far" if many else "expired")

    async def _compare(self) -> None:
        durable = [each for each in self.channels.values() if each.durable and each.located]
        seen = {each.name: each.position.offset for each in durable}
        tops = await self.history.tops(seen)
        for channel in durable:
            top, here = tops[channel.name], channel.position
            if top.epoch != here.epoch or not seen[channel.name] <= top.offset <= here.offset:
                await self.repair(channel)

    async def _may_prune(self) -> bool:
        return await self.coordination.hold("prune", 2 * self.limits.sweep_seconds)
