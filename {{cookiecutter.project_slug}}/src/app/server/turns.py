"""Joins what is written to one peer within one turn of the event loop."""

import asyncio
from typing import Protocol


class Writer(Protocol):
    """Somebody with frames that wait for the end of the turn."""

    def flush(self) -> None:
        """Write them."""
        ...


class Turns:
    """Numbers the turns of an event loop in which something is written, and ends each.

    The first frame for a peer in a turn is written at once; those after it wait for the end of the
    turn, and go in one write. A system call is what a delivery costs: joined, a hundred cost two.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.number = 0
        self.waiting: list[Writer] = []
        """Who has frames for the end of this turn."""
        self._loop = loop
        self._begun = False

    def begin(self) -> int:
        """The number of this turn, whose end is scheduled."""
        if not self._begun:
            self._begun = True
            self.number += 1
            self._loop.call_soon(self._end)
        return self.number

    def _end(self) -> None:
        self._begun = False
        self.number += 1
        waiting, self.waiting = self.waiting, []
        for writer in waiting:
            writer.flush()


_turns: dict[asyncio.AbstractEventLoop, Turns] = {}


def turns_of(loop: asyncio.AbstractEventLoop) -> Turns:
    """The turns of this loop; there is one loop per process, and it is never forgotten."""
    if loop not in _turns:
        _turns[loop] = Turns(loop)
    return _turns[loop]
