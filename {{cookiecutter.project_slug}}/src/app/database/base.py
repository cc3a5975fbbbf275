"""The contract of a database: operations in bounded time, and whether there can be any now."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import structlog
from sqlalchemy import Connection, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from ..protocol.errors import Unavailable
from ..settings import Count, Positive, Section
from .failures import connect, is_of_a_table, is_of_the_data, said
from .migration import complaint, head, is_behind, revision, touch, upgrade

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

LOOK_SECONDS = 2.0
"""How often it is tried whether the database answers."""
EARLIER = 0.8
"""The database itself gives up after this part of the time: then its connection stays good."""


class DatabaseSettings(Section):
    """How many connections to the database there are, and how long anything may take there."""

    database_pool: Count = 5
    database_seconds: Positive = 5

    def complaints(self) -> Iterator[str]:
        """Migrations lead to one revision."""
        if found := complaint():
            yield found


class Database(ABC):
    """One database; nothing holds a connection of it for longer than one operation takes."""

    def __init__(
        self,
        engine: AsyncEngine,
        settings: DatabaseSettings,
        seconds: float,
        reading: AsyncEngine | None = None,
    ) -> None:
        """Sessions that only read are of another engine where the database has one for them."""
        self.engine = engine
        self.in_production = settings.in_production
        self.seconds = seconds
        self.reachable = True
        """Whether it did what was asked when it was last looked at."""
        self.migrated = False
        """Whether its tables are those of this code, or newer: a deploy migrates first."""
        self._doubted = False
        """Something failed since then, so that it answers is not enough."""
        self._told: tuple[bool, bool] | None = None
        self._sessions = {
            False: async_sessionmaker(reading or engine, expire_on_commit=False),
            True: async_sessionmaker(engine, expire_on_commit=False),
        }
        for each in (engine, reading or engine):
            event.listen(each.sync_engine, "do_connect", connect)

    async def run(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        """Do some work in a transaction, off the event loop's way; committed on return.

        Raises Unavailable in bounded time; then it may have been committed or not. What the data
        itself is to blame for comes as SQLAlchemy's DataError or IntegrityError. While the database
        is known to be away a write is refused at once, so that none waits behind those that fail.
        """
        if writes and not self.reachable:
            raise Unavailable
        return await self._do(work, writes=writes)

    @asynccontextmanager
    async def session(self, *, writes: bool = False) -> AsyncIterator[AsyncSession]:
        """A session for one operation, which is over after APP_DATABASE_SECONDS at the latest.

        What it did is kept if it says `await session.commit()`. One that is to write says so at
        once, since it may keep others from writing until it is over. Its steps raise as `run` does.
        """
        if writes and not self.reachable:
            raise Unavailable
        bound = asyncio.timeout(self.seconds)
        try:
            with self._translated():
                async with bound, self._sessions[writes]() as session:
                    yield session
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise self._unavailable(error) from error

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Know how the database does; in development bring it up to date by itself."""
        await self.look()
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def look(self) -> None:
        """Find out whether the database can be used, and whether its tables are of today.

        In development it is brought up to date here; where that fails, it stays as it was.
        """
        doubted, self._doubted = self._doubted, False
        try:
            here = await self._do(revision)
            if is_behind(here) and not self.in_production:
                await self.upgrade()
                here = head()
            elif doubted and here is not None:
                await self._do(touch, writes=True)
            self.reachable, self.migrated = True, not is_behind(here)
        except Unavailable:
            self.reachable = False
        except DBAPIError as error:
            self.reachable, self.migrated = True, False
            log.error("a migration is wrong", said=said(error))
        self._tell()

    async def upgrade(self, to: str = "head") -> None:
        """Bring the tables up to a revision."""
        await self.change(lambda connection: upgrade(connection, to))

    async def change(self, work: Callable[[Connection], T]) -> T:
        """Do what changes the tables, one process at a time; a mistake there is SQLAlchemy's."""
        with self._translated(OSError, mistakes=True):
            async with asyncio.timeout(self.seconds):
                return await self._change(work)

    async def _do(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        with self._translated(OSError):
            async with asyncio.timeout(self.seconds):
                return await (self._write if writes else self._read)(work)

    @abstractmethod
    async def _read(self, work: Callable[[Connection], T]) -> T: ...

    @abstractmethod
    async def _write(self, work: Callable[[Connection], T]) -> T: ...

    @abstractmethod
    async def _change(self, work: Callable[[Connection], T]) -> T: ...

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception:
                log.exception("the database could not be brought up to date")

    def _tell(self) -> None:
        """Log how the database does, when that has changed."""
        state = self.reachable, self.migrated
        if state == self._told:
            return
        self._told = state
        where = self.engine.url.render_as_string(hide_password=True)
        log.info("database", at=where, reachable=self.reachable, migrated=self.migrated)
        if self.reachable and not self.migrated:
            log.warning("the database is not up to date: run python -m app migrate")

    @contextmanager
    def _translated(
        self, others: type[Exception] = PoolTimeout, *, mistakes: bool = False
    ) -> Iterator[None]:
        """Say Unavailable for whatever is neither the data's fault nor that of what was asked.

        `others` is what is not SQLAlchemy's and means the database here all the same.
        """
        try:
            yield
        except (DataError, IntegrityError):
            raise
        except DBAPIError as error:
            if is_of_the_data(error):
                raise DataError(error.statement, error.params, error.orig or error) from None
            if self._is_mistake(error) and (mistakes or not self._may_lack(error)):
                raise
            raise self._unavailable(error) from error
        except (PoolTimeout, others) as error:
            raise self._unavailable(error) from error

    def _is_mistake(self, error: DBAPIError) -> bool:
        """Whether what was asked is no SQL, or asks for what is not there."""
        return isinstance(error, ProgrammingError)

    def _may_lack(self, error: DBAPIError) -> bool:
        """Whether what is not there comes with the next migration."""
        return not self.migrated or is_of_a_table(error)

    def _unavailable(self, error: BaseException) -> Unavailable:
        self._doubted = True
        log.warning("database unavailable", why=type(error).__name__, said=said(error))
        return Unavailable()
