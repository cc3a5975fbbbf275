"""Puts publications into history, many at a time, and announces them in that order."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

import structlog

from .. import metrics
from ..broker.base import Broker, Kind, Packet
from ..history.base import Draft, History, Outcome, Receipt
from ..protocol.channels import START
from ..protocol.errors import CommandError, ErrorCode, Unavailable
from .channel import LocalChannel

log = structlog.stdlib.get_logger(__name__)

MOST_WAITING = 10_000
MOST_AT_ONCE, MOST_BYTES = 500, 262_144
"""How much is committed and delivered together, at most one publication more than that."""

_Waiting = tuple[Draft, asyncio.Future[Outcome], float]
"""A draft, what becomes of it, and when it was submitted."""


@dataclass(eq=False)
class Committer:
    """The one way into history on this node: what waits shares an append.

    A draft that was taken is stored even if its publisher is gone by then.
    """

    history: History
    broker: Broker
    deliver: Callable[[Sequence[Packet]], None]
    channels: Mapping[str, LocalChannel] = field(default_factory=dict)
    """Those that are followed here."""
    _waiting: deque[_Waiting] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def submit(self, draft: Draft) -> asyncio.Future[Outcome]:
        """Have a draft stored and announced; the future has a receipt, or why there is none."""
        outcome: asyncio.Future[Outcome] = self._loop.create_future()
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append((draft, outcome, monotonic()))
            self._wake.set()
        else:
            busy = CommandError(ErrorCode.OVERLOADED, "too much is being published", retry_after=1)
            outcome.set_result(busy)
        return outcome

    async def run(self) -> None:
        """Commit what waits, batch by batch, until cancelled."""
        while True:
            await self._wake.wait()
            batch: list[_Waiting] = []
            size = 0
            while self._waiting and len(batch) < MOST_AT_ONCE and size < MOST_BYTES:
                batch.append(self._waiting.popleft())
                size += len(batch[-1][0].body)
            if not self._waiting:
                self._wake.clear()
            await self._commit(batch)

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
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
            return await self.history.append(drafts)
        except CommandError as error:
            refused = error
        except Exception:
            log.exception("append failed", drafts=len(drafts))
            refused = CommandError(ErrorCode.INTERNAL, "the message could not be stored")
        return [refused] * len(drafts)

    async def _announce(self, packets: Sequence[Packet]) -> None:
        try:
            await self.broker.publish(packets)
        except Unavailable:
            # Stored and delivered here; the other nodes find it by their sweep.
            log.warning("not announced to other nodes", messages=len(packets))
