"""How soon nodes answer, asked again and again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic

from ..service import Service

EVERY = 0.02


class Pulse:
    """The times that `/livez` took."""

    def __init__(self) -> None:
        self.took: list[float] = []

    @property
    def p99(self) -> float:
        """What one of a hundred exceeds."""
        return sorted(self.took)[int(len(self.took) * 0.99)]

    async def feel(self, node: Service) -> None:
        """Ask one node every 20 ms, until cancelled."""
        async with node.rest() as http:
            while True:
                begun = monotonic()
                answer = await http.get("/livez")
                self.took.append(monotonic() - begun)
                assert answer.status_code == 200
                await asyncio.sleep(EVERY)


@asynccontextmanager
async def pulse(nodes: Sequence[Service]) -> AsyncIterator[Pulse]:
    """Ask them all, as long as the block takes."""
    found = Pulse()
    async with asyncio.TaskGroup() as tasks:
        feeling = [tasks.create_task(found.feel(node)) for node in nodes]
        yield found
        for each in feeling:
            each.cancel()
