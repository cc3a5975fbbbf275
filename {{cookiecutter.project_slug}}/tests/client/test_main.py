"""The chat in the terminal, as a process of its own."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from client import Client, Message
from client.auth import by_mode

from ..service import PATIENCE, Service


@asynccontextmanager
async def terminal(*arguments: str) -> AsyncIterator[Process]:
    """`python -m client` with these arguments."""
    command = (sys.executable, "-m", "client", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=STDOUT)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def shown(process: Process, line: str) -> None:
    """Wait for a line of output; it may be any of those to come."""
    assert process.stdout is not None
    seen: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while line not in seen:
            raw = await process.stdout.readline()
            assert raw, seen
            seen.append(raw.decode().strip())


async def type_in(process: Process, text: str) -> None:
    """Type some text."""
    assert process.stdin is not None
    process.stdin.write(text.encode())
    await process.stdin.drain()


async def test_it_says_what_is_typed_and_shows_what_is_said(service: Service, channel: str) -> None:
    token = await service.token("ann") or ""
    async with (
        Client(service.ws, auth=by_mode()(await service.token("bob") or ""), proxy=None) as bob,
        terminal(service.ws, channel, "--token", token) as process,
    ):
        await shown(process, "* connected")
        room = await bob.subscribe(channel, last=10)
        await type_in(process, "\ngrüße\n")
        said = await anext(room)
        assert isinstance(said, Message)
        assert said.data == {"text": "grüße"}
        await bob.publish(channel, {"text": "red \x1b[31m"})
        name = bob.welcome.user.name or bob.welcome.user.id
        await shown(process, f"{name}: red ?[31m")
        assert process.stdin is not None
        process.stdin.close()
        await shown(process, "* closed")
        assert await process.wait() == 0


async def test_it_says_why_it_ended(service: Service) -> None:
    async with terminal(service.http.replace("http", "ws") + "/nothing-here", "chat:x") as process:
        await shown(process, "* closed")
        assert await process.wait() == 1


async def test_it_says_what_it_waits_for_where_nobody_answers() -> None:
    async with terminal("ws://127.0.0.1:1/ws?token=secret", "chat:x") as process:
        await shown(process, "* connecting to ws://127.0.0.1:1/ws, for as long as it takes")
