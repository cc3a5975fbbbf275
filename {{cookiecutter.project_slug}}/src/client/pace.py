"""Spreads commands, so that the server takes them all."""

import math

from .backoff import Clock

MARGIN = 0.8
"""The part of what the server allows that is used: what arrives together was not sent so."""


class Pace:
    """So many commands at once, then so many a second; without bounds until the server told."""

    def __init__(self, clock: Clock, per_second: float = math.inf, burst: int = 1) -> None:
        self._clock = clock
        self._interval = 1 / (MARGIN * per_second)
        self._ahead = max(1, MARGIN * burst) * self._interval
        self._full_at = 0.0

    def next(self) -> float:
        """The seconds to wait before the next command."""
        now = self._clock.now()
        self._full_at = max(self._full_at, now) + self._interval
        return max(0.0, self._full_at - now - self._ahead)
