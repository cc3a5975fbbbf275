"""How far a run is: what is acknowledged, what is being done, and where it hangs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import inf

Act = tuple[str, Callable[[], Awaitable[None]]]
"""Something that is done to nodes or their store, and what it is called."""


class Progress:
    """Counts acknowledgements, and holds publishers back while what is to disturb them is late."""

    def __init__(self, messages: int) -> None:
        self.acknowledged = 0
        self.doing: dict[str, str] = {}
        """What each part of the run is at."""
        self._messages = messages
        self._bounds: dict[str, float] = {}
        self._moved = asyncio.Condition()

    async def acknowledge(self) -> None:
        """Count one more; return when another may be published."""
        async with self._moved:
            self.acknowledged += 1
            self._moved.notify_all()
            await self._moved.wait_for(
                lambda: self.acknowledged < min(self._bounds.values(), default=inf)
            )

    async def disturb(self, name: str, acts: Sequence[Act]) -> None:
        """Do one after another, spread over the run."""
        share = self._messages / (len(acts) + 1)
        for number, (what, act) in enumerate(acts, 1):
            self.doing[name] = f"waits to {what}"
            await self._bound(name, (number + 1) * share)
            async with self._moved:
                await self._moved.wait_for(lambda: self.acknowledged >= number * share)  # noqa: B023
            self.doing[name] = what
            await act()
        self.doing[name] = "done"
        await self._bound(name, inf)

    async def _bound(self, name: str, most: float) -> None:
        async with self._moved:
            self._bounds[name] = most
            self._moved.notify_all()

    def __str__(self) -> str:
        at = ", ".join(f"{name}: {what}" for name, what in self.doing.items())
        return f"{self.acknowledged} of {self._messages} acknowledged; {at}"
