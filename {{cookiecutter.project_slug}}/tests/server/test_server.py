"""The process: how it ends, and what is left after it."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest

from app.auth.secret import DEVELOPMENT_SECRET

from ..conftest import Connect
from ..service import OUTLIVES, Service, Wire, enter, knock, running

GRACE = 2.0
"""Seconds that connections have in development."""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Service]:
    """A server of the test's own."""
    with running(tmp_path) as service:
        yield service


async def stop(service: Service) -> tuple[int, float]:
    """The status with which the process ended, and the seconds that it took."""
    start = monotonic()
    status = await asyncio.to_thread(service.stop)
    return status, monotonic() - start


async def test_it_ends_at_once_though_people_are_connected(own: Service, connect: Connect) -> None:
    wires = [await connect(f"user-{number}", to=own) for number in range(5)]
    for wire in wires:
        await wire.ask(type="subscribe", channel="chat:lobby", presence=True)
    silent = Wire(await knock(own, await own.shown("silent")))
    status, seconds = await stop(own)
    assert status in (0, -signal.SIGTERM)
    assert seconds < GRACE
    for each in (*wires, silent):
        code, _ = await each.closed()
        assert code == 1012 or 4000 <= code < 4500, "they come back"
    assert "Traceback" not in own.log
    sessions = [wire.welcome["session"] for wire in wires]
    for session in sessions:
        (closed,) = [
            line
            for line in own.log.splitlines()
            if session in line and '"session opened"' not in line
        ]
        assert "session closed" in closed


@asynccontextmanager
async def deaf(service: Service, channel: str) -> AsyncIterator[Wire]:
    """Somebody who subscribes, and then reads no more, until its transport reads on."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", service.port))
    wire = await enter(service, "deaf", sock=raw, max_queue=None)
    async with wire.connection as connection:
        await wire.say(type="subscribe", channel=channel)
        await wire.hear_type("subscribed")
        connection.transport.pause_reading()
        try:
            yield wire
        finally:
            connection.transport.abort()


async def test_it_ends_in_its_grace_though_somebody_does_not_read(
    tmp_path: Path, connect: Connect
) -> None:
    with running(tmp_path, APP_GRACE_SECONDS="0.5") as service:
        ann = await connect("ann", to=service)
        async with deaf(service, "chat:lobby"):
            # More than the kernel takes for somebody who does not read.
            for _ in range(2500):
                await ann.say(type="publish", channel="chat:lobby", data={"text": "x" * 4000})
            await ann.ask(type="ping")
            status, seconds = await stop(service)
    assert status in (0, -signal.SIGTERM)
    assert seconds < 4


async def test_after_a_crash_people_are_who_they_were_and_history_is_there_or_began_anew(
    own: Service, connect: Connect
) -> None:
    ann = await connect("ann", to=own)
    before = await ann.ask(type="subscribe", channel="chat:lobby")
    sent = await ann.ask(type="publish", channel="chat:lobby", data={"text": "x"})
    secret = (own.folder / DEVELOPMENT_SECRET).read_text()
    own.kill()
    assert (await ann.closed())[0] in (0, 1006)
    await asyncio.to_thread(own.start)

    again = await connect("ann", to=own)
    assert again.user == ann.user
    assert again.token == ann.token
    assert again.welcome["node"] != ann.welcome["node"]
    position = {"epoch": sent["epoch"], "offset": sent["offset"]}
    subscribed = await again.ask(type="subscribe", channel="chat:lobby", since=position)
    page = await again.ask(type="history", channel="chat:lobby", after=0, epoch=position["epoch"])
    new = await again.ask(type="publish", channel="chat:lobby", data={"text": "y"})
    assert before["epoch"] == ""
    if OUTLIVES:
        assert (subscribed["recovered"], subscribed["offset"]) == (True, 1)
        assert [each["data"] for each in page["messages"]] == [{"text": "x"}]
        assert (new["offset"], new["epoch"]) == (2, sent["epoch"])
    else:
        assert (subscribed["recovered"], subscribed["reason"]) == (False, "epoch_changed")
        assert subscribed["offset"] == 0
        assert page["code"] == "unrecoverable"
        assert new["offset"] == 1 and new["epoch"] != sent["epoch"]
    assert (own.folder / DEVELOPMENT_SECRET).read_text() == secret
