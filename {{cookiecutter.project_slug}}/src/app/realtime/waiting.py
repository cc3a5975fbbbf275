"""Lets what is published wait its turn, so that all that waits is carried out together."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from ..coordination.base import Coordination
from ..history.base import Draft, Outcome
from ..protocol.errors import CommandError, ErrorCode

MOST_WAITING = 10_000
MOST_AT_ONCE, MOST_BYTES = 500, 262_144
"""How much is carried out and delivered together, at most one publication more than that."""

Published = asyncio.Future[Outcome | None]
"""What becomes of a publication: where it is kept, nothing if it was only sent, or its refusal."""

Waits = tuple[Draft, Published, float]
"""A draft, what becomes of it, and when it was submitted."""


@dataclass(eq=False)
class Waiting:
    """Drafts in the order in which they were submitted; so many, and no more."""

    _drafts: deque[Waits] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

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


async def charge(coordination: Coordination, drafts: Sequence[Draft]) -> list[float]:
    """Spend what each costs its sender; the seconds until that is possible, 0 where it was."""
    costs = [draft.cost for draft in drafts if draft.cost is not None]
    waits = iter(await coordination.spend(costs) if costs else ())
    return [0.0 if draft.cost is None else next(waits) for draft in drafts]
