"""Keeps history in a file of SQLite."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import time

from sqlalchemy import Connection

from ..database.sqlite import open_database
from .batch import Key, Row
from .commands import commands
from .sql import SqlHistory

history_commands = commands(open_database)

LOCK = (
    "SELECT name, epoch, top FROM channels"
    " WHERE name IN (SELECT value FROM json_each(?)) ORDER BY name"
)
# With `(channel, sender, key) IN (VALUES ...)` the whole table would be read.
KNOWN = (
    'SELECT p.channel, p.sender, p.key, p."offset", p.digest, p.body'
    " FROM json_each(?) AS wanted CROSS JOIN publications AS p"
    " ON p.channel = json_extract(wanted.value, '$[0]')"
    " AND p.sender = json_extract(wanted.value, '$[1]')"
    " AND p.key = json_extract(wanted.value, '$[2]')"
)
STORE = (
    'INSERT INTO publications (channel, "offset", message_id, sender, body, key, digest, stored_at)'
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
ADVANCE = "UPDATE channels SET top = ?, oldest_at = coalesce(oldest_at, ?) WHERE name = ?"


class SqliteStatements:
    """The statements of a batch; a list goes into one as JSON."""

    def lock(self, connection: Connection, names: Sequence[str]) -> Iterable[tuple[str, str, int]]:
        """The whole file is locked already."""
        return connection.exec_driver_sql(LOCK, (json.dumps(names),))

    def known(
        self, connection: Connection, keys: Sequence[Key]
    ) -> Iterable[tuple[str, str, str, int, bytes | None, str]]:
        """By the index on the keys."""
        return connection.exec_driver_sql(KNOWN, (json.dumps(keys),))

    def store(
        self, connection: Connection, rows: Sequence[Row], tops: Mapping[str, int], now: datetime
    ) -> None:
        """Row by row, without leaving the driver."""
        # As SQLAlchemy writes it.
        stored_at = now.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
        connection.exec_driver_sql(STORE, [(*row, stored_at) for row in rows])
        connection.exec_driver_sql(ADVANCE, [(top, stored_at, name) for name, top in tops.items()])


@asynccontextmanager
async def open_history(clock: Callable[[], float] = time) -> AsyncIterator[SqlHistory]:
    """The history that all processes on this database share."""
    async with open_database() as database, database.watched():
        yield SqlHistory(database, SqliteStatements(), clock)
