"""Carries out commands, all that wait in one round trip, each at most once."""

import asyncio
import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from ..protocol.errors import Unavailable
from .commands import REFUSALS, Argument, Asked, Script, packed
from .connecting import Attempts, Connect

log = structlog.stdlib.get_logger(__name__)

MOST_AT_ONCE, MOST_BYTES = 500, 1_048_576
"""How much shares a round trip, at most one command more: so none waits for many others."""
REPEAT_SECONDS = 60.0
"""How often the same refusal is told."""


class RedisClient:
    """Carries out commands in the order in which they were given, all that wait at a time.

    A command is sent once: where the connection is lost meanwhile, nobody knows whether it was
    carried out. While Redis is away each is refused at once.
    """

    def __init__(self, connect: Connect, prefix: str, seconds: float) -> None:
        self.prefix = prefix
        self.away = False
        """Whether the last attempt to reach it failed."""
        self._connect = connect
        self._seconds = seconds
        self._connection: AbstractConnection | None = None
        self._waiting: deque[Asked] = deque()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._attempts = Attempts("redis")
        self._known: set[Script] = set()
        """The scripts that were sent by this connection."""
        self._told: dict[str, float] = {}
        """When each kind of refusal was told."""

    def ask(self, *command: Argument) -> asyncio.Future[Any]:
        """Have a command carried out; the future has its answer, or Unavailable in bounded time.

        Any other error is a mistake in the command.
        """
        return self._submit(len(command), None, packed(*command))

    def run(
        self, script: Script, keys: tuple[str, ...], *arguments: Argument
    ) -> asyncio.Future[Any]:
        """The same with a script."""
        number = len(keys)
        return self._submit(3 + number + len(arguments), script, packed(number, *keys, *arguments))

    def _submit(self, length: int, script: Script | None, rest: bytes) -> asyncio.Future[Any]:
        latest = self._loop.time() + self._seconds
        asked = Asked(b"*%d\r\n" % length, script, rest, self._loop.create_future(), latest)
        if self.away:
            asked.settle(Unavailable())
        else:
            self._waiting.append(asked)
            self._wake.set()
        return asked.answer

    async def carry(self) -> None:
        """Carry out what is asked, until cancelled."""
        batch: list[Asked] = []
        try:
            while True:
                connection = self._connection or await self._reach()
                await self._wake.wait()
                try:
                    async with asyncio.timeout(self._seconds):
                        if await connection.can_read():
                            # What waits was not sent to it, and can go by another.
                            raise Lost("it hung up")
                        batch = self._next()
                        await self._exchange(connection, batch)
                except (RedisError, OSError) as error:
                    _refuse(batch)
                    await self._lose(error, gone=isinstance(error, TimeoutError))
        finally:
            _refuse(batch)
            self.give_up()
            await self._hang_up()

    def give_up(self) -> None:
        """Refuse what is asked, until Redis is reached again."""
        self.away = True
        _refuse(self._waiting)
        self._waiting.clear()
        self._wake.clear()

    async def _reach(self) -> AbstractConnection:
        """Connect, however often that has to be tried."""
        while self._connection is None:
            await self._attempts.pause()
            try:
                async with asyncio.timeout(self._seconds):
                    self._connection = await self._connect()
            except (RedisError, OSError) as error:
                await self._lose(error, gone=True)
        self._known.clear()
        self.away = False
        self._attempts.worked()
        return self._connection

    async def _lose(self, error: Exception, *, gone: bool) -> None:
        """Do without the connection; if Redis is gone with it, without Redis."""
        if gone:
            self.give_up()
        self._attempts.failed(error)
        await self._hang_up()

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    def _next(self) -> list[Asked]:
        """What is sent together; who has waited for too long by now is refused."""
        now, size = self._loop.time(), 0
        batch: list[Asked] = []
        while self._waiting and len(batch) < MOST_AT_ONCE and size < MOST_BYTES:
            asked = self._waiting.popleft()
            if asked.latest < now:
                asked.settle(Unavailable())
            else:
                batch.append(asked)
                size += len(asked.rest)
        if not self._waiting:
            self._wake.clear()
        return batch

    async def _exchange(self, connection: AbstractConnection, batch: Sequence[Asked]) -> None:
        answers = await _answers(connection, [self._command(asked) for asked in batch])
        unknown = [each for each, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            # Somebody made Redis forget its scripts.
            self._known.clear()
            again = await _answers(connection, [self._command(batch[each]) for each in unknown])
            for each, answer in zip(unknown, again, strict=True):
                answers[each] = answer
        for asked, answer in zip(batch, answers, strict=True):
            asked.settle(self._refused(answer) if isinstance(answer, ResponseError) else answer)
        for answer in answers:
            if isinstance(answer, ReadOnlyError):
                # It was the master once; who is now, is found by connecting again.
                raise answer

    def _command(self, asked: Asked) -> bytes:
        script = asked.script
        if script is None:
            return asked.head + asked.rest
        if script in self._known:
            return asked.head + script.by_name + asked.rest
        self._known.add(script)
        return asked.head + script.by_text + asked.rest

    def _refused(self, error: ResponseError) -> Exception:
        """What a caller gets for it; a kind that may pass is told now and then."""
        kind = error.status_code or str(error).partition(" ")[0]
        if kind not in REFUSALS:
            return error
        now = self._loop.time()
        if now > self._told.get(kind, -math.inf) + REPEAT_SECONDS:
            self._told[kind] = now
            log.error("redis refuses commands", kind=kind, error=str(error))
        return Unavailable()


async def _answers(connection: AbstractConnection, commands: Sequence[bytes]) -> list[Any]:
    await connection.send_packed_command(b"".join(commands), check_health=False)
    return [await _answer(connection) for _ in commands]


async def _answer(connection: AbstractConnection) -> Any:
    """The next answer, or how the command was refused."""
    try:
        return await connection.read_response(timeout=math.inf)
    except ResponseError as error:
        return error


def _refuse(those: Iterable[Asked]) -> None:
    for asked in those:
        asked.settle(Unavailable())
