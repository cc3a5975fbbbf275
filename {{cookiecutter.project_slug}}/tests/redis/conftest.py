"""A server of the tests here, and what every one of them begins with."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.redis import RedisClient, RedisSettings, connecting, open_redis

from ..cluster.store import Keeps, Store, own_store

SECONDS = 0.5
"""How long the clients here wait."""


@pytest.fixture(autouse=True)
def _anew() -> None:
    """What a process says once, it says once in each test."""
    connecting._GONE.clear()
    connecting._SAID.clear()
    connecting._judge.cache_clear()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A server that a test may harm."""
    with own_store(tmp_path, Keeps.NOTHING) as store:
        yield store


def settings(url: str, seconds: float = SECONDS) -> RedisSettings:
    """How a server is used here."""
    return RedisSettings(redis_url=url, redis_prefix="test", redis_seconds=seconds)


def of_user(store: Store, user: str, port: int | None = None) -> str:
    """The server's URL for somebody; the password holds what a URL cannot."""
    return f"redis://{user}:canary%2F%40@127.0.0.1:{port or urlsplit(store.url).port}/0"


@pytest.fixture
async def client(store: Store) -> AsyncIterator[RedisClient]:
    """A client of the server."""
    async with open_redis(settings(store.url)) as client:
        yield client
