"""Puts publications into history, many at a time, and announces them in that order."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from ..broker.base import Broker, Kind, Packet
from ..history.base import Draft, History, Receipt
from ..protocol.errors import CommandError, ErrorCode, Unavailable

log = structlog.stdlib.get_logger(__name__)

MOST_WAITING = 10_000
MOST_AT_ONCE = 500

Outcome = Receipt | CommandError


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A draft, and who waits to hear what became of it."""

    draft: Draft
    outcome: asyncio.Future[Outcome]


class Committer:
    """The one way into history on this node: what waits shares an append.

    A draft that was taken is stored even if its publisher is gone by then.
    """

    def __init__(self, history: History, broker: Broker, deliver: Callable[[Packet], None]) -> None:
        self._history = history
        self._broker = broker
        self._deliver = deliver
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()

    async def commit(self, draft: Draft) -> Receipt:
        """Store a draft and announce it; raises what history refused it with, or OVERLOADED."""
        if len(self._waiting) >= MOST_WAITING:
            raise CommandError(ErrorCode.OVERLOADED, "too much is being published", retry_after=1)
        waiting = _Waiting(draft, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._wake.set()
        outcome = await waiting.outcome
        if isinstance(outcome, CommandError):
            raise outcome
        return outcome

    async def run(self) -> None:
        """Commit what waits, batch by batch, until cancelled."""
        while True:
            await self._wake.wait()
            batch = [self._waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(self._waiting)))]
            if not self._waiting:
                self._wake.clear()
            await self._commit(batch)

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        packets: list[Packet] = []
        outcomes = await self._append([waiting.draft for waiting in batch])
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if not waiting.outcome.done():
                waiting.outcome.set_result(outcome)
            if isinstance(outcome, Receipt):
                draft = waiting.draft
                packets.append(Packet(Kind.MESSAGE, draft.channel, outcome.body, outcome.position))
        # Subscribers here need no broker: its echo is dropped by offset.
        for packet in packets:
            self._deliver(packet)
        if packets and not self._history.carries:
            await self._announce(packets)

    async def _append(self, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        try:
            return await self._history.append(drafts)
        except CommandError as error:
            return [error] * len(drafts)
        except Exception:
            log.exception("append failed", drafts=len(drafts))
            return [CommandError(ErrorCode.INTERNAL, "the message could not be stored")] * len(
                drafts
            )

    async def _announce(self, packets: Sequence[Packet]) -> None:
        try:
            await self._broker.publish(packets)
        except Unavailable:
            # Stored and delivered here; the other nodes find it by their sweep.
            log.warning("not announced to other nodes", messages=len(packets))
