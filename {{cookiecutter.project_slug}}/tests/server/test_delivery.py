"""What reaches people through real sockets: everything, whole, in order."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from uvicorn.server import ServerState
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as handshake
from websockets.exceptions import ConnectionClosed

from app.protocol.errors import CloseCode
from app.protocol.frames import Frame
from app.server.websocket import LINK, SocketProtocol
from app.settings import Limits

from ..conftest import Connect
from ..service import PATIENCE, Connected, Service, running
from .peer import configured
from .test_server import deaf

BURST = 500
WARNING = "served by plain ASGI"


async def say_at_once(wire: Connected, frames: list[dict[str, Any]]) -> None:
    """Send many messages in one write."""
    connection = wire.connection
    for frame in frames:
        connection.protocol.send_text(json.dumps(frame).encode())
    connection.transport.write(b"".join(connection.protocol.data_to_send()))


async def test_a_burst_in_one_write_reaches_everybody_in_order_and_each_has_its_ok(
    connect: Connect, channel: str
) -> None:
    ann = await connect("ann")
    others = [await connect(f"user-{number}") for number in range(4)]
    for wire in others:
        await wire.ask(type="subscribe", channel=channel)
    await say_at_once(
        ann,
        [
            {"type": "publish", "channel": channel, "id": number, "data": {"text": f"{number}"}}
            for number in range(BURST)
        ],
    )
    replies = [await ann.hear() for _ in range(BURST)]
    assert [(each["type"], each["id"], each["offset"]) for each in replies] == [
        ("ok", number, number + 1) for number in range(BURST)
    ]
    for wire in others:
        heard = [await wire.hear_type("message") for _ in range(BURST)]
        assert [(each["data"]["text"], each["offset"]) for each in heard] == [
            (f"{number}", number + 1) for number in range(BURST)
        ]
        assert not [each for each in await wire.heard() if each["type"] == "message"]


async def test_messages_of_every_size_arrive_as_they_were(tmp_path: Path, connect: Connect) -> None:
    with running(tmp_path, APP_MAX_MESSAGE_BYTES="300000") as own:
        ann, bob = await connect("ann", to=own), await connect("bob", to=own)
        await bob.ask(type="subscribe", channel="echo:sizes")
        for size in (0, 1, 125, 126, 65_000, 65_535, 65_536, 200_000):
            data = "".join(chr(ord("a") + number % 26) for number in range(size))
            sent = await ann.ask(type="publish", channel="echo:sizes", data=data)
            assert sent["type"] == "ok"
            assert (await bob.hear_type("message"))["data"] == data
        assert "Traceback" not in own.log


@asynccontextmanager
async def serving(application: Any) -> AsyncIterator[str]:
    """An application of the test's own behind this protocol, without the rest of a server."""
    config, state = configured(application), ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SocketProtocol(config, state, {}), "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*state.tasks)


async def heard_by(connection: ClientConnection) -> list[str | bytes]:
    """Everything up to the close."""
    heard: list[str | bytes] = []
    async with asyncio.timeout(PATIENCE):
        try:
            while True:
                heard.append(await connection.recv())
        except ConnectionClosed:
            return heard


async def test_frames_of_every_length_and_the_close_arrive_in_order() -> None:
    lengths = [*range(127), 65_535, 65_536, 70_000, 900_000]
    texts = [f"{length % 10}" * length for length in lengths]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        link: SocketProtocol = scope["extensions"][LINK]
        link.begin(Limits())
        for number, text in enumerate(texts):
            link.write(Frame(text.encode()))
            if number % 10 == 0:
                await asyncio.sleep(0)
        link.end(CloseCode.DRAIN)
        await receive()

    async with serving(application) as url, handshake(url, max_queue=None) as connection:
        assert await heard_by(connection) == texts
        assert (connection.close_code, connection.close_reason) == (4000, "drain")


async def test_who_pauses_for_a_moment_is_told_everything_before_the_close() -> None:
    texts = [f"{number:01000}" for number in range(5000)]
    written, ended = asyncio.Event(), asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        link: SocketProtocol = scope["extensions"][LINK]
        link.begin(Limits(outbox_bytes=10_000_000))
        await written.wait()
        for text in texts:
            link.write(Frame(text.encode()))
            await asyncio.sleep(0)
        assert not link.writable.is_set(), "more than the kernel takes"
        link.end(CloseCode.DRAIN)
        ended.set()
        await receive()

    async with serving(application) as url, handshake(url, max_queue=None) as connection:
        connection.transport.pause_reading()
        written.set()
        await ended.wait()
        connection.transport.resume_reading()
        assert await heard_by(connection) == texts
        assert (connection.close_code, connection.close_reason) == (4000, "drain")


@pytest.mark.parametrize("outbox", ["100000", "1000000000"])
async def test_who_does_not_read_is_cut_in_time_and_the_others_hear_everything(
    tmp_path: Path, connect: Connect, outbox: str
) -> None:
    """By what waits for them, or by the pings that they do not answer."""
    with running(
        tmp_path,
        APP_HEARTBEAT_SECONDS="1",
        APP_HEARTBEAT_TIMEOUT_SECONDS="1",
        APP_OUTBOX_BYTES=outbox,
    ) as own:
        ann, bob = await connect("ann", to=own), await connect("bob", to=own)
        await bob.ask(type="subscribe", channel="chat:lobby")
        async with deaf(own, "chat:lobby"), own.rest() as http:
            for batch in range(20):
                for _ in range(100):
                    await ann.say(type="publish", channel="chat:lobby", data={"text": "x" * 4000})
                for number in range(100):
                    heard = await bob.hear_type("message")
                    assert heard["offset"] == 100 * batch + number + 1
            async with asyncio.timeout(PATIENCE):
                while (await http.get("/health")).json()["connections"] != 2:
                    await bob.ask(type="ping")
        assert "Traceback" not in own.log


async def test_plain_asgi_serves_the_same_chat_and_warns_once(
    tmp_path: Path, connect: Connect
) -> None:
    program = ("-m", "uvicorn", "app.main:app", "--port", "0")
    with running(tmp_path, program=program) as own:
        ann, bob = await connect("ann", to=own), await connect("bob", to=own)
        for wire in (ann, bob):
            await wire.ask(type="subscribe", channel="chat:lobby")
        sent = await ann.ask(type="publish", channel="chat:lobby", data={"text": "hello"})
        heard = await bob.hear_type("message")
        assert heard["data"] == {"text": "hello"}
        assert (heard["epoch"], heard["offset"]) == (sent["epoch"], sent["offset"])
        assert own.log.count(WARNING) == 1
        assert "Traceback" not in own.log


async def test_the_service_itself_is_not_served_by_plain_asgi(
    service: Service, connect: Connect
) -> None:
    await connect("ann")
    assert WARNING not in service.log
