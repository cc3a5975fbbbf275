"""A file in the folder of the service."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import create_engine

from app.database.migration import upgrade

NEEDED = ()


def own_database(folder: Path, *, migrated: bool = True) -> dict[str, str]:
    """The settings for a file of one's own, which is there unless nothing was migrated yet."""
    file = folder / ("service.db" if migrated else "empty.db")
    url = f"sqlite:///{file}"
    if migrated and not file.exists():
        engine = create_engine(url)
        with engine.begin() as connection:
            upgrade(connection)
        engine.dispose()
    return {"APP_DATABASE_URL": url}


async def activity(folder: Path) -> list[str]:
    """Nothing, or that somebody reads or writes: then not all that was written ahead can be moved.

    Who does neither is not seen.
    """
    with closing(sqlite3.connect(folder / "service.db", timeout=0)) as connection:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return ["in transaction"] if busy else []


def nowhere(folder: Path) -> dict[str, str]:
    """The settings for a file in a folder that is not there."""
    return {"APP_DATABASE_URL": f"sqlite:///{folder / 'nowhere' / 'service.db'}"}
