"""Keeps the small state that all nodes on one Redis share."""

from asyncio import gather
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex

from ..budget import Want
from ..protocol.errors import Unavailable
from ..redis import USE_ONE, RedisClient, Script, open_redis
from .memory import MemoryCoordination

LONGEST_SECONDS = 100 * 365 * 86_400
"""What lasts for longer lasts for ever as far as anybody here can tell."""

SPEND = Script(f"""{USE_ONE}
return tostring(use_one(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])))
""")

HOLD = Script("""
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""")


class RedisCoordination:
    """Values, budgets and holds that end by the clock of Redis."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._name = token_hex(8)
        self._alone = MemoryCoordination()

    async def put(self, key: str, value: str, ttl: float) -> None:
        """Keep a value for `ttl` seconds."""
        await self._client.ask("SET", self._key("value", key), value, "PX", _milliseconds(ttl))

    async def get(self, keys: Sequence[str]) -> Sequence[str | None]:
        """The values that are kept now."""
        if not keys:
            return []
        values = await self._client.ask("MGET", *(self._key("value", key) for key in keys))
        return [None if value is None else value.decode() for value in values]

    async def take(self, key: str) -> str | None:
        """The value, which is gone afterwards."""
        value = await self._client.ask("GETDEL", self._key("value", key))
        return None if value is None else str(value.decode())

    async def spend(self, wants: Sequence[Want]) -> Sequence[float]:
        """Use up one of each budget that has one left; while Redis is away each node has its own.

        Who publishes to a history elsewhere, or signs in, needs nothing else of Redis: that goes
        on, and a user may then do it as often on each node as otherwise on all of them together.
        """
        asked = [
            self._client.run(SPEND, (self._key("budget", want.key),), want.rate, want.burst)
            for want in wants
        ]
        try:
            return [float(wait) for wait in await gather(*asked)]
        except Unavailable:
            return await self._alone.spend(wants)

    async def hold(self, key: str, ttl: float) -> bool:
        """Hold the key, or hold it for longer, unless another node does."""
        held = self._client.run(HOLD, (self._key("holder", key),), self._name, _milliseconds(ttl))
        return bool(await held)

    def _key(self, kind: str, key: str) -> str:
        return f"{self._client.prefix}:{kind}:{key}"


def _milliseconds(seconds: float) -> int:
    return max(1, round(min(seconds, LONGEST_SECONDS) * 1000))


@asynccontextmanager
async def open_coordination() -> AsyncIterator[RedisCoordination]:
    """The state that the nodes on one Redis share."""
    async with open_redis() as client:
        yield RedisCoordination(client)
