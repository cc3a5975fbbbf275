"""What is particular to history on a server."""

import asyncio
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import Connection, text

from app.history.postgresql import KNOWN, open_history

from ..database.commands import command
from ..databases import own_database
from ..service import PATIENCE
from .drafts import draft

STORED = 40_000
"""Of a few it is right to read them all."""


async def test_a_batch_finds_its_keys_by_an_index() -> None:
    """Otherwise each would cost more the more is stored."""
    names = [str(number) for number in range(50)]
    keys = (["chat:lobby"] * 50, ["ann"] * 50, names)

    def plan(connection: Connection) -> str:
        connection.execute(text("ANALYZE publications"))
        return " / ".join(connection.exec_driver_sql(f"EXPLAIN {KNOWN}", keys).scalars())

    async with open_history() as history:
        await history.append([draft("chat:lobby", "x", key=str(n)) for n in range(STORED)])
        found = await history.database.run(plan, writes=True)
    assert "uq_publications_channel_sender_key" in found
    assert "Seq Scan" not in found


async def test_new_epochs_wait_for_whoever_appends_and_not_the_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows lie in the order in which they were written; everybody locks them by name."""
    database = own_database(tmp_path)
    monkeypatch.setenv("APP_DATABASE_URL", database["APP_DATABASE_URL"])
    lock = "SELECT * FROM channels WHERE name = $1 FOR UPDATE"
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    other = await asyncpg.connect(database["APP_DATABASE_URL"])
    async with asyncio.timeout(PATIENCE), open_history() as history:
        for name in ("test:b", "test:a"):
            await history.append([draft(name, "x")])
        async with other.transaction():
            await other.fetch(lock, "test:a")
            rotating = asyncio.create_task(
                asyncio.to_thread(command, tmp_path, database, "rotate-epochs")
            )
            while not await history.database.run(lambda c: c.execute(waiting).scalar_one()):
                await asyncio.sleep(0.02)
            await other.fetch(lock, "test:b")
        done = await rotating
    await other.close()
    assert (done.returncode, "epoch: 2;" in done.stdout) == (0, True), done.stderr
