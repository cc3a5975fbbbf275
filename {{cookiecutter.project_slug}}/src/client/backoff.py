"""How long to wait before trying again, and the clock that waits."""

import asyncio
import random
from collections.abc import Callable

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 20.0


class Backoff:
    """Waits that double from 0.5 s to 20 s, each a random part of that, so that clients spread."""

    def __init__(self, random: Callable[[], float] = random.random) -> None:
        self._random = random
        self._bound = FIRST_SECONDS

    def next(self) -> float:
        """The seconds to wait now."""
        bound, self._bound = self._bound, min(self._bound * 2, LONGEST_SECONDS)
        return self._random() * bound

    def reset(self) -> None:
        """Begin anew: what was tried has worked."""
        self._bound = FIRST_SECONDS


class Clock:
    """The time of the event loop; tests bring one that they move themselves."""

    def now(self) -> float:
        """Seconds since some moment."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)
