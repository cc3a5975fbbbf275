"""Connections to Redis, however often it takes: what may be used, and what is said of it."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from random import uniform
from time import monotonic
from typing import Annotated

import structlog
from pydantic import Field
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ResponseError

from ..settings import Positive, Section
from .address import is_address, pool_of

log = structlog.stdlib.get_logger(__name__)

OLDEST = 7
"""The oldest version whose commands are all there."""

RETRY_SECONDS = 1.0
"""The longest pause between two attempts."""
WORTH_SECONDS = 0.1
"""A connection that did its work for so long was worth it: the next is tried without a pause."""
QUIET_SECONDS = 10.0
"""How often at most it is said that a connection is gone, where many are, one after another."""

_GONE: set[str] = set()
"""What was said to be away, and not to be back."""
_SAID: dict[str, float] = {}
"""When that was said last."""

Connect = Callable[[], Awaitable[AbstractConnection]]
"""Opens a connection of one's own; raises RedisError or OSError."""


class RedisSettings(Section):
    """Where Redis is, what its keys begin with, and how long anything may take there."""

    redis_url: str
    redis_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] = "app"
    redis_seconds: Positive = 2
    redis_lossless: bool = False

    def complaints(self) -> Iterator[str]:
        """An address that cannot be understood."""
        if not is_address(self.redis_url):
            yield (
                "APP_REDIS_URL is no address of Redis: say, for example,"
                " redis://user:password@localhost:6379/0"
                " or redis+sentinel://user:password@localhost:26379,other:26379/name/0"
            )


class Attempts:
    """Spaces the attempts to connect; tells once that it is gone, and once that it is back.

    Once in a process, however many connections there are.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._pause = 0.0
        self._worked_at = math.inf

    async def pause(self) -> None:
        """Wait before an attempt, the longer the more of them were in vain."""
        await asyncio.sleep(uniform(0, self._pause))
        self._pause = min(2 * self._pause + 0.05, RETRY_SECONDS)

    def worked(self) -> None:
        """Note that the connection does what it is for."""
        self._worked_at = monotonic()
        if self._what in _GONE:
            _GONE.remove(self._what)
            log.info("connected again", to=self._what)

    def failed(self, error: BaseException) -> None:
        """Note that there is none, or none any more."""
        now = monotonic()
        if now - self._worked_at > WORTH_SECONDS:
            self._pause = 0.0
        self._worked_at = math.inf
        if self._what not in _GONE and now - _SAID.get(self._what, -math.inf) > QUIET_SECONDS:
            _GONE.add(self._what)
            _SAID[self._what] = now
            log.warning("no connection", to=self._what, error=str(error) or "it does not answer")


def connector(settings: RedisSettings) -> Connect:
    """What opens connections as the settings say, to servers that take what is written."""
    pool = pool_of(settings.redis_url, settings.redis_seconds)

    async def connect() -> AbstractConnection:
        connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await _inspect(connection)
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # On Python 3.11 redis-py may lose a cancellation while it asks Sentinels.
                raise asyncio.CancelledError
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            if isinstance(pool, SentinelConnectionPool):
                # They are asked anew each time: what they know changes.
                await pool.sentinel_manager.aclose()
        return connection

    return connect


async def _inspect(connection: AbstractConnection) -> None:
    """Refuse a server that cannot do its work now; name one that is too old."""
    await connection.send_command("INFO", check_health=False)
    try:
        said = (await connection.read_response(timeout=math.inf)).decode()
    except ResponseError:
        # Who may not ask goes on, and sees what is refused.
        return
    known = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    if known.get("loading") == "1":
        raise Lost("it is loading its data")
    if known.get("role") == "slave":
        raise Lost("it is a replica, which takes no writes")
    _judge(known.get("redis_version", ""))


@cache
def _judge(version: str) -> None:
    """Say it once in a process."""
    major = version.partition(".")[0]
    if major.isdigit() and int(major) < OLDEST:
        log.error("redis is too old", version=version, needed=OLDEST)
