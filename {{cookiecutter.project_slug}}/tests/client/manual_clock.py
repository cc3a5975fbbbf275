"""Time that passes when a test says so."""

import asyncio

from client.backoff import Clock

from .scripted import PATIENCE


class ManualClock(Clock):
    """Stands still until a test lets somebody's sleep pass."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._sleeps: dict[asyncio.Future[None], tuple[float, float]] = {}
        self._changed = asyncio.Event()

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeps[awake] = seconds, self._now + seconds
        self._changed.set()
        try:
            await awake
        finally:
            del self._sleeps[awake]

    def advance(self, seconds: float) -> None:
        """Let time pass; who has slept long enough wakes."""
        self._now += seconds
        for awake, (_, until) in self._sleeps.items():
            if until <= self._now and not awake.done():
                awake.set_result(None)

    async def sleeps(self, seconds: float) -> None:
        """Wait until somebody sleeps for so long."""
        async with asyncio.timeout(PATIENCE):
            while all(abs(length - seconds) > 1e-6 for length, _ in self._sleeps.values()):
                self._changed.clear()
                await self._changed.wait()

    async def passes(self, seconds: float) -> None:
        """Wait until somebody goes to sleep for so long, and let that time pass."""
        await self.sleeps(seconds)
        self.advance(seconds)
