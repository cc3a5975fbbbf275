"""Puts publications into history, many at a time, and announces them in that order."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

import structlog

from .. import metrics
from ..broker.base import Broker, Kind, Packet
from ..history.base import Draft, History, Outcome, Receipt
from ..protocol.channels import START
from ..protocol.errors import Unavailable
from .channel import LocalChannel
from .waiting import Waiting, Waits

log = structlog.stdlib.get_logger(__name__)

MOST_OWED = 1_000
RETRY_SECONDS = 1.0


@dataclass(eq=False)
class Committer(Waiting):
    """The one way into history on this node: what waits shares an append."""

    history: History
    broker: Broker
    deliver: Callable[[Sequence[Packet]], None]
    channels: Mapping[str, LocalChannel] = field(default_factory=dict)
    """Those that are followed here."""
    _owed: dict[str, Packet] = field(default_factory=dict)
    """The newest of each channel that was not announced: it shows others that more is missing."""
    done = "stored"

    async def run(self) -> None:
        """Commit what waits, batch by batch, until cancelled."""
        while True:
            batch: Sequence[Waits] = ()
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS if self._owed else None):
                    batch = await self.batch()
            if batch:
                await self._commit(batch)
            else:
                await self._announce(())

    async def carry_out(self, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        """Append drafts."""
        return await self.history.append(drafts)

    async def _commit(self, batch: Sequence[Waits]) -> None:
        packets: list[Packet] = []
        followed = {draft.channel for draft, _, _ in batch} & self.channels.keys()
        stood = {name: self.channels[name].position for name in followed}
        # A history that carries what it stores also charges for it.
        outcomes = await self.settle(batch, free=self.history.carries)
        for (draft, _, _), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Receipt):
                packets.append(Packet(Kind.MESSAGE, draft.channel, outcome.body, outcome.position))
                channel = self.channels.get(draft.channel)
                if channel is not None and not outcome.duplicate:
                    channel.check(outcome.position, stood.get(draft.channel, START))
        # Subscribers here need no broker: its echo is dropped by offset.
        self.deliver(packets)
        metrics.DELIVERY_LAG.observe(monotonic() - batch[0][2])
        if packets and not self.history.carries:
            await self._announce(packets)

    async def _announce(self, packets: Sequence[Packet]) -> None:
        try:
            await self.broker.publish([*self._owed.values(), *packets])
            self._owed.clear()
        except Unavailable:
            # Stored and delivered here; what is not owed, the other nodes find by their sweep.
            newest = {packet.channel: packet for packet in packets}
            self._owed |= dict(list(newest.items())[: MOST_OWED - len(self._owed)])
            if packets:
                log.warning("not announced to other nodes", messages=len(packets))
