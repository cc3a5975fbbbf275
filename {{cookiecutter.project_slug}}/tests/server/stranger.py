"""A raw socket to a service, for those who do not keep to the rules; and those who do meanwhile."""

import asyncio
import json
import socket
import struct
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Self
from urllib.parse import urlencode

from websockets.frames import Frame, Opcode

from ..conftest import Connect
from ..doors.base import Shown
from ..service import API_KEY, PATIENCE, Service

GROWTH = 32 << 20
"""Bytes by which a stranger may make a server grow, for a moment."""

PACE, SLOWEST = 0.02, 2.0
"""Seconds between what the others say, and those after which one of them hears it at the latest."""

HANDSHAKE = (
    "GET /ws HTTP/1.1",
    "Host: localhost",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {b64encode(bytes(16)).decode()}",
)
"""The lines that ask for a WebSocket."""

_NAMES = (f"stranger-{number}" for number in count())


def asking(service: Service, shown: Shown) -> tuple[str, ...]:
    """The lines that ask a service for a WebSocket, and show what has to be shown in them."""
    query = f"?{urlencode(shown.query)}" if shown.query else ""
    headers = (f"{name}: {value}" for name, value in shown.headers.items())
    first, host = f"GET /ws{query} HTTP/1.1", f"Host: 127.0.0.1:{service.port}"
    return (first, host, *HANDSHAKE[2:], *headers)


def request(*lines: str, size: int | None = None) -> bytes:
    """The head of a request; with a size, as many bytes, in lines that are not long."""
    head = "".join(f"{line}\r\n" for line in lines)
    while size and (left := size - len(head) - len("\r\n")):
        length = left if left < 4000 else 2000
        head += f"X: {'x' * (length - 5)}\r\n"
    return f"{head}\r\n".encode()


def framed(
    opcode: Opcode, data: bytes = b"", *, final: bool = True, compressed: bool = False
) -> bytes:
    """A frame as a client sends it."""
    frame = Frame(opcode, data, final).serialize(mask=True)
    return bytes((frame[0] | 0x40 * compressed,)) + frame[1:]


class Stranger:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._length = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator[Self]:
        """Connect, and take no more than a little that is not read."""
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=4096)
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    @classmethod
    @asynccontextmanager
    async def upgraded(cls, port: int, *headers: str) -> AsyncIterator[Self]:
        """Connect, and have a WebSocket."""
        async with cls.open(port) as stranger:
            await stranger.say(request(*HANDSHAKE, *headers))
            assert (await stranger.hear()).startswith(b"HTTP/1.1 101 ")
            yield stranger

    @classmethod
    @asynccontextmanager
    async def admitted(cls, service: Service, *headers: str) -> AsyncIterator[Self]:
        """Have a WebSocket, as somebody who was never there before; no message is said yet."""
        shown = await service.shown(next(_NAMES))
        async with cls.open(service.port) as stranger:
            await stranger.say(request(*asking(service, shown), *headers))
            assert (await stranger.hear()).startswith(b"HTTP/1.1 101 ")
            yield stranger

    def cut(self, *, reset: bool = False) -> None:
        """Leave without a word, or with a rude one."""
        if reset:
            raw = self._writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def say(self, data: bytes) -> None:
        """Send, as fast as it is taken."""
        async with asyncio.timeout(PATIENCE):
            self._writer.write(data)
            await self._writer.drain()

    async def say_while_heard(self, data: bytes) -> int:
        """Send it again and again, until the other end has enough; how often that was."""
        times = 0
        try:
            while not self._reader.at_eof():
                await self.say(data)
                await asyncio.sleep(0)
                times += 1
        except ConnectionError:
            pass
        return times

    async def hear(self) -> bytes:
        """The head of the next answer."""
        async with asyncio.timeout(PATIENCE):
            head = await self._reader.readuntil(b"\r\n\r\n")
        self._length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
        return head

    async def hear_body(self) -> bytes:
        """What comes with that head."""
        return await self.hear_exactly(self._length)

    async def hear_exactly(self, size: int) -> bytes:
        """So many bytes."""
        async with asyncio.timeout(PATIENCE):
            return await self._reader.readexactly(size)

    async def hear_until(self, end: bytes) -> bytes:
        """What is heard up to something."""
        async with asyncio.timeout(PATIENCE):
            heard = bytearray()
            while end not in heard:
                heard += await self._reader.read(65_536) or b"?"
            return bytes(heard)

    async def rest(self) -> bytes:
        """What is heard up to the end of the connection, whatever way that comes."""
        heard = bytearray()
        async with asyncio.timeout(PATIENCE):
            try:
                while data := await self._reader.read(65_536):
                    heard += data
            except ConnectionError:
                pass
            return bytes(heard)


def close_code(heard: bytes) -> int:
    """The code of the close frame at the end of what was heard."""
    start = heard.rindex(b"\x88")
    (code,) = struct.unpack("!H", heard[start + 2 : start + 4])
    return int(code)


def peak(service: Service, *, anew: bool = False) -> int:
    """The most bytes that a server had in memory; 0 where the system does not tell."""
    process = Path(f"/proc/{service.pid}")
    if not process.exists():
        return 0
    if anew:
        (process / "clear_refs").write_text("5")
    status = (process / "status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@asynccontextmanager
async def undisturbed(service: Service, connect: Connect) -> AsyncIterator[None]:
    """Whatever happens inside, who is subscribed is told what is published, and memory is bounded.

    What happens is logged by the service alone, and without tracebacks.
    """
    witness = await connect("witness", to=service)
    await witness.ask(type="subscribe", channel="chat:lobby")
    before, logged = peak(service, anew=True), len(service.log)
    times: list[float] = []
    told = asyncio.Event()

    async def publish_and_hear() -> None:
        async with service.rest({"X-API-Key": API_KEY}) as http:
            while True:
                start, text = monotonic(), f"{len(times)}"
                path = "/api/channels/chat:lobby/messages"
                (await http.post(path, json={"data": {"text": text}})).raise_for_status()
                assert (await witness.hear_type("message"))["data"]["text"] == text
                times.append(monotonic() - start)
                told.set()
                await asyncio.sleep(PACE)

    async with asyncio.timeout(4 * PATIENCE), asyncio.TaskGroup() as group:
        publishing = group.create_task(publish_and_hear())
        await told.wait()
        yield
        told.clear()
        await told.wait()
        publishing.cancel()
    assert max(times) < SLOWEST
    assert peak(service) - before < GROWTH
    loggers = {json.loads(line)["logger"] for line in service.log[logged:].splitlines()}
    assert {name.partition(".")[0] for name in loggers} <= {"app"}
    assert "Traceback" not in service.log
