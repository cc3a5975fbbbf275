"""How many connections a server takes, from where, and what a hostile client gets of it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from fastapi import FastAPI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidMessage, InvalidStatus

from app.auth.base import Principal
from app.auth.dependencies import current_principal
from app.features.base import current_node
from app.http import channels
from app.http.errors import install_errors
from app.http.websocket import Socket
from app.realtime.node import Node
from app.settings import ServerSettings, seen_as

from ..conftest import Connect
from ..doors.base import Shown
from ..realtime.stage import open_node
from ..service import API_KEY, IN_HASTE, PATIENCE, PROGRAM, Connected, Service, knock, running

ELSEWHERE = "127.0.0.2"
"""Another address of this machine."""

MEMBERS = (f"member-{number % 25}" for number in count())
"""Those in a crowd, so many that none of them has too many connections."""

UNHURRIED: dict[str, None] = dict.fromkeys(IN_HASTE)
"""The rates that a service has by itself."""


@asynccontextmanager
async def crowd() -> AsyncIterator[Callable[..., Awaitable[ClientConnection]]]:
    """Opens connections that are cut at the end."""
    async with AsyncExitStack() as stack:

        async def enter(
            service: Service,
            source: str = "127.0.0.1",
            shown: Shown | None = None,
            headers: Mapping[str, str] | None = None,
            **options: Any,
        ) -> ClientConnection:
            shown = shown or await service.shown(next(MEMBERS))
            shown = replace(shown, headers={**shown.headers, **(headers or {})})
            options |= {"local_addr": (source, 0), "max_queue": None}
            connection = await knock(service, shown, **options)
            stack.callback(connection.transport.abort)
            return connection

        yield enter


async def refused(attempt: Awaitable[ClientConnection]) -> tuple[int, str]:
    """Status and body of what refuses a handshake, which says when to come back."""
    with pytest.raises(InvalidStatus) as error:
        await attempt
    response = error.value.response
    assert 1 <= int(response.headers["Retry-After"]) <= 10
    return response.status_code, (response.body or b"").decode()


async def until_let_in(enter: Callable[[], Awaitable[ClientConnection]]) -> ClientConnection:
    """The connection, once a place is free."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(InvalidStatus):
                return await enter()
            await asyncio.sleep(0.01)


# caps


