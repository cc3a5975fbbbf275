"""SQLite: one file, which several processes of one machine may share."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from .base import EARLIER, Database, DatabaseSettings

T = TypeVar("T")

READERS = 4
BEGIN_WRITING = "BEGIN IMMEDIATE"
TRY_SECONDS = 0.003
"""Who waits for the lock tries at least so often, since there is no queue: the lock is free for
moments only, and SQLite by itself soon tries every 0.1 s. Of four that write all the time, one then
waits for tens of turns of the others, not for hundreds or a thousand."""


class SqliteSettings(DatabaseSettings):
    """`APP_DATABASE_URL`: where the file is."""

    database_url: str = "sqlite:///service.db"

    def complaints(self) -> Iterator[str]:
        """Refuse the address of anything that is no file."""
        yield from super().complaints()
        if _file(self.database_url) is None:
            yield (
                "APP_DATABASE_URL is no file of SQLite: say, for example, sqlite:///service.db, or"
                " sqlite:////var/lib/service/service.db for a path from the root"
            )


class SqliteDatabase(Database):
    """A file that one thread writes to and some read from."""

    def __init__(self, settings: SqliteSettings, url: URL, seconds: float) -> None:
        patience = EARLIER * settings.database_seconds
        options: dict[str, Any] = {
            # SQLAlchemy begins transactions, not the driver.
            "connect_args": {"isolation_level": None, "timeout": patience},
            "hide_parameters": True,
            "pool_timeout": patience,
            "pool_size": settings.database_pool,
            "max_overflow": 0,
        }
        stepwise = url.set(drivername="sqlite+aiosqlite")
        sessions = create_async_engine(stepwise, **options)
        self._looking = create_async_engine(stepwise, **options)
        self._looking.sync_engine.update_execution_options(reads=True)
        _prepare(sessions.sync_engine, patience)
        _prepare(self._looking.sync_engine, patience)
        super().__init__(sessions, settings, seconds, reading=self._looking)
        direct = url.set(drivername="sqlite+pysqlite")
        options["connect_args"] |= {"check_same_thread": False}
        self._writing = create_engine(direct, **options | {"pool_size": 1})
        self._reading = create_engine(direct, **options | {"pool_size": READERS})
        self._reading.update_execution_options(reads=True)
        self._changing = create_engine(direct, **options | {"pool_size": 1})
        _prepare(self._writing, patience)
        _prepare(self._reading, patience)
        # A table is changed by copying it: what refers to it would go with the old one.
        _prepare(self._changing, patience, foreign_keys=False)
        self._writer = ThreadPoolExecutor(1, "history-writer")
        self._readers = ThreadPoolExecutor(READERS, "history-reader")

    async def _read(self, work: Callable[[Connection], T]) -> T:
        # One hop to a thread; the driver of the sessions hops at every step.
        return await _hop(self._readers, _transact, self._reading, work)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        try:
            return await _hop(self._writer, _transact, self._writing, work)
        except DBAPIError as error:
            if _is_busy(error):
                # The whole file is locked: who came meanwhile need not wait as long again.
                self.reachable = False
            raise

    async def _change(self, work: Callable[[Connection], T]) -> T:
        # Whoever writes at all is alone.
        return await _hop(self._writer, _transact, self._changing, work)

    def _is_mistake(self, error: DBAPIError) -> bool:
        code = getattr(error.orig, "sqlite_errorcode", None)
        # Where the file cannot be written to, BEGIN says so: this was a session for reading.
        refused = code == sqlite3.SQLITE_READONLY and error.statement != BEGIN_WRITING
        return refused or code == sqlite3.SQLITE_ERROR

    async def dispose(self) -> None:
        """Close what the sessions had."""
        await self.engine.dispose()
        await self._looking.dispose()

    def close(self) -> None:
        """Wait for what the threads are at, which ends soon."""
        for threads in (self._writer, self._readers):
            threads.shutdown(cancel_futures=True)
        for engine in (self._writing, self._reading, self._changing):
            engine.dispose()


@asynccontextmanager
async def open_database(seconds: float | None = None) -> AsyncIterator[SqliteDatabase]:
    """The file that the settings name, made where there is none; work there may take `seconds`."""
    settings = SqliteSettings()
    url = _file(settings.database_url)
    if url is None:
        raise ValueError(*settings.complaints())
    database = SqliteDatabase(settings, url, seconds or settings.database_seconds)
    try:
        yield database
    finally:
        await database.dispose()
        await asyncio.to_thread(database.close)


def _file(text: str) -> URL | None:
    """The address of a file; None if it is something else."""
    try:
        url = make_url(text)
    except ArgumentError:
        return None
    nowhere = url.database in (None, "", ":memory:")
    return None if nowhere or url.get_backend_name() != "sqlite" else url


async def _hop(threads: ThreadPoolExecutor, call: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, call, *arguments)


def _transact(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.begin() as connection:
        return work(connection)


def _prepare(engine: Engine, patience: float, *, foreign_keys: bool = True) -> None:
    """Have every connection write ahead, safely, and every transaction take the lock it needs."""
    path, reads = str(engine.url.database), engine.get_execution_options().get("reads", False)
    pragmas = [
        "journal_mode = wal",
        "synchronous = full",
        f"foreign_keys = {'on' if foreign_keys else 'off'}",
    ]
    if reads:
        pragmas.append("query_only = on")
    else:
        pragmas.append(f"busy_timeout = {1000 * TRY_SECONDS:.0f}")

    @event.listens_for(engine, "connect")
    def connected(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        record.info["file"] = _identity(path)

    @event.listens_for(engine, "checkout")
    def taken(connection: DBAPIConnection, record: ConnectionPoolEntry, proxy: object) -> None:
        # A file that was moved, deleted or replaced would still take what nobody finds again.
        if record.info["file"] != _identity(path):
            raise DisconnectionError("the file is another one")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        if reads:
            connection.exec_driver_sql("BEGIN")
            return
        end = monotonic() + patience
        while True:
            try:
                # One that reads first and writes then would be refused if another wrote in between.
                connection.exec_driver_sql(BEGIN_WRITING)
            except OperationalError as error:
                if not _is_busy(error) or monotonic() > end:
                    raise
            else:
                return


def _is_busy(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _identity(path: str) -> tuple[int, int] | None:
    """Which file it is, whatever it is called."""
    try:
        found = os.stat(path)  # noqa: PTH116 - at every transaction, so the quicker one
    except OSError:
        return None
    return found.st_dev, found.st_ino
