"""Keeps one connection to the service: opens it, proves who is there, replaces it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from .auth.base import Auth
from .backoff import Backoff, Clock
from .connection import Connection, Receive, open_connection
from .errors import Closed, CommandRefused, ConnectionLost
from .events import Frame

GOOD_SECONDS = 10.0
"""A connection that lasted so long was good: the next back-off begins anew."""

CREDENTIAL_EXPIRED = 4100
"""The close code that asks for another credential; it comes at connect, too."""

log = logging.getLogger(__name__)


class Connector:
    """One connection after another, each said to be current once the server has welcomed us.

    A lost one is replaced after a back-off. When the server asks us to move, the old one stays
    current until the new one is or until it ends; so long no refusal of a new one is final.
    Before a credential ends, it is refreshed on its connection. `changed` is called when the
    current one changes or is lost, and at the end.
    """

    def __init__(
        self,
        url: str,
        auth: Auth,
        options: Mapping[str, Any],
        *,
        receive: Receive,
        changed: Callable[[], None],
        random: Callable[[], float],
        clock: Clock,
    ) -> None:
        self.current: Connection | None = None
        self.failure: Exception | None = None
        """Why there will not be another connection."""
        self._url = url
        self._auth = auth
        self._options = options
        self._receive = receive
        self._changed = changed
        self._random = random
        self._backoff = Backoff(random)
        self._clock = clock
        self._news = asyncio.Event()
        self._tasks: asyncio.TaskGroup

    async def connection(self) -> Connection:
        """The current connection, once there is one; raises what ended the client."""
        while self.current is None:
            self.check()
            self._news.clear()
            await self._news.wait()
        return self.current

    def check(self) -> None:
        """Raise what ended the client, if anything did."""
        if self.failure is not None:
            raise self.failure.with_traceback(None)

    async def ask(self, type: str, fields: Frame) -> Frame:
        """The reply to a command that may be sent again, over lost connections."""
        while True:
            with suppress(ConnectionLost):
                return await self.insist(await self.connection(), type, fields)

    async def insist(self, connection: Connection, type: str, fields: Frame) -> Frame:
        """The reply to a command on one connection, sent again while the refusal may pass."""
        backoff = Backoff(self._random)
        while True:
            try:
                return await connection.command(type, **fields)
            except CommandRefused as refused:
                if not refused.retryable:
                    raise
                after = refused.retry_after or 0.0
            # A random part on top: many may wait for the same budget.
            await self._clock.sleep(after + backoff.next())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do some work beside the connection; it ends with the client at the latest."""
        self._tasks.create_task(work)

    def end(self, failure: Exception) -> None:
        """Have every call raise this from now on, unless something else ended the client before."""
        if self.failure is None:
            self.failure = failure
            self._use(None)

    async def run(self) -> None:
        """Keep connected until cancelled, or until coming back is of no use."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                try:
                    await self._keep_connected()
                except Exception as error:
                    self.end(error)
                    raise
        except* Exception as errors:  # noqa: BLE001  whatever it is, every caller is told
            self.end(errors.exceptions[0])

    async def _keep_connected(self) -> None:
        delay = 0.0
        while True:
            await self._clock.sleep(delay)
            try:
                connection = await self._open()
                self._adopt(connection)
                delay = await self._live(connection)
            except ConnectionLost as lost:
                delay = self._delay_after(lost)

    async def _open(self) -> Connection:
        """A connection on which the server has welcomed us. Raises ConnectionLost."""
        try:
            url, headers = await self._auth.prepare(self._url)
        except OSError as error:
            raise ConnectionLost(1006, f"no credential: {error}") from error
        connection = await open_connection(url, headers, self._options, self._hear, self._clock)
        self.spawn(self._attend(connection))
        try:
            await self._auth.prove(connection)
        except BaseException as error:
            connection.abort()
            if isinstance(error, CommandRefused) and (error.retryable or self.current):
                raise ConnectionLost(1013, str(error), retry_after=error.retry_after) from error
            raise
        return connection

    async def _attend(self, connection: Connection) -> None:
        await connection.run()
        if connection is self.current:
            self._use(None)

    def _hear(self, connection: Connection, frame: Frame) -> None:
        """Pass on what is said in channels."""
        if frame["type"] == "expiring":
            self.spawn(self._refresh(connection))
        else:
            self._receive(connection, frame)

    async def _refresh(self, connection: Connection) -> None:
        """Refresh the credential of a connection, tried again only while a refusal may pass."""
        backoff = Backoff(self._random)
        while connection.lost is None:
            refused: CommandRefused | ConnectionLost
            try:
                await self._auth.refresh(self._url, connection)
                return
            except OSError as error:
                refused = ConnectionLost(1006, f"no credential: {error}")
            except (CommandRefused, ConnectionLost) as error:
                refused = error
            log.info("not refreshed (%s)", refused)
            if not refused.retryable:
                return
            await self._clock.sleep((refused.retry_after or 0.0) + backoff.next())

    def _adopt(self, connection: Connection) -> None:
        """Make this the current connection and leave the one before."""
        if connection.lost is not None:
            raise connection.lost
        if self.current is not None:
            self.spawn(self.current.close())
        self._use(connection)

    async def _live(self, connection: Connection) -> float:
        """Wait until the server asks us to move, and return the delay. Raises ConnectionLost."""
        began = self._clock.now()
        try:
            return await connection.departure
        finally:
            if self._clock.now() - began >= GOOD_SECONDS:
                self._backoff.reset()

    def _delay_after(self, lost: ConnectionLost) -> float:
        """How long to wait before another connection; raises Closed where that is of no use."""
        final = lost.final or (lost.code == CREDENTIAL_EXPIRED and not self._auth.renew())
        if final and self.current is None:
            raise Closed(lost.code, lost.reason) from lost
        # A random part on top: many may have been told to stay away for the same time.
        delay = (lost.retry_after or 0.0) + self._backoff.next()
        log.info("connection lost (%s), another in %.1f s", lost, delay)
        return delay

    def _use(self, connection: Connection | None) -> None:
        self.current = connection
        self._changed()  # before any command goes out, subscriptions are on their way
        self._news.set()
