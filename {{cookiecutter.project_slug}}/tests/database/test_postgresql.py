"""A server: how it is named, what may happen to it, and that nothing it took is lost."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from time import monotonic

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import make_url, text

from app.database.postgresql import PostgresqlSettings, open_database
from app.protocol.errors import Unavailable

from ..conftest import Connect
from ..databases.postgresql import OwnServer
from ..service import Service, running
from .commands import command
from .outage import LITTLE, SECONDS, SHORT, begins_later, kept, outlast, say, until

PRODUCTION = {
    "APP_ALLOWED_ORIGINS": "https://app.example.com",
    "APP_DRAIN_SECONDS": "0",
    "APP_ENVIRONMENT": "production",
    "APP_JWT_SECRET": "a secret of 32 characters or more",
}


@pytest.mark.parametrize(
    "url", ["", "localhost", "oracle:///x", "mysql://u:secret@localhost/x", "x:y"]
)
def test_what_is_no_server_is_refused_with_a_sentence(url: str) -> None:
    (complaint,) = PostgresqlSettings(database_url=url).complaints()
    assert complaint.startswith("APP_DATABASE_URL is no address of PostgreSQL: say, for example, p")
    assert "secret" not in complaint


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_an_address_is_taken_as_people_write_it(scheme: str) -> None:
    url = f"{scheme}://ann:postgres%3A%2F%2F@localhost/service"
    assert list(PostgresqlSettings(database_url=url).complaints()) == []


# outages


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """A server of these tests."""
    server = OwnServer(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def url(server: OwnServer, tmp_path: Path) -> str:
    """A database of one test's, and somebody whom that server can refuse."""
    name = f"t{abs(hash(tmp_path))}"
    owner = f"CREATE ROLE {name} LOGIN PASSWORD 'canary-in-a-password'"
    server.execute(owner, f"CREATE DATABASE {name} OWNER {name} TEMPLATE template0")
    url = make_url(server.url).set(username=name, password="canary-in-a-password", database=name)
    return url.render_as_string(hide_password=False)


@pytest.fixture
def own(tmp_path: Path, url: str) -> Iterator[Service]:
    """A service that does not wait for long."""
    with running(tmp_path, **SHORT, APP_DATABASE_URL=url) as service:
        yield service
        assert "canary" not in service.log


