"""That the network which tests make up does what they say of it."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from .proxy import Proxy, proxy

SOON = 5.0


@pytest.fixture
async def between() -> AsyncIterator[Proxy]:
    """A proxy to a server that says again what it hears."""

    async def echo(reader: StreamReader, writer: StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with asyncio.timeout(4 * SOON), proxy(server.sockets[0].getsockname()[1]) as made:
        yield made
    server.close()


@pytest.fixture
async def client(between: Proxy) -> AsyncIterator[Callable[[], Awaitable["Client"]]]:
    """Makes clients of the proxy."""
    made: list[Client] = []

    async def connect() -> Client:
        made.append(Client(*await asyncio.open_connection("127.0.0.1", between.port)))
        return made[-1]

    yield connect
    for each in made:
        each.writer.transport.abort()


class Client:
    """Somebody on the other side of a proxy."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, said: bytes, *, within: float = SOON) -> bytes | None:
        """What comes back; None if nothing does, nothing at all if the connection ended."""
        try:
            self.writer.write(said)
            async with asyncio.timeout(within):
                return await self.reader.readexactly(len(said))
        except TimeoutError:
            return None
        except (OSError, asyncio.IncompleteReadError):
            return b""


Connect = Callable[[], Awaitable[Client]]


async def test_all_that_is_said_arrives(between: Proxy, client: Connect) -> None:
    much = bytes(range(256)) * 40_000
    assert await (await client()).ask(much) == much
    assert between.connected == 1


async def test_what_is_delayed_comes_later_and_in_order(between: Proxy, client: Connect) -> None:
    one = await client()
    between.delay, began = 0.1, asyncio.get_running_loop().time()
    assert await one.ask(b"one") == b"one"
    assert asyncio.get_running_loop().time() - began >= 0.2
    one.writer.write(b"two")
    await asyncio.sleep(0.02)
    between.delay = 0.0
    assert await one.ask(b"...") == b"two"


async def test_what_is_swallowed_never_comes(between: Proxy, client: Connect) -> None:
    one = await client()
    between.swallow = True
    assert await one.ask(b"one", within=0.1) is None
    between.swallow = False
    assert await one.ask(b"two") == b"two"


async def test_a_silence_ends_nothing_and_what_was_said_comes_after_it(
    between: Proxy, client: Connect
) -> None:
    one = await client()
    between.half_open = True
    assert await one.ask(b"one", within=0.1) is None
    between.half_open = False
    assert await one.ask(b"...") == b"one"


async def test_a_cut_ends_every_connection_or_those_of_some(
    between: Proxy, client: Connect
) -> None:
    one, two = await client(), await client()
    assert (await one.ask(b"listen"), await two.ask(b"speak")) == (b"listen", b"speak")
    between.only = b"listen"
    between.cut()
    assert (await one.ask(b"x"), await two.ask(b"y")) == (b"", b"y")
    between.only = b""
    between.cut()
    assert await two.ask(b"z") == b""
    assert await (await client()).ask(b"again") == b"again"


async def test_who_is_refused_gets_nowhere(between: Proxy, client: Connect) -> None:
    between.refuse = True
    assert await (await client()).ask(b"x") == b""
    between.refuse = False
    assert await (await client()).ask(b"x") == b"x"
