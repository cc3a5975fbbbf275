"""A connection to PostgreSQL that ends between a COMMIT and its answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import make_url

from ..conftest import Connect
from ..databases import own_database
from ..nodes import history
from ..service import Service

MARK = b"nobody hears of this"
"""What a transaction has in it that is to be lost."""


class Proxy:
    """Carries bytes to the server and back; the answer to one COMMIT it does not."""

    def __init__(self, host: str, port: int, *, cuts: bool) -> None:
        self.lost = asyncio.Event()
        self._host, self._port, self._cuts = host, port, cuts

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        upstream, downstream = await asyncio.open_connection(self._host, self._port)
        marked, deaf = False, False

        async def ask() -> None:
            nonlocal marked, deaf
            while data := await reader.read(65536):
                marked = marked or MARK in data
                deaf = marked and b"COMMIT" in data and not self.lost.is_set()
                downstream.write(data)
            downstream.close()

        async def answer() -> None:
            while data := await upstream.read(65536):
                if deaf:
                    self.lost.set()
                    if self._cuts:
                        break
                else:
                    writer.write(data)
            writer.close()

        with suppress(ConnectionError):
            await asyncio.gather(ask(), answer())


@asynccontextmanager
async def proxied(url: str, *, cuts: bool) -> AsyncIterator[tuple[str, Proxy]]:
    """The same database by way of a proxy."""
    parsed = make_url(url)
    proxy = Proxy(parsed.host or "", parsed.port or 5432, cuts=cuts)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        near = parsed.set(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        yield near.render_as_string(hide_password=False), proxy


@pytest.mark.parametrize("cuts", [True, False], ids=["cut", "silent"])
async def test_a_commit_whose_answer_is_lost_is_announced_by_the_retry(
    tmp_path: Path, connect: Connect, channel: str, cuts: bool
) -> None:
    real = own_database(tmp_path)["APP_DATABASE_URL"]
    async with proxied(real, cuts=cuts) as (url, proxy):
        quick = {"APP_DATABASE_SECONDS": "1", "APP_SWEEP_SECONDS": "600"}
        service = Service(tmp_path, {"APP_DATABASE_URL": url, **quick})
        await asyncio.to_thread(service.start)
        try:
            ann, bob = await connect("ann", to=service), await connect("bob", to=service)
            await bob.ask(type="subscribe", channel=channel)
            said = {"channel": channel, "data": {"text": MARK.decode()}, "key": "k"}
            refused = await ann.ask(type="publish", **said)
            assert (refused["type"], refused["code"]) == ("error", "unavailable")
            assert proxy.lost.is_set()
            assert await bob.heard() == []
            answer = await ann.ask(type="publish", **said)
            assert (answer["type"], answer["duplicate"], answer["offset"]) == ("ok", True, 1)
            heard = await bob.hear_type("message")
            await ann.ask(type="publish", **said)
            assert await bob.heard() == []
            assert await history(service, channel) == [heard]
        finally:
            await asyncio.to_thread(service.stop)
