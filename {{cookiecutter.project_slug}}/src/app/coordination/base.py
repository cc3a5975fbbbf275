"""The contract of the small state that all nodes share."""

from collections.abc import Sequence
from typing import Protocol

from ..budget import Want


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
