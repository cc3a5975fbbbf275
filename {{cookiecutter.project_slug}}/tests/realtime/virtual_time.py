"""An event loop whose time passes by waiting for it: an hour costs nothing, and all runs agree."""

import asyncio
from collections.abc import Coroutine
from selectors import SelectorKey, SelectSelector
from typing import Any, TypeVar

T = TypeVar("T")

RESOLUTION = 1e-9
MOST_TURNS = 100_000
"""Turns of the loop after which a run is taken to go round in circles."""


class Stuck(AssertionError):
    """Nothing will ever happen any more, or the same for ever."""


class _Jump(SelectSelector):
    """Waits for no file: moves the time to the next timer instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        self._turns += 1
        if timeout is None:
            raise Stuck("everybody waits for somebody else")
        if self._turns > MOST_TURNS:
            self._turns = 0
            raise Stuck(f"no end after {MOST_TURNS} turns")
        if timeout > 0:
            # A little more than asked for: no timer may find that its time has not come yet.
            self.now += timeout + RESOLUTION
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs timers in their order without waiting for them; does no I/O."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        self._clock_resolution = RESOLUTION

    def time(self) -> float:
        """Seconds since the loop began."""
        return self._jump.now

    def block(self, seconds: float) -> None:
        """Let time pass in which nothing runs."""
        self._jump.now += seconds


def run(work: Coroutine[Any, Any, T]) -> T:
    """Carry out a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
