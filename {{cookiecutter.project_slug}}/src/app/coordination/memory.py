"""Keeps the small state of one process."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from secrets import token_hex
from time import monotonic

from ..budget import Want, use_one

_Kept = OrderedDict[tuple[str, str], tuple[str, float]]
"""What is kept, and until when, by kind and key."""


class MemoryCoordination:
    """Values, budgets and holds, as long as the process lives."""

    def __init__(self, clock: Callable[[], float] = monotonic, kept: _Kept | None = None) -> None:
        """Those made with the same `kept` share it, for several nodes in one process."""
        self.clock = clock
        self.kept: _Kept = OrderedDict() if kept is None else kept
        self._name = token_hex(8)

    async def put(self, key: str, value: str, ttl: float) -> None:
        """Keep a value for `ttl` seconds."""
        self._put("value", key, value, self.clock() + ttl)

    async def get(self, keys: Sequence[str]) -> Sequence[str | None]:
        """The values that are kept now."""
        return [self._get("value", key)[0] for key in keys]

    async def take(self, key: str) -> str | None:
        """The value, which is gone afterwards."""
        value, _ = self._get("value", key)
        self.kept.pop(("value", key), None)
        return value

    async def spend(self, wants: Sequence[Want]) -> Sequence[float]:
        """Use up one of each budget that has one left, else say how long until it has."""
        return [self._spend(want, self.clock()) for want in wants]

    def _spend(self, want: Want, now: float) -> float:
        # A full budget need not be kept.
        _, full_at = self._get("budget", want.key)
        wait, full_at = use_one(full_at, now, want.rate, want.burst)
        if not wait:
            self._put("budget", want.key, "", full_at)
        return wait

    async def hold(self, key: str, ttl: float) -> bool:
        """Hold the key, or hold it for longer, unless another node does."""
        holder, _ = self._get("holder", key)
        if holder not in (None, self._name):
            return False
        self._put("holder", key, self._name, self.clock() + ttl)
        return True

    def _get(self, kind: str, key: str) -> tuple[str | None, float]:
        value, until = self.kept.get((kind, key), ("", 0.0))
        return (value, until) if until > self.clock() else (None, 0.0)

    def _put(self, kind: str, key: str, value: str, until: float) -> None:
        # Each write looks at the two entries that were not looked at for longest: two for each
        # that is added, so that what is over cannot pile up.
        for name in list(islice(self.kept, 2)):
            self.kept.move_to_end(name)
            if self.kept[name][1] <= self.clock():
                del self.kept[name]
        self.kept[kind, key] = value, until


@asynccontextmanager
async def open_coordination(
    clock: Callable[[], float] = monotonic,
) -> AsyncIterator[MemoryCoordination]:
    """The state of the one process there is."""
    yield MemoryCoordination(clock)
