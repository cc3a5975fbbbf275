"""PostgreSQL: a server that all processes share."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import URL, Connection, event, func, make_url, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from .base import EARLIER, Database, DatabaseSettings

T = TypeVar("T")

NOT_GRANTED = "42501"
MIGRATING = 0x6D696772
"""The number of the lock that is held while tables are changed."""


class PostgresqlSettings(DatabaseSettings):
    """`APP_DATABASE_URL`: where the server is."""

    database_url: str

    def complaints(self) -> Iterator[str]:
        """Refuse the address of anything else."""
        yield from super().complaints()
        if _server(self.database_url) is None:
            yield (
                "APP_DATABASE_URL is no address of PostgreSQL: say, for example,"
                " postgresql://user:password@localhost/service"
            )


class PostgresqlDatabase(Database):
    """A pool of connections to a server."""

    def __init__(self, settings: PostgresqlSettings, url: URL, seconds: float) -> None:
        patience = settings.database_seconds
        milliseconds = str(int(1000 * EARLIER * seconds))
        engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg"),
            pool_size=settings.database_pool,
            max_overflow=0,
            pool_timeout=patience,
            pool_pre_ping=True,
            hide_parameters=True,
            # What locks a row sees what the one before did there, whatever the server's default is.
            isolation_level="READ COMMITTED",
            connect_args={
                "timeout": patience,
                "command_timeout": seconds,
                "server_settings": {
                    "application_name": "app",
                    "statement_timeout": milliseconds,
                    "lock_timeout": milliseconds,
                    "idle_in_transaction_session_timeout": milliseconds,
                },
            },
        )
        super().__init__(engine, settings, seconds)
        event.listen(engine.sync_engine, "close", _cut)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        async with self.engine.begin() as connection:
            return await connection.run_sync(work)

    _write = _read

    def _is_mistake(self, error: DBAPIError) -> bool:
        # What an administrator has not granted yet is away like a server that is.
        return super()._is_mistake(error) and getattr(error.orig, "sqlstate", "") != NOT_GRANTED

    async def _change(self, work: Callable[[Connection], T]) -> T:
        def alone(connection: Connection) -> T:
            connection.execute(select(func.pg_advisory_xact_lock(MIGRATING)))
            return work(connection)

        return await self._write(alone)


@asynccontextmanager
async def open_database(seconds: float | None = None) -> AsyncIterator[PostgresqlDatabase]:
    """The server that the settings name; work there may take `seconds` instead of theirs."""
    settings = PostgresqlSettings()
    url = _server(settings.database_url)
    if url is None:
        raise ValueError(*settings.complaints())
    database = PostgresqlDatabase(settings, url, seconds or settings.database_seconds)
    try:
        yield database
    finally:
        await database.engine.dispose()


def _cut(connection: DBAPIConnection, record: object) -> None:
    """Close a connection without taking leave: the server might not answer that."""
    connection.driver_connection.terminate()


def _server(text: str) -> URL | None:
    """The address of a server; None if it is something else."""
    try:
        url = make_url(text.replace("postgres://", "postgresql://", 1))
    except ArgumentError:
        return None
    return url if url.get_backend_name() == "postgresql" else None
