"""A file: what it is called, what may happen to it, and that nothing it took is lost."""

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from app.database.base import Database
from app.database.sqlite import SqliteSettings

from ..conftest import Connect
from ..databases import own_database
from ..service import Service, running
from .outage import SECONDS, SHORT, begins_later, outlast, say, until

PRODUCTION = {
    "APP_ALLOWED_ORIGINS": "https://app.example.com",
    "APP_DRAIN_SECONDS": "0",
    "APP_ENVIRONMENT": "production",
    "APP_JWT_SECRET": "a secret of 32 characters or more",
}


@pytest.mark.parametrize(
    "url", ["", "service.db", "sqlite://", "sqlite:///:memory:", "mysql://localhost/x", "x:y"]
)
def test_what_is_no_file_is_refused_with_a_sentence(url: str) -> None:
    (complaint,) = SqliteSettings(database_url=url).complaints()
    assert complaint.startswith("APP_DATABASE_URL is no file of SQLite: say, for example, sqlite:/")


async def test_it_is_written_as_safely_as_is_promised(database: Database) -> None:
    def settings(connection: sa.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {each}").scalar() for each in names]

    safely = ["wal", 2, 1]
    assert await database.run(settings) == safely
    assert await database.run(settings, writes=True) == safely
    for writes in (False, True):
        async with database.session(writes=writes) as session:
            assert await (await session.connection()).run_sync(settings) == safely


async def test_what_said_that_it_only_reads_is_not_let_write(database: Database) -> None:
    """It would be refused now and then: when another wrote since it began."""
    await database.upgrade()
    await database.look()
    with pytest.raises(sa.exc.OperationalError, match="readonly"):
        async with database.session() as session:
            await session.execute(sa.text("DELETE FROM rooms"))
    await database.look()
    assert database.reachable


async def test_changing_a_table_takes_nothing_from_those_that_refer_to_it(
    database: Database,
) -> None:
    """A table is changed by copying it: when the old one goes, what refers to it would go too."""
    await database.upgrade()

    def fill(connection: sa.Connection) -> None:
        now = "'2026-03-01 12:00:00'"
        connection.execute(
            sa.text(
                f"INSERT INTO notifications (id, level, body, created_at)"  # noqa: S608 - our own
                f" VALUES ('1', 'info', '', {now})"
            )
        )
        connection.execute(
            sa.text(f"INSERT INTO notification_reads VALUES ('1', 'ann', {now})")  # noqa: S608
        )

    def change(connection: sa.Connection) -> None:
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("notifications", recreate="always") as batch:
            batch.add_column(sa.Column("title", sa.Text()))

    await database.run(fill, writes=True)
    await database.change(change)
    count = sa.text("SELECT count(*) FROM notification_reads")
    assert await database.run(lambda connection: connection.execute(count).scalar()) == 1


# outages


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The folder of the file, beside that of the service."""
    folder = tmp_path / "kept"
    folder.mkdir()
    return folder


@pytest.fixture
def own(tmp_path: Path, kept: Path) -> Iterator[Service]:
    """A service that does not wait for long."""
    with running(tmp_path, **SHORT, **own_database(kept)) as service:
        yield service


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another process writes, and takes its time."""
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    yield
    other.execute("ROLLBACK")
    other.close()


@contextmanager
def full(service: Service, file: Path) -> Iterator[None]:
    """Nothing can be added to any file, as on a full disk."""
    size, limit = file.with_name(f"{file.name}-wal").stat().st_size, resource.RLIMIT_FSIZE
    soft, hard = resource.prlimit(service.pid, limit)
    assert size > len(service.log)
    resource.prlimit(service.pid, limit, (size, hard))
    yield
    resource.prlimit(service.pid, limit, (soft, hard))


@contextmanager
def moved(folder: Path) -> Iterator[None]:
    """The folder is not where it was; what is open would still take what nobody finds."""
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    yield
    elsewhere.rename(folder)


async def test_a_lock_that_another_process_holds_is_outlasted(
    own: Service, kept: Path, connect: Connect
) -> None:
    await outlast(own, connect, locked(kept / "service.db"))


async def test_a_publisher_waits_for_a_lock_once(
    own: Service, kept: Path, connect: Connect
) -> None:
    """Not for those before, too."""
    ann, bob = await connect("ann", to=own), await connect("bob", to=own)
    assert await say(ann, "before") == "ok"
    with locked(kept / "service.db"):
        async with asyncio.TaskGroup() as group:
            first = group.create_task(say(ann, "first"))
            await asyncio.sleep(SECONDS / 4)
            since = monotonic()
            assert await say(bob, "then") == "unavailable"
            assert monotonic() - since < SECONDS
    assert first.result() == "unavailable"


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits a process: run it on Linux")
async def test_a_full_disk_is_outlasted(own: Service, kept: Path, connect: Connect) -> None:
    await outlast(own, connect, full(own, kept / "service.db"))


async def test_a_folder_that_is_gone_is_outlasted(
    own: Service, kept: Path, connect: Connect
) -> None:
    await outlast(own, connect, moved(kept))


@pytest.mark.parametrize("settings", [{}, PRODUCTION])
async def test_it_starts_before_its_file_can_be_there(
    tmp_path: Path, kept: Path, connect: Connect, settings: dict[str, str]
) -> None:
    database = own_database(kept, migrated=bool(settings))
    away = moved(kept)
    away.__enter__()
    with running(tmp_path, **SHORT, **database, **settings) as service:
        assert await until(service, "degraded") == ["history cannot be reached"]
        await asyncio.to_thread(away.__exit__, None, None, None)
        await begins_later(service)
