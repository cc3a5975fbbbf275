"""Ports around memory adapters that are slow, fail, and lose, repeat and mix up packets.

They do no more than the contracts allow: a history that answers tells the truth, a `follow` that
returned is in force, and every packet that does come was sent.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from app.broker.base import Gap, Health, Kind, Packet
from app.broker.memory import MemoryBroker
from app.history.base import Draft, Page, Receipt
from app.presence.base import Change, Entry
from app.presence.memory import MemoryPresence
from app.protocol.channels import Position
from app.protocol.errors import CommandError
from app.protocol.events import Roster

from .fates import PAUSES, Fates
from .ledger import Ledger


class FaultyHistory:
    """One node's way to the history that all share; with a broker it carries what it stores."""

    def __init__(self, ledger: Ledger, fates: Fates, broker: MemoryBroker | None) -> None:
        self.carries = broker is not None
        self.health = ledger.archive.health
        self._inner = ledger.archive
        self._fates = fates
        self._ledger = ledger
        self._broker = broker

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Receipt | CommandError]:
        """Store at some moment between call and return; Unavailable may mean that it is stored."""
        await self._fates.suspend()
        outcomes = await self._inner.append(drafts)
        self._ledger.note(drafts, outcomes)
        if self._broker is not None:
            await self._broker.publish(
                [
                    Packet(Kind.MESSAGE, draft.channel, outcome.body, outcome.position)
                    for draft, outcome in zip(drafts, outcomes, strict=True)
                    if isinstance(outcome, Receipt)
                ]
            )
        await self._fates.suspend()
        return outcomes

    async def read(
        self, channel: str, *, after: int | None = None, before: int | None = None, limit: int
    ) -> Page:
        """A page as of some moment between call and return."""
        await self._fates.suspend()
        page = await self._inner.read(channel, after=after, before=before, limit=limit)
        await self._fates.suspend()
        return page

    async def tops(self, channels: Collection[str]) -> Mapping[str, Position]:
        """Where each stood at some moment between call and return."""
        await self._fates.suspend()
        tops = await self._inner.tops(channels)
        await self._fates.suspend()
        return tops

    async def rotate(self, channel: str, epoch: str) -> Position:
        """As the inner one, sooner or later."""
        await self._fates.suspend()
        position = await self._inner.rotate(channel, epoch)
        self._ledger.rotated(channel, position)
        await self._fates.suspend()
        return position

    async def prune(self) -> int:
        """As the inner one, sooner or later."""
        await self._fates.suspend()
        return await self._inner.prune()


class FaultyBroker:
    """One node's broker: what it hands on may be late, lost, repeated, or in another order."""

    health = Health.UP

    def __init__(self, inner: MemoryBroker, fates: Fates) -> None:
        self._inner = inner
        self._fates = fates
        self._arrived: asyncio.Queue[Sequence[Packet] | Gap] = asyncio.Queue()
        self.missed = asyncio.Event()
        """Set once something came that was not heard."""
        self._deaf = False

    def change_hearing(self, knows: bool) -> None:
        """Hear nothing from here on, or hear again and say so if the broker `knows`."""
        self._deaf = not self._deaf
        if not self._deaf and knows:
            self._arrived.put_nowait(Gap())

    def hear(self) -> None:
        """Lose nothing any more."""
        self._deaf = False

    async def publish(self, packets: Sequence[Packet]) -> None:
        """As the inner one, sooner or later."""
        await self._fates.suspend()
        await self._inner.publish(packets)
        await self._fates.suspend()

    async def follow(self, channels: Collection[str]) -> None:
        """In force at some moment between call and return."""
        await self._fates.suspend()
        await self._inner.follow(channels)
        await self._fates.suspend()

    async def forget(self, channels: Collection[str]) -> None:
        """At once, so that a later follow wins; but it takes its time to say so."""
        await self._inner.forget(channels)
        await self._fates.suspend()

    async def deliveries(self) -> AsyncIterator[Sequence[Packet] | Gap]:
        """What arrives, after its fate."""
        carrying = asyncio.create_task(self._carry())
        try:
            while True:
                yield await self._arrived.get()
        finally:
            carrying.cancel()

    async def _carry(self) -> None:
        async for delivery in self._inner.deliveries():
            if isinstance(delivery, Gap):
                continue
            for packet in delivery:
                self._hand_on(packet, self._fates.next())

    def _hand_on(self, packet: Packet, fate: int) -> None:
        arrive = self._arrived.put_nowait
        later = asyncio.get_running_loop().call_later
        pause = PAUSES[fate % 8]
        if self._deaf:
            self.missed.set()
            return
        if fate < 128:
            arrive([packet])
        elif fate < 176 or self._fates.lossless:
            later(pause, arrive, [packet])
        elif fate >= 240:
            later(pause, arrive, Gap())
        if 176 <= fate < 200:
            arrive([packet])
            later(pause, arrive, [packet, packet])


class FaultyPresence:
    """One node's way to the presence store that all share."""

    carries = False

    def __init__(self, inner: MemoryPresence, fates: Fates) -> None:
        self._inner = inner
        self._fates = fates

    async def enter(self, entries: Sequence[Entry]) -> Sequence[Change]:
        """As the inner one, sooner or later."""
        await self._fates.suspend()
        return await self._inner.enter(entries)

    async def leave(self, entries: Sequence[Entry]) -> None:
        """As the inner one, sooner or later."""
        await self._fates.suspend()
        await self._inner.leave(entries)

    async def roster(self, channel: str, limit: int) -> Roster:
        """As the inner one, sooner or later."""
        await self._fates.suspend()
        return await self._inner.roster(channel, limit)

    async def renew(self) -> bool:
        """As the inner one; a tape is too short to have a fate for every beat."""
        return await self._inner.renew()

    async def sweep(self, channels: Collection[str]) -> Sequence[Change]:
        """As the inner one."""
        return await self._inner.sweep(channels)