@contextmanager
def killed(server: OwnServer) -> Iterator[None]:
    """The server is away."""
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextmanager
def frozen(server: OwnServer) -> Iterator[None]:
    """The server takes what it is told, and answers nothing."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


@contextmanager
def refusing(server: OwnServer, url: str) -> Iterator[None]:
    """The server has no connection left for the service."""
    name = make_url(url).username
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'"  # noqa: S608
    server.execute(f"ALTER ROLE {name} CONNECTION LIMIT 0", end)
    yield
    server.execute(f"ALTER ROLE {name} CONNECTION LIMIT -1")


async def test_a_server_that_is_killed_is_outlasted(
    own: Service, server: OwnServer, connect: Connect
) -> None:
    await outlast(own, connect, killed(server))


async def test_a_server_that_does_not_answer_is_outlasted(
    own: Service, server: OwnServer, connect: Connect
) -> None:
    await outlast(own, connect, frozen(server))


@contextmanager
def revoked(url: str) -> Iterator[None]:
    """The service may do nothing with its tables."""

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()

    all_tables = "ALL ON ALL TABLES IN SCHEMA public"
    asyncio.run(execute(f"REVOKE {all_tables} FROM current_user"))
    yield
    asyncio.run(execute(f"GRANT {all_tables} TO current_user"))


async def test_a_right_that_was_not_granted_is_outlasted(
    own: Service, url: str, connect: Connect
) -> None:
    await outlast(own, connect, revoked(url))
    assert "permission denied" in own.log


async def test_a_server_without_connections_left_is_outlasted(
    own: Service, server: OwnServer, url: str, connect: Connect
) -> None:
    await outlast(own, connect, refusing(server, url))
    assert "too many connections" in own.log


async def test_a_channel_that_is_locked_by_somebody_else_harms_no_other(
    own: Service, url: str, connect: Connect
) -> None:
    """The server answers, so that the service is not degraded."""
    wire = await connect(to=own)
    await wire.ask(type="subscribe", channel="chat:lobby")
    await wire.ask(type="subscribe", channel="chat:other")
    assert await say(wire, "before") == "ok"
    other = await asyncpg.connect(url)
    async with other.transaction():
        await other.execute("SELECT * FROM channels WHERE name = 'chat:lobby' FOR UPDATE")
        assert await say(wire, "during") == "unavailable"
        spoken = await wire.ask(type="publish", channel="chat:other", data={"text": "x"})
        assert spoken["type"] == "ok"
        assert await until(own, "ready") == []
    await other.close()
    assert await say(wire, "during") == "ok"
    assert await kept(wire) == ["before", "during"]


async def test_a_restart_under_load_loses_nothing_that_was_acknowledged(
    own: Service, server: OwnServer, connect: Connect
) -> None:
    wires = [await connect(f"user{number}", to=own) for number in range(5)]
    await wires[0].ask(type="subscribe", channel="chat:lobby")
    over = asyncio.Event()
    spoken: list[str] = []

    async def talk(number: int) -> None:
        count = 0
        while not over.is_set():
            text = f"{number}-{count}"
            while await say(wires[number], text) != "ok":
                await asyncio.sleep(0.05)
            spoken.append(text)
            count += 1

    async with asyncio.TaskGroup() as group:
        for number in range(1, 5):
            group.create_task(talk(number))
        while len(spoken) < 20:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        again = len(spoken) + 20
        while len(spoken) < again:
            await asyncio.sleep(0.01)
        over.set()
    assert sorted(await kept(wires[0])) == sorted(spoken)


@pytest.mark.parametrize("settings", [{}, PRODUCTION])
async def test_it_starts_before_its_server(
    tmp_path: Path, server: OwnServer, url: str, connect: Connect, settings: dict[str, str]
) -> None:
    database = {"APP_DATABASE_URL": url, **SHORT, **settings}
    if settings:
        assert command(tmp_path, database, "migrate").returncode == 0
    away = killed(server)
    await asyncio.to_thread(away.__enter__)
    with running(tmp_path, **database) as service:
        assert await until(service, "degraded") == ["history cannot be reached"]
        await asyncio.to_thread(away.__exit__, None, None, None)
        await begins_later(service)
        assert "canary" not in service.log


async def test_whatever_is_asked_of_a_server_that_does_not_answer_ends_in_time(
    server: OwnServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than there are connections, by whichever way; and so does taking leave of it."""
    monkeypatch.setenv("APP_DATABASE_URL", url)
    monkeypatch.setenv("APP_DATABASE_SECONDS", str(SECONDS))
    one = text("SELECT 1")
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database())
        await asyncio.gather(*(database.run(lambda c: c.execute(one)) for _ in range(5)))

        async def use() -> None:
            async with database.session() as session:
                await session.execute(one)

        async def run() -> None:
            await database.run(lambda connection: connection.execute(one))

        async def go_on() -> None:
            async with database.session() as session:
                await session.execute(one)
                begun.set()
                await stopped.wait()
                await session.execute(one)

        async def dawdle() -> None:
            nap = text("SELECT pg_sleep(0.5)")
            await database.run(lambda connection: [connection.execute(nap) for _ in range(6)])

        async def timed(act: Callable[[], Awaitable[None]], steps: int) -> None:
            since = monotonic()
            with pytest.raises(Unavailable):
                await act()
            assert monotonic() - since < steps * SECONDS + LITTLE

        with frozen(server):
            # A session may wait for a connection first, and then for that.
            await asyncio.gather(*(timed(act, n) for act, n in ((run, 1), (use, 2)) * 4))
        await use()
        await timed(dawdle, 1)
        begun, stopped = asyncio.Event(), asyncio.Event()
        going_on = asyncio.create_task(go_on())
        await begun.wait()
        with frozen(server):
            stopped.set()
            await timed(lambda: going_on, 1)
        await asyncio.gather(*(run() for _ in range(5)))
        server.freeze()
        since = monotonic()
        try:
            await stack.aclose()
        finally:
            server.thaw()
        assert monotonic() - since < LITTLE
