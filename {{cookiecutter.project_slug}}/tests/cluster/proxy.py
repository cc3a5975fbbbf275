"""A proxy that does to connections what networks do: it delays, cuts, swallows and falls silent."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

HELD = 0.01
"""How often is looked whether a silence is over."""
ENOUGH = 65_536
"""How many bytes tell who somebody is."""

_Line = asyncio.Queue[tuple[float, bytes]]
"""What is on its way, and when it arrives; nothing at all is the end."""


@dataclass(eq=False)
class _Link:
    """One client's connection."""

    client: StreamWriter
    server: StreamWriter
    said: bytes = b""


@dataclass(eq=False)
class Proxy:
    """Passes on what clients and a server say to each other, as its attributes allow just now."""

    to_port: int
    port: int = 0
    delay: float = 0.0
    """How many seconds anything is on its way, in either direction."""
    swallow: bool = False
    """What the server says is lost."""
    half_open: bool = False
    """Nothing arrives on either side, not even that the other is gone; later it does."""
    refuse: bool = False
    """Who comes now is sent away."""
    only: bytes = b""
    """Delay, swallow, half_open and cut are for connections on which the client said this."""
    accepted: int = 0
    """How many connections there were."""
    _links: set[_Link] = field(default_factory=set)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def connected(self) -> int:
        """How many connections there are."""
        return len(self._links)

    def cut(self) -> None:
        """End all connections, at once and in the midst of a word."""
        for link in list(self._links):
            if self._meant(link):
                link.client.transport.abort()
                link.server.transport.abort()

    def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Carry one connection until it ends."""
        self.accepted += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End everything, and wait."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            with suppress(OSError):
                if not self.refuse:
                    await self._carry(reader, writer)
        finally:
            writer.transport.abort()

    async def _carry(self, reader: StreamReader, writer: StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.to_port)
        link = _Link(writer, to_server)
        self._links.add(link)
        up: _Line = asyncio.Queue(1000)
        down: _Line = asyncio.Queue(1000)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take(link, reader, up, to_server))
                tasks.create_task(self._give(link, up, to_server))
                tasks.create_task(self._take(link, from_server, down, writer))
                tasks.create_task(self._give(link, down, writer))
        except* OSError:
            pass
        finally:
            self._links.discard(link)
            to_server.transport.abort()

    async def _take(
        self, link: _Link, reader: StreamReader, line: _Line, writer: StreamWriter
    ) -> None:
        """Put on the line what is said."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await reader.read(65_536)
            except OSError:
                data = b""
            if writer is link.server and len(link.said) < ENOUGH:
                link.said += data
            meant = self._meant(link)
            if meant and self.swallow and data and writer is link.client:
                continue
            await line.put((loop.time() + (self.delay if meant else 0.0), data))
            if not data:
                return

    async def _give(self, link: _Link, line: _Line, writer: StreamWriter) -> None:
        """Hand over what arrives."""
        loop = asyncio.get_running_loop()
        while True:
            due, data = await line.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            while self.half_open and self._meant(link) and not writer.is_closing():
                await asyncio.sleep(HELD)
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    def _meant(self, link: _Link) -> bool:
        return self.only in link.said


@asynccontextmanager
async def proxy(to_port: int) -> AsyncIterator[Proxy]:
    """A proxy to a port of this machine, on a port of its own."""
    made = Proxy(to_port)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
