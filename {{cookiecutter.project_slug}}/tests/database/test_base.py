"""How a database is looked after: what has to be done first, and what is said of it."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from app.database.base import Database
from app.database.migration import touch
from app.database.models import Room
from app.protocol.errors import Unavailable

from ..conftest import Connect
from ..databases import nowhere, own_database
from ..service import API_KEY, PATIENCE, running
from .commands import command
from .conftest import open_database
from .outage import LITTLE, SECONDS, until

SECRET = "a secret of 32 characters or more"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_in_production_a_command_brings_it_up_to_date_beside_the_service(
    tmp_path: Path, connect: Connect
) -> None:
    settings = own_database(tmp_path, migrated=False)
    production = {"APP_ENVIRONMENT": "production", "APP_JWT_SECRET": SECRET, **settings}
    production["APP_ALLOWED_ORIGINS"] = "https://app.example.com"
    with running(tmp_path, **production) as service:
        async with service.rest({"X-API-Key": API_KEY}) as http:
            answer = await http.get("/readyz")
            assert answer.status_code == 503
            said = "history is not up to date: run python -m app migrate"
            assert answer.json() == {"status": "unready", "reasons": [said]}
            path, body = "/api/channels/chat:lobby/messages", {"data": {"text": "x"}}
            assert service.log.count("not up to date: run python -m app migrate") == 1
            refused = await http.post(path, json=body)
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            done = await asyncio.to_thread(command, tmp_path, production, "migrate")
            assert done.returncode == 0, done.stderr
            await until(service, "ready")
            async with asyncio.timeout(PATIENCE):
                while not (await http.post(path, json=body)).is_success:
                    await asyncio.sleep(0.02)
            assert (await http.get(path)).json()["offset"] >= 1
        assert "Traceback" not in service.log


async def test_in_development_it_is_brought_up_to_date_by_itself(
    tmp_path: Path, connect: Connect
) -> None:
    with running(tmp_path, **own_database(tmp_path, migrated=False)) as service:
        wire = await connect(to=service)
        assert (await wire.ask(type="subscribe", channel="chat:lobby"))["type"] == "subscribed"
        assert await until(service, "ready") == []


async def test_a_revision_of_newer_code_is_no_reason_to_stop(database: Database) -> None:
    await database.upgrade()
    await database.run(_ahead, writes=True)
    await database.look()
    assert database.migrated


def _ahead(connection: Connection) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = 'from the future'"))


async def test_a_mistake_in_a_query_is_none_of_the_database(database: Database) -> None:
    """Whoever made it has to see it."""
    await database.look()
    with pytest.raises(SQLAlchemyError):
        await database.run(lambda connection: connection.execute(text("SELEC 1")))
    await database.look()
    assert database.reachable


async def test_tables_that_were_taken_away_are_an_outage(database: Database) -> None:
    await database.look()
    with pytest.raises(Unavailable):
        await database.run(lambda connection: connection.execute(text("SELECT 1 FROM nowhere")))
    assert database.reachable


async def test_a_write_is_not_tried_while_it_is_known_to_fail(database: Database) -> None:
    """Else all that is published would wait for one failure after another."""
    await database.look()
    database.reachable = False
    with pytest.raises(Unavailable):
        await database.run(lambda connection: pytest.fail("it was tried"), writes=True)
    await database.look()
    assert await database.run(lambda connection: True, writes=True)


async def test_what_is_not_committed_is_not_kept(database: Database) -> None:
    await database.upgrade()
    for commits in (False, True):
        async with database.session(writes=True) as session:
            assert await session.get(Room, "chat:x") is None
            session.add(Room(channel="chat:x", title="x", created_at=NOW, created_by="ann"))
            await (session.commit if commits else session.flush)()
    async with database.session() as session:
        room = await session.get(Room, "chat:x")
        assert room is not None and room.created_at == NOW


async def test_what_only_reads_keeps_nobody_from_writing(database: Database) -> None:
    await database.upgrade()
    await database.look()
    async with database.session() as session:
        assert await session.get(Room, "chat:x") is None
        async with database.session(writes=True) as other:
            other.add(Room(channel="chat:x", title="x", created_at=NOW, created_by="ann"))
            await other.commit()
        async with asyncio.timeout(LITTLE):
            await database.run(touch, writes=True)


async def test_a_session_that_is_kept_open_ends(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others would wait for it."""
    await database.upgrade()
    await database.look()
    monkeypatch.setattr(database, "seconds", SECONDS)

    async def dawdle() -> None:
        async with database.session(writes=True) as session:
            await session.get(Room, "chat:x")
            await asyncio.Event().wait()

    with pytest.raises(Unavailable):
        await dawdle()
    async with asyncio.timeout(LITTLE):
        await database.run(touch, writes=True)


@pytest.mark.parametrize("error", [TimeoutError, ConnectionResetError, OSError])
async def test_what_a_feature_fails_at_is_not_taken_for_the_database(
    database: Database, error: type[OSError]
) -> None:
    await database.look()

    async def fail() -> None:
        async with database.session() as session:
            await session.execute(text("SELECT 1"))
            raise error("of a feature")

    with pytest.raises(error, match="of a feature"):
        await fail()


async def test_a_database_that_is_nowhere_is_unavailable_to_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in nowhere(tmp_path).items():
        monkeypatch.setenv(name, value)
    async with open_database() as database:
        with pytest.raises(Unavailable):
            async with database.session() as session:
                await session.execute(text("SELECT 1"))