@pytest.fixture(scope="module")
def capped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that takes few connections of an address, and few more in all."""
    with running(
        tmp_path_factory.mktemp("capped"),
        APP_CONNECTIONS_PER_ADDRESS="3",
        APP_CONNECTIONS_PER_NODE="5",
        APP_MAX_ERRORS="1",
        APP_MAX_MESSAGE_BYTES="1024",
    ) as service:
        yield service
        assert "Traceback" not in service.log
        assert '"level": "error"' not in service.log


async def leave(connection: ClientConnection) -> None:
    """Say farewell."""
    await connection.close()


async def cut(connection: ClientConnection) -> None:
    """Reset the connection, as a router does that lost its memory."""
    raw = connection.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.transport.abort()


async def vanish(connection: ClientConnection) -> None:
    """Close without a word."""
    connection.transport.abort()


async def err(connection: ClientConnection) -> None:
    """Say so much nonsense that the server has enough."""
    for _ in range(3):
        await connection.send("nonsense")
    await connection.wait_closed()
    assert connection.close_code == 4507


async def shout(connection: ClientConnection) -> None:
    """Send a message that is too large."""
    await connection.send("x" * 1025)
    await connection.wait_closed()
    assert connection.close_code == 1009


@pytest.mark.parametrize("end", [leave, cut, vanish, err, shout], ids=lambda end: end.__name__)
async def test_a_place_is_free_again_however_a_connection_ended(
    capped: Service, end: Callable[[ClientConnection], Awaitable[None]]
) -> None:
    """Each round would be short of places if one had been lost, and long if one was found."""
    async with crowd() as enter:
        for _ in range(3):
            inside = [await until_let_in(lambda: enter(capped)) for _ in range(3)]
            assert (await refused(enter(capped)))[0] == 429
            for connection in inside:
                with suppress(ConnectionError):
                    await end(connection)


async def test_an_address_has_its_places_and_another_its_own_until_the_node_is_full(
    capped: Service,
) -> None:
    async with crowd() as enter:
        here = [await until_let_in(lambda: enter(capped)) for _ in range(3)]
        status, said = await refused(enter(capped))
        assert (status, "address" in said) == (429, True)
        for _ in range(2):
            await until_let_in(lambda: enter(capped, ELSEWHERE))
        status, said = await refused(enter(capped, ELSEWHERE))
        assert (status, "node" in said) == (503, True)
        async with capped.rest() as http:
            assert (await http.get("/readyz")).status_code == 200
            metrics = (await http.get("/metrics")).text
        assert 'websocket_refused_total{why="full"}' in metrics
        assert 'websocket_refused_total{why="crowded"}' in metrics
        await here[0].close()
        await until_let_in(lambda: enter(capped, ELSEWHERE))


async def test_a_user_is_told_that_it_has_too_many_and_comes_back(
    tmp_path: Path, connect: Connect
) -> None:
    with running(tmp_path, APP_CONNECTIONS_PER_USER="2") as service:
        one, _ = await connect("ann", to=service), await connect("ann", to=service)
        with pytest.raises(Exception, match="4202"):
            await Connected.open(service, "ann")
        await connect("bob", to=service)
        await one.connection.close()
        async with asyncio.timeout(PATIENCE), service.rest() as http:
            while (await http.get("/health")).json()["connections"] > 2:
                await asyncio.sleep(0.01)
        again = await connect("ann", to=service)
        assert again.user == one.user


# whatever happens to the task


class Handshake:
    """A handshake through plain ASGI, which the test answers."""

    def __init__(self, node: Node) -> None:
        self.scope: Any = {
            "type": "websocket",
            "state": {"node": node},
            "client": ("192.0.2.1", 1),
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
            "headers": [],
            "path_params": {},
            "query_string": b"",
        }
        self.sent: list[Any] = []
        self.accepting = asyncio.Event()
        self.failure: BaseException | None = None
        self._connected = False

    async def receive(self) -> Any:
        """The connect, and then nothing."""
        if self._connected:
            await asyncio.Event().wait()
        self._connected = True
        return {"type": "websocket.connect"}

    async def send(self, event: Any) -> None:
        """Fail as told."""
        self.accepting.set()
        if self.failure is not None:
            raise self.failure
        self.sent.append(event)

    async def serve(self) -> None:
        """The endpoint's part."""
        await Socket()(self.scope, self.receive, self.send)


async def test_a_handshake_that_fails_takes_no_place() -> None:
    async with open_node() as node:
        attempt = Handshake(node)
        attempt.failure = OSError("the peer is gone")
        with pytest.raises(OSError, match="gone"):
            await attempt.serve()
        assert node.gate.inside == 0


async def test_a_connection_whose_task_is_cancelled_leaves_its_place() -> None:
    async with open_node() as node:
        attempt = Handshake(node)
        serving = asyncio.create_task(attempt.serve())
        await attempt.accepting.wait()
        assert node.gate.inside == 1
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
        assert node.gate.inside == 0


async def test_who_comes_while_the_node_shuts_down_is_sent_elsewhere() -> None:
    async with open_node() as node:
        node.gate.closed = True
        attempt = Handshake(node)
        await attempt.serve()
        start, body = attempt.sent
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
        assert b"retry-after" in dict(start["headers"])
        assert body["type"] == "websocket.http.response.body"
        assert node.gate.inside == 0
        attempt = Handshake(node)
        del attempt.scope["extensions"]
        await attempt.serve()
        assert attempt.sent == [{"type": "websocket.close"}], "all that this server can say"


# hostile


