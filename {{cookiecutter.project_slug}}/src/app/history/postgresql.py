"""Keeps history in PostgreSQL."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from time import time

from sqlalchemy import Connection

from ..database.postgresql import open_database
from .batch import Key, Row
from .commands import commands
from .sql import SqlHistory

history_commands = commands(open_database)

LOCK = "SELECT name, epoch, top FROM channels WHERE name = ANY ($1) ORDER BY name FOR UPDATE"
KNOWN = (
    'SELECT p.channel, p.sender, p.key, p."offset", p.digest, p.body'
    " FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (channel, sender, key)"
    " JOIN publications AS p USING (channel, sender, key)"
)
STORE = """
WITH stored AS (
    INSERT INTO publications
        (channel, "offset", message_id, sender, body, key, digest, stored_at)
    SELECT rows.*, $8::timestamptz
    FROM unnest(
        $1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[]
    ) AS rows
)
UPDATE channels SET top = new.top, oldest_at = coalesce(oldest_at, $8)
FROM unnest($9::text[], $10::bigint[]) AS new (name, top) WHERE channels.name = new.name
"""


class PostgresqlStatements:
    """The statements of a batch; a column goes into one as an array."""

    def lock(self, connection: Connection, names: Sequence[str]) -> Iterable[tuple[str, str, int]]:
        """Row by row, in their order."""
        return connection.exec_driver_sql(LOCK, (names,))

    def known(
        self, connection: Connection, keys: Sequence[Key]
    ) -> Iterable[tuple[str, str, str, int, bytes | None, str]]:
        """By the index on the keys."""
        return connection.exec_driver_sql(KNOWN, tuple(zip(*keys, strict=True)))

    def store(
        self, connection: Connection, rows: Sequence[Row], tops: Mapping[str, int], now: datetime
    ) -> None:
        """All in one statement."""
        columns = (*zip(*rows, strict=True), now, list(tops), list(tops.values()))
        connection.exec_driver_sql(STORE, columns)


@asynccontextmanager
async def open_history(clock: Callable[[], float] = time) -> AsyncIterator[SqlHistory]:
    """The history that all processes on this database share."""
    async with open_database() as database, database.watched():
        yield SqlHistory(database, PostgresqlStatements(), clock)
