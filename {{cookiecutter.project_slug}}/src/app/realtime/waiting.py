"""Lets what is published wait its turn, so that all that waits is carried out together."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import ClassVar

import structlog

from ..budget import too_much
from ..coordination.base import Coordination
from ..history.base import Draft, Outcome
from ..protocol.errors import CommandError, ErrorCode

log = structlog.stdlib.get_logger(__name__)

MOST_WAITING = 10_000
MOST_AT_ONCE, MOST_BYTES = 500, 262_144
"""How much is carried out and delivered together, at most one publication more than that."""

Published = asyncio.Future[Outcome | None]
"""What becomes of a publication: where it is kept, nothing if it was only sent, or its refusal."""

Waits = tuple[Draft, Published, float]
"""A draft, what becomes of it, and when it was submitted."""


@dataclass(eq=False)
class Waiting(ABC):
    """Drafts in the order in which they were submitted; so many, and no more.

    One that was taken is carried out even if its publisher is gone by then.
    """

    coordination: Coordination
    _drafts: deque[Waits] = field(init=False, default_factory=deque)
    _wake: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop = field(init=False, default_factory=asyncio.get_running_loop)
    done: ClassVar[str]
    """What happens to a message that is carried out."""

    def submit(self, draft: Draft) -> Published:
        """Let a draft wait; raises OVERLOADED where too many do."""
        if len(self._drafts) >= MOST_WAITING:
            busy = "too much is being published"
            raise CommandError(ErrorCode.OVERLOADED, busy, retry_after=1)
        outcome: Published = self._loop.create_future()
        self._drafts.append((draft, outcome, monotonic()))
        self._wake.set()
        return outcome

    async def batch(self) -> list[Waits]:
        """Those whose turn it is, as soon as there are any."""
        await self._wake.wait()
        batch: list[Waits] = []
        size = 0
        while self._drafts and len(batch) < MOST_AT_ONCE and size < MOST_BYTES:
            batch.append(self._drafts.popleft())
            size += len(batch[-1][0].body)
        if not self._drafts:
            self._wake.clear()
        return batch

    async def settle(self, batch: Sequence[Waits], *, free: bool) -> Sequence[Outcome | None]:
        """Carry out those that their senders have left to publish; tell what became of each.

        What is `free` is not charged here.
        """
        outcomes = await self._outcomes([draft for draft, _, _ in batch], free)
        for (_, waiting, _), outcome in zip(batch, outcomes, strict=True):
            if not waiting.done():
                waiting.set_result(outcome)
        return outcomes

    @abstractmethod
    async def carry_out(self, drafts: Sequence[Draft]) -> Sequence[Outcome | None]:
        """Store or send drafts, in order: what becomes of each."""

    async def _outcomes(self, drafts: Sequence[Draft], free: bool) -> Sequence[Outcome | None]:
        try:
            due = [0.0] * len(drafts) if free else await self._charge(drafts)
            paid = [draft for draft, wait in zip(drafts, due, strict=True) if not wait]
            outcomes = iter(await self.carry_out(paid) if paid else ())
            return [too_much(wait) if wait else next(outcomes) for wait in due]
        except CommandError as error:
            refused = error
        except Exception:
            log.exception("publishing failed", drafts=len(drafts))
            refused = CommandError(ErrorCode.INTERNAL, f"the message could not be {self.done}")
        return [refused] * len(drafts)

    async def _charge(self, drafts: Sequence[Draft]) -> Sequence[float]:
        """Spend what each costs its sender; the seconds until that is possible, 0 where it was."""
        costs = [draft.cost for draft in drafts if draft.cost is not None]
        waits = iter(await self.coordination.spend(costs) if costs else ())
        return [0.0 if draft.cost is None else next(waits) for draft in drafts]
