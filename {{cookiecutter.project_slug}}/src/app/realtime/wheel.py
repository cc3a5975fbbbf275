"""The deadlines of one node: one timer for all of them, not one each."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from .. import metrics

log = structlog.stdlib.get_logger(__name__)

TICK = 0.1
"""Seconds between two turns: how late a deadline may be."""


@dataclass(eq=False, slots=True)
class Deadline:
    """Something to do at a time, until it is cancelled; again and again if it has an interval."""

    action: Callable[[], None]
    interval: float | None = None
    cancelled: bool = False
    slot: "list[Deadline] | None" = None
    place: int = 0
    """Where in its slot it waits."""

    def cancel(self) -> None:
        """Do not do it any more; nothing is kept of it, however far away it was."""
        slot, self.slot = self.slot, None
        if slot is not None:
            last = slot.pop()
            if last is not self:
                slot[self.place], last.place = last, self.place
        self.cancelled, self.action = True, _nothing


def _nothing() -> None:
    pass


class Wheel:
    """Meets deadlines at most a tick late, at a cost independent of how many wait."""

    def __init__(self) -> None:
        self._slots: dict[int, list[Deadline]] = {}
        self._turned = 0

    def schedule(
        self, delay: float, action: Callable[[], None], interval: float | None = None
    ) -> Deadline:
        """Do something in `delay` seconds, then every `interval`; it must not wait nor raise."""
        deadline = Deadline(action, interval)
        self._place(deadline, delay)
        return deadline

    def _place(self, deadline: Deadline, delay: float) -> None:
        number = int((asyncio.get_running_loop().time() + delay) / TICK) + 1
        deadline.slot = slot = self._slots.setdefault(number, [])
        deadline.place = len(slot)
        slot.append(deadline)

    async def run(self) -> None:
        """Turn until cancelled."""
        clock = asyncio.get_running_loop().time
        self._turned = self._turned or int(clock() / TICK)
        while True:
            due = clock() + TICK
            await asyncio.sleep(TICK)
            metrics.LOOP_LAG.observe(clock() - due)
            while self._turned < int(clock() / TICK):
                self._turned += 1
                for deadline in tuple(self._slots.pop(self._turned, ())):
                    if not deadline.cancelled:
                        deadline.slot = None
                        try:
                            deadline.action()
                        except Exception:
                            log.exception("a deadline failed")
                        if deadline.interval is not None:
                            self._place(deadline, deadline.interval)
