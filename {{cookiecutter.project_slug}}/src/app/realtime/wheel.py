"""The deadlines of one node: one timer for all of them, not one each."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

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
    slot: "dict[Deadline, None]" = field(default_factory=dict)
    """Those of one turn, in order."""

    def cancel(self) -> None:
        """Do not do it any more; nothing is kept of it, however far away it was."""
        self.slot.pop(self, None)
        self.action, self.interval = _nothing, None


def _nothing() -> None:
    pass


class Wheel:
    """Meets deadlines at most a tick late, at a cost independent of how many wait."""

    def __init__(self) -> None:
        self._slots: dict[int, dict[Deadline, None]] = {}
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
        deadline.slot = self._slots.setdefault(number, {})
        deadline.slot[deadline] = None

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
                slot = self._slots.pop(self._turned, {})
                deadlines = tuple(slot)
                slot.clear()  # Who has one of them keeps no other alive.
                for deadline in deadlines:
                    try:
                        deadline.action()
                    except Exception:
                        log.exception("a deadline failed")
                    if deadline.interval is not None:
                        self._place(deadline, deadline.interval)
