"""The contract of the small state that all nodes share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Want:
    """One use of a budget that refills at `rate` per second and holds at most `burst`."""

    key: str
    rate: float
    burst: int


ROUNDING = 1e-6
"""Seconds that a sum of floats may be off."""


def use_one(full_at: float, now: float, rate: float, burst: int) -> tuple[float, float]:
    """Use up one of a budget, which is kept as the time at which it is full again.

    Returns the seconds to wait, 0.0 if there was one left, and when the budget is full then.
    """
    later = max(full_at, now) + 1 / rate
    wait = later - now - burst / rate
    return (wait, full_at) if wait > ROUNDING else (0.0, later)


class Coordination(Protocol):
    """Keeps small facts for a while; each method raises Unavailable in bounded time."""

    async def put(self, key: str, value: str, ttl: float) -> None:
        """Keep a value for `ttl` seconds; every node sees it once this returns."""
        ...

    async def get(self, keys: Sequence[str]) -> Sequence[str | None]:
        """The values, in the order of the keys."""
        ...

    async def take(self, key: str) -> str | None:
        """The value, to exactly one caller; it is gone afterwards."""
        ...

    async def spend(self, wants: Sequence[Want]) -> Sequence[float]:
        """For each want 0.0, and one is used up; or the seconds to wait, and none is."""
        ...

    async def hold(self, key: str, ttl: float) -> bool:
        """Whether this caller holds the key for the next `ttl` seconds; one at a time does."""
        ...
