"""What goes wrong and how long things take, read from a tape of bytes that hypothesis writes."""

import asyncio
from itertools import cycle

from app.protocol.errors import Unavailable

PAUSES = (0.001, 0.01, 0.03, 0.049, 0.051, 0.2, 1.5, 11.0)
"""Seconds around what the engine waits for: the hold, a retry, half a sweep and more than one."""


class Fates:
    """One byte per decision, from a tape that goes round; an empty one means good luck."""

    def __init__(self, tape: bytes, *, lossless: bool = False) -> None:
        self.lossless = lossless
        """Whether nothing is ever lost or refused, only late, repeated and in another order."""
        self._tape = cycle(tape)

    def next(self) -> int:
        """The next byte; 0 means that nothing happens."""
        return next(self._tape, 0)

    def end(self) -> None:
        """Let everything go well from here on."""
        self._tape = cycle(b"")

    async def suspend(self) -> None:
        """Be as slow as a server may be, or unreachable."""
        fate = self.next()
        if fate < 96:
            return
        if fate < 176:
            for _ in range(fate % 8 + 1):
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(PAUSES[fate % 8])
            if fate >= 248 and not self.lossless:
                raise Unavailable
