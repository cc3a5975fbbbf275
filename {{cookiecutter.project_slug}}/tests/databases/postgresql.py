"""A database of the server that the session of tests shares."""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.database.migration import upgrade

NEEDED = ("APP_DATABASE_URL",)


@cache
def own_database(folder: Path, *, migrated: bool = True) -> dict[str, str]:
    """The settings for a new database on that server, called after a folder."""
    name = f"test_{sha256(f'{folder} {migrated}'.encode()).hexdigest()[:16]}"
    server = make_url(os.environ["APP_DATABASE_URL"]).set(drivername="postgresql+asyncpg")

    async def create() -> None:
        engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
        await engine.dispose()
        if migrated:
            engine = create_async_engine(server.set(database=name))
            async with engine.begin() as connection:
                await connection.run_sync(upgrade)
            await engine.dispose()

    # A test may ask for it while a loop runs.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, create()).result()
    url = server.set(drivername="postgresql", database=name)
    return {"APP_DATABASE_URL": url.render_as_string(hide_password=False)}


async def activity(folder: Path) -> list[str]:
    """What the server says of each connection of a service."""
    url = make_url(own_database(folder, migrated=True)["APP_DATABASE_URL"])
    engine = create_async_engine(url.set(drivername="postgresql+asyncpg"))
    async with engine.connect() as connection:
        found = await connection.execute(
            text(
                "SELECT state FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'app'"
            )
        )
        states = list(found.scalars())
    await engine.dispose()
    return states


def nowhere(folder: Path) -> dict[str, str]:
    """The settings for a server that is not there."""
    return {"APP_DATABASE_URL": "postgresql://ann:canary-in-a-password@127.0.0.1:1/service"}


_OTHERS = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"


class OwnServer:
    """A server that a test may harm."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = ExitStack()
        self._port: int | None = None
        self.url = ""

    def start(self) -> None:
        """Start, on the same port as before."""
        start = import_module("dev.services.postgresql").start
        server = start(self._folder, durable=False, port=self._port)
        self.url = self._running.enter_context(server)["APP_DATABASE_URL"]
        self._port = make_url(self.url).port

    def stop(self) -> None:
        """End as an administrator does it."""
        self._running.close()

    def kill(self) -> None:
        """End all of its processes at once, as when the machine fails."""
        self._signal(signal.SIGKILL)
        self._running.close()

    def freeze(self) -> None:
        """Answer nothing, while what is connected stays so."""
        self._frozen = self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        for process in self._frozen:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    def execute(self, *statements: str) -> list[Any]:
        """Do something as an administrator; the rows that the last one gives."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, self._execute(statements)).result()

    async def _execute(self, statements: tuple[str, ...]) -> list[Any]:
        connection = await asyncpg.connect(self.url)
        try:
            found: list[Any] = [await connection.fetch(each) for each in statements][-1]
            return found
        finally:
            await connection.close()

    def _signal(self, number: signal.Signals) -> list[int]:
        """Send a signal to the server, then to what it has started by then."""
        first = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        others = [row["pid"] for row in self.execute(_OTHERS)]
        os.kill(first, number)
        for process in others:
            with suppress(ProcessLookupError):  # it has ended with its connection
                os.kill(process, number)
        return [first, *others]
