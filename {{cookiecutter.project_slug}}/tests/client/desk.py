"""Stands before a scripted server, and answers what is asked over HTTP as a test tells it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from .scripted import ScriptedServer, soon


class Asked:
    """One POST, and who waits for its answer."""

    def __init__(self, head: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        line, *headers = head.split("\r\n")
        self.path = line.split()[1]
        self.headers = {
            name.lower(): value for name, value in (each.split(": ", 1) for each in headers)
        }
        self.body = body.decode()
        self.done = asyncio.Event()
        self._writer = writer

    def answers(
        self, status: int, body: Any = None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Answer with some JSON."""
        payload = json.dumps(body).encode()
        fields = {"Content-Length": str(len(payload)), "Connection": "close", **headers}
        head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        head += [f"{name}: {value}" for name, value in fields.items()]
        self._writer.write("\r\n".join([*head, "", ""]).encode() + payload)
        self.hangs_up()

    def hangs_up(self) -> None:
        """End the connection."""
        self.done.set()


class Desk:
    """What is asked over HTTP; handshakes are passed on."""

    def __init__(self, server: ScriptedServer) -> None:
        self._port = urlsplit(server.url).port
        self._asked: asyncio.Queue[Asked] = asyncio.Queue()

    async def asked(self, path: str, token: str | None = None) -> Asked:
        """The next request, which must be for this, with this token or none."""
        asked = await soon(self._asked.get())
        assert asked.path == path
        assert asked.headers.get("authorization") == (token and f"Bearer {token}")
        return asked

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        with closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"POST "):
                length = re.search(rb"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                asked = Asked(head.decode().strip(), body, writer)
                self._asked.put_nowait(asked)
                await asked.done.wait()
                return
            upstream, downstream = await asyncio.open_connection("127.0.0.1", self._port)
            with closing(downstream):
                downstream.write(head)
                await asyncio.gather(_copy(reader, downstream), _copy(upstream, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with closing(writer), suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)


@asynccontextmanager
async def attended(server: ScriptedServer) -> AsyncIterator[Desk]:
    """A desk before a server, whose address is the desk's from now on."""
    desk = Desk(server)
    async with asyncio.TaskGroup() as tasks:
        serving: set[asyncio.Task[None]] = set()

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            serving.add(tasks.create_task(desk.handle(reader, writer)))

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as front:
            host, port = front.sockets[0].getsockname()
            server.url = f"ws://{host}:{port}/ws"
            yield desk
        for task in serving:
            task.cancel()