@pytest.fixture(scope="module")
def unhurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with the rates and caps that it has by itself."""
    with running(tmp_path_factory.mktemp("unhurried"), program=PROGRAM, **UNHURRIED) as service:
        yield service
        assert "Traceback" not in service.log


async def test_of_500_from_one_address_100_are_let_in_and_others_are_served(
    unhurried: Service,
) -> None:
    async with crowd() as enter:
        shown = [await unhurried.shown(next(MEMBERS)) for _ in range(500)]
        tried = [enter(unhurried, shown=each, open_timeout=PATIENCE) for each in shown]
        outcomes = await asyncio.gather(*tried, return_exceptions=True)
        inside = [each for each in outcomes if isinstance(each, ClientConnection)]
        assert len(inside) == 100
        told = [each for each in outcomes if isinstance(each, InvalidStatus)]
        assert {each.response.status_code for each in told} == {429}
        # Who has not even sent its handshake yet may find the connection closed.
        assert {type(each) for each in outcomes} <= {
            ClientConnection,
            InvalidStatus,
            InvalidMessage,
            ConnectionResetError,
        }
        other = await enter(unhurried, ELSEWHERE)
        await other.send('{"type":"nope","id":1}')
        async with asyncio.timeout(PATIENCE):
            while '"id":1' not in str(await other.recv()):
                pass
        await asyncio.gather(*(connection.close() for connection in inside))
        for _ in range(100):
            await until_let_in(lambda: enter(unhurried))
        assert (await refused(enter(unhurried)))[0] == 429


async def test_of_1000_messages_at_once_so_many_are_answered_and_that_is_the_end(
    unhurried: Service, connect: Connect
) -> None:
    async with crowd() as enter:
        await until_let_in(lambda: enter(unhurried))
    mallory, ann = await connect("mallory", to=unhurried), await connect("ann", to=unhurried)
    await ann.ask(type="subscribe", channel="chat:lobby")
    said: list[str] = []

    async def listen() -> None:
        with suppress(Exception):
            while True:
                said.append((await mallory.hear())["type"])

    listening = asyncio.create_task(listen())
    with suppress(Exception):
        for number in range(1000):
            await mallory.say(type="ping", id=number)
    published = await ann.ask(type="publish", channel="chat:lobby", data={"text": "served"})
    assert published["type"] == "ok"
    await listening
    assert mallory.connection.close_code == 4200
    # What is refilled meanwhile depends on how long it takes.
    assert 30 <= said.count("pong") <= 100
    assert 20 <= said.count("error") <= 25
    again = await connect("mallory", to=unhurried)
    assert (await again.ask(type="ping"))["type"] == "pong"


async def test_a_user_publishes_so_much_and_who_has_the_key_without_end(
    tmp_path: Path, connect: Connect
) -> None:
    with running(tmp_path, APP_PUBLISHES_BURST="2", APP_PUBLISHES_PER_SECOND="0.001") as service:
        ann, bob = await connect("ann", to=service), await connect("bob", to=service)
        await ann.ask(type="subscribe", channel="chat:lobby")
        said = {"type": "publish", "channel": "chat:lobby", "data": {"text": "x"}}
        assert [(await ann.ask(**said)).get("code") for _ in range(3)] == [
            None,
            None,
            "rate_limited",
        ]
        assert (await bob.ask(**said))["type"] == "ok"
        path = "/api/channels/chat:lobby/messages"
        async with service.rest({"X-API-Key": API_KEY}) as http:
            for _ in range(5):
                response = await http.post(path, json={"data": {"text": "x"}})
                assert response.status_code == 201


async def test_over_rest_a_user_hears_when_to_publish_again() -> None:
    ann = Principal("ann", scopes=frozenset({"publish"}))
    async with open_node(publishes_burst=2, publishes_per_second=0.5) as node:
        application = FastAPI()
        application.include_router(channels.router)
        install_errors(application)
        application.dependency_overrides[current_node] = lambda: node
        application.dependency_overrides[current_principal] = lambda: ann
        transport = httpx2.ASGITransport(app=application)
        async with httpx2.AsyncClient(transport=transport, base_url="http://node") as http:
            path = "/api/channels/talk:x/messages"
            said = [await http.post(path, json={"data": {"text": "x"}}) for _ in range(3)]
        assert [each.status_code for each in said] == [201, 201, 429]
        assert said[2].headers["Retry-After"] == "2"
        assert said[2].json()["code"] == "rate_limited"


# proxies


async def let_in(
    service: Service, count: int, header: Callable[[int], dict[str, str]], source: str
) -> int:
    """How many of so many connections with such headers are let in."""
    async with crowd() as enter:
        found = 0
        for number in range(count):
            with suppress(InvalidStatus):
                await enter(service, source, headers=header(number))
                found += 1
        return found


def claimed(before: str = "", after: str = "") -> Callable[[int], dict[str, str]]:
    """A header that names another client each time, between others."""
    return lambda number: {"X-Forwarded-For": f"{before}203.0.113.{number}{after}"}


async def test_nobody_is_believed_who_it_says_it_is(tmp_path: Path) -> None:
    with running(tmp_path, APP_CONNECTIONS_PER_ADDRESS="2") as service:
        assert await let_in(service, 5, lambda number: {}, "127.0.0.1") == 2
        assert "APP_TRUSTED_PROXIES" not in service.log
        assert await let_in(service, 5, claimed(), ELSEWHERE) == 2
        assert service.log.count("APP_TRUSTED_PROXIES") == 1


async def test_a_proxy_is_believed_of_those_who_came_to_it(tmp_path: Path) -> None:
    with running(
        tmp_path,
        APP_CONNECTIONS_PER_ADDRESS="2",
        APP_TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8",
    ) as service:
        proxy = "127.0.0.1"
        assert await let_in(service, 5, claimed(), proxy) == 5
        assert await let_in(service, 5, claimed(after=", 10.1.2.3, 10.3.2.1"), proxy) == 5
        # What the client itself claims stands to the left of what the proxy has seen.
        one, other = "198.51.100.1", "198.51.100.2"
        assert await let_in(service, 5, claimed(after=f", {one}"), proxy) == 2
        assert await let_in(service, 5, claimed(after=f", {other}, 10.1.2.3"), proxy) == 2
        assert await let_in(service, 5, claimed(), ELSEWHERE) == 2


async def test_proxies_are_believed_under_a_server_that_somebody_else_started(
    tmp_path: Path,
) -> None:
    by_hand = ("-m", "uvicorn", "app.main:app", "--port", "0", "--no-proxy-headers")
    with running(
        tmp_path,
        program=by_hand,
        APP_CONNECTIONS_PER_ADDRESS="2",
        APP_TRUSTED_PROXIES=ELSEWHERE,
    ) as service:
        assert await let_in(service, 5, claimed(), ELSEWHERE) == 5
        assert await let_in(service, 5, claimed(), "127.0.0.1") == 2


@pytest.mark.parametrize(
    ("peer", "believed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("::ffff:192.168.1.7", True),
        ("2001:db8::1", True),
        ("::ffff:11.1.2.3", False),
        ("::ffff:192.168.1.8", False),
    ],
)
async def test_a_proxy_is_believed_also_where_a_listener_of_both_kinds_sees_it(
    monkeypatch: pytest.MonkeyPatch, peer: str, believed: bool
) -> None:
    monkeypatch.setenv("APP_TRUSTED_PROXIES", "10.0.0.0/8, 192.168.1.7, 2001:db8::/32")
    trusted = seen_as(ServerSettings().trusted_proxies)
    claim = (b"x-forwarded-for", b"203.0.113.1")
    scope = {"type": "http", "method": "GET", "path": "/livez", "query_string": b""}
    scope |= {"client": (peer, 1), "headers": [claim]}

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        assert scope["client"][0] == ("203.0.113.1" if believed else peer)

    await ProxyHeadersMiddleware(behind, trusted)(
        cast(Any, scope), cast(Any, None), cast(Any, None)
    )
