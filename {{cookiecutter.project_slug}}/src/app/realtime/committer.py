"""Puts publications into history, many at a time, and announces them in that order."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

import structlog

from .. import metrics
from ..broker.base import Broker, Kind, Packet
from ..budget import too_much
from ..coordination.base import Coordination
from ..history.base import Draft, History, Outcome, Receipt
from ..protocol.channels import START
from ..protocol.errors import CommandError, ErrorCode, Unavailable
from .channel import LocalChannel
from .waiting import Published, Waiting, Waits, charge

log = structlog.stdlib.get_logger(__name__)

MOST_OWED = 1_000
RETRY_SECONDS = 1.0


@dataclass(eq=False)
class Committer:
    """The one way into history on this node: what waits shares an append.

    A draft that was taken is stored even if its publisher is gone by then.
    """

    history: History
    broker: Broker
    coordination: Coordination
    deliver: Callable[[Sequence[Packet]], None]
    channels: Mapping[str, LocalChannel] = field(default_factory=dict)
    """Those that are followed here."""
    _waiting: Waiting = field(default_factory=Waiting)
    _owed: dict[str, Packet] = field(default_factory=dict)
    """The newest of each channel that was not announced: it shows others that more is missing."""

    def submit(self, draft: Draft) -> Published:
        """Have a draft stored and announced; the future has a receipt, or why there is none."""
        return self._waiting.submit(draft)

    async def run(self) -> None:
        """Commit what waits, batch by batch, until cancelled."""
        while True:
            batch: Sequence[Waits] = ()
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS if self._owed else None):
                    batch = await self._waiting.batch()
            if batch:
                await self._commit(batch)
            else:
                await self._announce(())

    async def _commit(self, batch: Sequence[Waits]) -> None:
        packets: list[Packet] = []
        drafts = [draft for draft, _, _ in batch]
        followed = {draft.channel for draft in drafts} & self.channels.keys()
        stood = {name: self.channels[name].position for name in followed}
        outcomes = await self._append(drafts)
        for (draft, waiting, _), outcome in zip(batch, outcomes, strict=True):
            if not waiting.done():
                waiting.set_result(outcome)
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

    async def _append(self, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        try:
            if self.history.carries:
                return await self.history.append(drafts)
            return await self._append_paid(drafts)
        except CommandError as error:
            refused = error
        except Exception:
            log.exception("append failed", drafts=len(drafts))
            refused = CommandError(ErrorCode.INTERNAL, "the message could not be stored")
        return [refused] * len(drafts)

    async def _append_paid(self, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        """Append those that their senders have left to publish."""
        due = await charge(self.coordination, drafts)
        paid = [draft for draft, wait in zip(drafts, due, strict=True) if not wait]
        outcomes = iter(await self.history.append(paid) if paid else ())
        return [too_much(wait) if wait else next(outcomes) for wait in due]

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
