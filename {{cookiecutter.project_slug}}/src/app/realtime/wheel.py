"""The deadlines of one node: one timer for all of them, not one each."""

import asyncio
from collections.abc import Callable

TICK = 0.1
"""Seconds between two turns: how late a deadline may be."""


class Deadline:
    """Something to do at a time, until it is cancelled."""

    __slots__ = ("_action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Do not do it."""
        self._action = None

    def meet(self) -> None:
        """Do it, unless cancelled."""
        if self._action is not None:
            self._action()


class Wheel:
    """Meets deadlines at most a tick late, at a cost independent of how many wait."""

    def __init__(self) -> None:
        self._slots: dict[int, list[Deadline]] = {}
        self._turned: int | None = None

    def schedule(self, delay: float, action: Callable[[], None]) -> Deadline:
        """Do something in `delay` seconds; it must neither wait nor raise."""
        deadline = Deadline(action)
        slot = int((asyncio.get_running_loop().time() + delay) / TICK) + 1
        self._slots.setdefault(slot, []).append(deadline)
        return deadline

    async def run(self) -> None:
        """Turn until cancelled."""
        clock = asyncio.get_running_loop().time
        if self._turned is None:
            self._turned = int(clock() / TICK)
        while True:
            await asyncio.sleep(TICK)
            while self._turned < int(clock() / TICK):
                self._turned += 1
                for deadline in self._slots.pop(self._turned, ()):
                    deadline.meet()
