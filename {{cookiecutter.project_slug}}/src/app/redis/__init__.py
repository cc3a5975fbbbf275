"""Redis: where it is, what things are called there, and many commands in one round trip."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..background import open_background
from .client import RedisClient
from .commands import Argument, Script
from .connecting import Attempts, Connect, RedisSettings, connector

__all__ = [
    "USE_ONE",
    "Argument",
    "Attempts",
    "Connect",
    "RedisClient",
    "RedisSettings",
    "Script",
    "connector",
    "open_redis",
    "topic",
]

USE_ONE = """
local function use_one(key, rate, burst)
    local time = redis.call('TIME')
    local now = time[1] + time[2] / 1e6
    local full_at = math.max(tonumber(redis.call('GET', key) or 0), now)
    -- The clock of the server may have gone back since.
    local later = math.min(full_at, now + burst / rate) + 1 / rate
    local wait = later - now - burst / rate
    if wait > 1e-6 then return wait end
    redis.call('SET', key, string.format('%.6f', later), 'PX', math.ceil((later - now) * 1000))
    return 0
end
"""
"""Lua for `budget.use_one`: a budget is kept as the time at which it is full again."""


def topic(prefix: str, channel: str) -> str:
    """What Redis calls a channel of ours; the names of channels have no braces."""
    return f"{prefix}:{channel}"


@asynccontextmanager
async def open_redis(settings: RedisSettings | None = None) -> AsyncIterator[RedisClient]:
    """A client of one's own, whether or not Redis is there yet."""
    settings = settings or RedisSettings()
    client = RedisClient(connector(settings), settings.redis_prefix, settings.redis_seconds)
    try:
        async with open_background() as background:
            background.keep("redis", client.carry)
            yield client
    finally:
        client.give_up()
