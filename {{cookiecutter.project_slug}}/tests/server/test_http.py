"""Requests: whole, small and in time, or answered and ended; on real sockets."""

import asyncio
import gc
import inspect
import socket
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState
from websockets.frames import Opcode

from app.server import crowd, http
from app.server.http import HttpProtocol
from app.server.websocket import SocketProtocol
from app.settings import Limits
from app.tally import Tally

from ..service import API_KEY, PATIENCE, Service, running
from .peer import configured
from .stranger import HANDSHAKE, Stranger, asking, framed, request

REREAD = "relied on since uvicorn 0.54.0: reread app/server/http.py before you go on"
SECONDS = 0.3
"""How long a request may take."""
LARGEST = 16_384
"""Bytes that the head of a request may have."""
ALIVE = ("GET /livez HTTP/1.1", "Host: localhost")
POST = ("POST /api/channels/echo:lobby/messages HTTP/1.1", "Host: localhost")


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that does not wait long for a request."""
    folder = tmp_path_factory.mktemp("hasty")
    with running(folder, APP_HANDSHAKE_SECONDS=f"{SECONDS}") as service:
        yield service
        assert "Traceback" not in service.log


@asynccontextmanager
async def serving(application: Any, limits: Limits | None = None) -> AsyncIterator["Served"]:
    """An application of the test's own behind this protocol, without the rest of a server.

    Whatever happens, who is gone or a WebSocket is not counted.
    """
    served = Served(application, limits or Limits())
    server = await asyncio.get_running_loop().create_server(served.connect, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    async with server:
        try:
            yield served
        finally:
            for protocol in tuple(served.state.connections):
                protocol.transport.abort()
            await asyncio.gather(*served.state.tasks)
            await served.nobody()
            assert served.inside == 0


class Served:
    """What is served, and the connections to it."""

    def __init__(self, application: Any, limits: Limits) -> None:
        self.port = 0
        self.state = ServerState()
        self.made: list[weakref.ref[HttpProtocol]] = []
        self._config = configured(application)
        self._limits = limits
        self._crowd = Tally(limits.connections_per_address)

    def keep_alive(self, seconds: int) -> None:
        """Keep who says nothing more after an answer so long."""
        self._config.timeout_keep_alive = seconds

    @property
    def inside(self) -> int:
        """How many are counted."""
        return sum(self._crowd._counts.values())

    def connect(self) -> HttpProtocol:
        """One connection."""
        protocol = HttpProtocol(self._config, self.state, {})
        protocol._limits = self._limits
        protocol._crowd = self._crowd
        self.made.append(weakref.ref(protocol))
        return protocol

    async def first(self) -> HttpProtocol:
        """The one connection, once it is made."""
        async with asyncio.timeout(PATIENCE):
            while not self.state.connections:
                await asyncio.sleep(0)
        (protocol,) = self.state.connections
        assert isinstance(protocol, HttpProtocol)
        return protocol

    async def nobody(self) -> None:
        """Return once no connection is left."""
        async with asyncio.timeout(PATIENCE):
            while self.state.connections:
                await asyncio.sleep(0.01)


def test_the_constructor_of_uvicorn_takes_what_it_took() -> None:
    parameters = list(inspect.signature(HttpToolsProtocol.__init__).parameters)
    assert parameters == ["self", "config", "server_state", "app_state", "_loop"], REREAD


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("_start_asgi_task", ["self", "cycle", "app"]),
        ("connection_lost", ["self", "exc"]),
        ("connection_made", ["self", "transport"]),
        ("data_received", ["self", "data"]),
        ("handle_websocket_upgrade", ["self"]),
        ("on_body", ["self", "body"]),
        ("on_headers_complete", ["self"]),
        ("on_message_begin", ["self"]),
        ("on_message_complete", ["self"]),
        ("on_response_complete", ["self"]),
        ("pause_writing", ["self"]),
        ("resume_writing", ["self"]),
        ("send_400_response", ["self", "msg"]),
    ],
)
def test_uvicorn_has_the_methods_it_had(name: str, arguments: list[str]) -> None:
    method = getattr(HttpToolsProtocol, name, None)
    assert method is not None, REREAD
    assert list(inspect.signature(method).parameters) == arguments, REREAD


def test_uvicorn_keeps_its_state_where_it_kept_it() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None: ...

    async def made() -> HttpToolsProtocol:
        return HttpToolsProtocol(configured(application), ServerState(), {})

    state = vars(asyncio.run(made()))
    wanted = {"cycle", "loop", "parser", "pipeline", "server_state", "transport"}
    assert set(state) >= wanted, REREAD
    parameters = inspect.signature(RequestResponseCycle.__init__).parameters
    assert "on_response" in parameters, REREAD
    source = inspect.getsource(RequestResponseCycle.__init__)
    assert "self.response_started" in source and "self.response_complete" in source, REREAD


async def test_who_says_nothing_is_gone_in_time_without_an_answer(hasty: Service) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    async with Stranger.open(hasty.port) as stranger:
        assert await stranger.rest() == b""
    assert loop.time() - start >= SECONDS


@pytest.mark.parametrize(
    "begun",
    [
        b"G",
        request(*ALIVE)[:-1],
        request(*HANDSHAKE)[:-1],
        request(*POST, "Content-Length: 100") + b"{",
        request(*POST, "Transfer-Encoding: chunked") + b"1\r\n{\r\n",
    ],
)
async def test_who_says_half_a_request_is_told_so_in_time(hasty: Service, begun: bytes) -> None:
    async with Stranger.open(hasty.port) as stranger:
        await stranger.say(begun)
        heard = await stranger.rest()
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nconnection: close\r\n" in heard


@pytest.mark.parametrize(
    "begun", [b"GET /livez HTTP/1.1\r\nX: ", request(*POST, "Content-Length: 60000")]
)
async def test_who_dribbles_is_not_waited_for(hasty: Service, begun: bytes) -> None:
    async with Stranger.open(hasty.port) as stranger:
        await stranger.say(begun)
        assert await stranger.say_while_heard(b"x") > 1
        assert (await stranger.rest())[:13] in (b"HTTP/1.1 408 ", b"")


async def test_a_body_that_nobody_waits_for_is_not_waited_for_either(hasty: Service) -> None:
    """The answer came before it: unknown paths are not read."""
    async with Stranger.open(hasty.port) as stranger:
        await stranger.say(request("POST /nowhere HTTP/1.1", "Host: x", "Content-Length: 60000"))
        assert (await stranger.hear()).startswith(b"HTTP/1.1 404 ")
        await stranger.say_while_heard(b"x")
        assert b"HTTP" not in await stranger.rest()


async def test_a_connection_serves_several_requests_and_half_of_one_is_timed_anew(
    hasty: Service,
) -> None:
    async with Stranger.open(hasty.port) as stranger:
        for _ in range(3):
            await stranger.say(request(*ALIVE))
            assert (await stranger.hear()).startswith(b"HTTP/1.1 200 ")
            await stranger.hear_body()
            await asyncio.sleep(SECONDS / 2)
        await stranger.say(request(*ALIVE) + b"GET")
        assert (await stranger.hear()).startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 408 " in await stranger.rest()


async def test_who_says_nothing_of_a_second_request_but_an_empty_line_is_gone_in_time(
    hasty: Service,
) -> None:
    async with Stranger.open(hasty.port) as stranger:
        await stranger.say(request(*ALIVE))
        await stranger.hear()
        await stranger.hear_body()
        await stranger.say(b"\r\n")
        await stranger.rest()


@pytest.mark.parametrize(("lines", "served"), [(ALIVE, b"200"), (HANDSHAKE, b"101")])
async def test_headers_may_have_so_many_bytes_and_not_one_more(
    service: Service, lines: tuple[str, ...], served: bytes
) -> None:
    if lines is HANDSHAKE:
        lines = asking(service, await service.shown(None))
    for size, status in ((LARGEST, served), (LARGEST + 1, b"431")):
        head = request(*lines, size=size)
        assert len(head) == size
        for pieces in ([head], [head[:9], head[9:]], [head[:-1], head[-1:]]):
            async with Stranger.open(service.port) as stranger:
                try:
                    for piece in pieces:
                        await stranger.say(piece)
                except ConnectionError:
                    assert status == b"431"
                assert (await stranger.hear()).startswith(b"HTTP/1.1 %b " % status)


async def test_of_the_second_request_on_a_connection_headers_may_have_as_many(
    service: Service,
) -> None:
    async with Stranger.open(service.port) as stranger:
        for size, status in ((LARGEST, 200), (LARGEST, 200), (LARGEST + 1, 431)):
            await stranger.say(request(*ALIVE, size=size))
            assert (await stranger.hear()).startswith(b"HTTP/1.1 %d " % status)
            if status == 200:
                await stranger.hear_body()
        assert await stranger.rest() == b""


async def test_what_follows_the_last_chunk_is_not_counted_with_the_next_request() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async with serving(application) as served, Stranger.open(served.port) as stranger:
        protocol = await served.first()
        protocol.data_received(request(*POST, "Transfer-Encoding: chunked", size=LARGEST))
        protocol.data_received(b"1\r\n{\r\n")
        protocol.data_received(b"0\r\nX: " + b"x" * (LARGEST - 100) + b"\r\n\r\n")
        assert (await stranger.hear()).startswith(b"HTTP/1.1 204 ")
        protocol.data_received(request(*ALIVE, size=LARGEST))
        assert (await stranger.hear()).startswith(b"HTTP/1.1 204 ")


async def test_a_body_may_have_more_than_headers(service: Service) -> None:
    async with Stranger.open(service.port) as stranger:
        body = b'{"data": "%b"}' % (b"x" * 60_000)
        headers = f"Content-Length: {len(body)}", "Content-Type: application/json"
        await stranger.say(request(*POST, f"X-API-Key: {API_KEY}", *headers) + body)
        assert (await stranger.hear()).startswith(b"HTTP/1.1 20")


@pytest.mark.parametrize("more", [[f"X: {'x' * 8200}"], [f"X{number}: x" for number in range(130)]])
async def test_a_handshake_that_websockets_finds_too_large_is_answered(
    service: Service, more: list[str]
) -> None:
    async with Stranger.open(service.port) as stranger:
        await stranger.say(request(*HANDSHAKE, *more))
        assert (await stranger.rest()).startswith(b"HTTP/1.1 431 ")


async def test_what_follows_the_last_chunk_is_bounded_as_headers_are(service: Service) -> None:
    async with Stranger.open(service.port) as stranger:
        await stranger.say(request(*POST, "Transfer-Encoding: chunked") + b"1\r\n{\r\n0\r\nX: ")
        await stranger.say_while_heard(b"x" * LARGEST)
        assert (await stranger.rest())[:13] in (b"HTTP/1.1 431 ", b"")


async def test_as_many_requests_may_wait_for_their_turn_and_not_one_more(service: Service) -> None:
    async with Stranger.open(service.port) as stranger:
        await stranger.say(request(*ALIVE) * (1 + http.PIPELINED))
        for _ in range(1 + http.PIPELINED):
            assert (await stranger.hear()).startswith(b"HTTP/1.1 200 ")
            await stranger.hear_body()
    async with Stranger.open(service.port) as stranger:
        await stranger.say(request(*ALIVE) * (2 + http.PIPELINED))
        assert (await stranger.rest()).count(b"HTTP/1.1 400 ") == 1


@pytest.mark.parametrize("more", [b"nonsense\r\n\r\n", request(*HANDSHAKE)])
async def test_who_answers_a_request_is_told_that_nobody_reads_it(more: bytes) -> None:
    """Also where more requests came behind it."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async with serving(application) as served, Stranger.open(served.port) as stranger:
        await stranger.say(request(*ALIVE) * 2 + more)
        assert (await stranger.rest()).startswith(b"HTTP/1.1 400 ")
        async with asyncio.timeout(PATIENCE):
            while served.state.tasks:
                await asyncio.sleep(0.01)


async def test_what_is_no_request_is_not_logged_each_time(service: Service) -> None:
    before = service.log
    for said in (b"\x16\x03\x01\x02\x00", request(*ALIVE, "Connection: Upgrade", "Upgrade: h2c")):
        async with Stranger.open(service.port) as stranger:
            await stranger.say(said)
            assert (await stranger.hear()).startswith(b"HTTP/1.1 ")
    assert service.log == before


@pytest.mark.parametrize(("slow", "seconds"), [(10, 30), (60, 65), (1e9, (2**31 - 1) / 1000)])
async def test_the_kernel_gives_up_on_a_peer_that_acknowledges_nothing(
    slow: float, seconds: float
) -> None:
    """Not before it would be called a slow consumer."""

    async def application(scope: Any, receive: Any, send: Any) -> None: ...

    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        return
    limits = Limits(outbox_seconds=slow)
    async with serving(application, limits) as served, Stranger.open(served.port):
        peer = (await served.first()).transport.get_extra_info("socket")
        timeout = peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert timeout == int(seconds * 1000)


async def accepting(scope: Any, receive: Any, send: Any) -> None:
    """Accept, and stay."""
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


async def test_nothing_is_left_of_the_request_once_it_is_a_websocket() -> None:
    gc.disable()
    try:
        async with serving(accepting) as served, Stranger.upgraded(served.port):
            assert [type(each) for each in served.state.connections] == [SocketProtocol]
            assert [made() for made in served.made] == [None]
    finally:
        gc.enable()


async def test_nothing_is_timed_of_a_handshake_that_was_refused() -> None:
    async with serving(accepting) as served, Stranger.open(served.port) as stranger:
        protocol = await served.first()
        await stranger.say(request(*HANDSHAKE[:-1]))
        assert (await stranger.rest()).startswith(b"HTTP/1.1 400 ")
        await served.nobody()
        assert protocol._deadline is protocol._reading is None


async def large(scope: Any, receive: Any, send: Any) -> None:
    """Answer with 10 MB; accept WebSockets."""
    if scope["type"] == "websocket":
        return await accepting(scope, receive, send)
    headers = [(b"content-length", b"10000000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(10_000_000)})


@pytest.mark.parametrize("high", [65_536, 100_000_000])
async def test_who_did_not_read_an_answer_gets_no_websocket(high: int) -> None:
    """It would not know that too much waits."""
    async with serving(large) as served, Stranger.open(served.port) as stranger:
        (await served.first()).transport.set_write_buffer_limits(high)
        await stranger.say(request(*ALIVE))
        await stranger.hear()
        await stranger.say(request(*HANDSHAKE))
        assert b"HTTP/1.1 400 " in (await stranger.rest())[-1000:]


async def test_who_read_an_answer_late_is_not_cut_as_a_websocket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "READ_SECONDS", SECONDS)
    written = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            return await large(scope, receive, send)
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": bytes(20_000_000)})
        written.set()
        await receive()

    async with serving(application) as served, Stranger.open(served.port) as stranger:
        (await served.first()).transport.set_write_buffer_limits(100_000_000)
        await stranger.say(request(*ALIVE))
        await stranger.hear()
        await stranger.hear_body()
        await stranger.say(request(*HANDSHAKE))
        assert (await stranger.hear()).startswith(b"HTTP/1.1 101 ")
        await written.wait()
        await asyncio.sleep(2 * SECONDS)
        assert len(await stranger.hear_exactly(20_000_000)) == 20_000_000


async def test_an_application_that_does_not_accept_in_time_is_not_waited_for() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "websocket.disconnect":
            pass

    limits = Limits(handshake_seconds=SECONDS)
    async with serving(application, limits) as served, Stranger.open(served.port) as stranger:
        await stranger.say(request(*HANDSHAKE))
        assert (await stranger.rest()).startswith(b"HTTP/1.1 500 ")
        await served.nobody()


async def test_who_is_accepted_in_time_stays() -> None:
    limits = Limits(handshake_seconds=SECONDS)
    async with serving(accepting, limits) as served, Stranger.upgraded(served.port):
        await asyncio.sleep(2 * SECONDS)
        assert served.state.connections


async def test_what_is_said_before_the_application_accepts_waits_for_that() -> None:
    asked, accept = asyncio.Event(), asyncio.Event()
    events: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        asked.set()
        await accept.wait()
        await send({"type": "websocket.accept"})
        while events[-1:] != ["websocket.disconnect"]:
            event = await receive()
            events.append(event.get("text", event["type"]))

    async with serving(application) as served, Stranger.open(served.port) as stranger:
        await stranger.say(request(*HANDSHAKE))
        await asked.wait()
        await stranger.say(framed(Opcode.TEXT, b"early") + framed(Opcode.PING, b"!"))
        (protocol,) = served.state.connections
        while protocol.transport.is_reading():
            await asyncio.sleep(0)
        accept.set()
        assert (await stranger.hear()).startswith(b"HTTP/1.1 101 ")
        assert await stranger.hear_exactly(3) == b"\x8a\x01!"
        await stranger.say(framed(Opcode.TEXT, b"late") + framed(Opcode.CLOSE))
        await stranger.rest()
        await served.nobody()
    assert events == ["early", "late", "websocket.disconnect"]


@pytest.mark.parametrize("high", [65_536, 100_000_000])
async def test_who_does_not_read_an_answer_is_cut(
    monkeypatch: pytest.MonkeyPatch, high: int
) -> None:
    """Whether or not so much waits that the application would have to wait, too."""
    monkeypatch.setattr(http, "READ_SECONDS", 0.05)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        (protocol,) = served.state.connections
        protocol.transport.set_write_buffer_limits(high)
        size = b"10000000"
        headers = [(b"content-length", size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(int(size))})

    async with serving(application) as served, Stranger.open(served.port) as stranger:
        await stranger.say(request(*ALIVE))
        await stranger.hear()
        await served.nobody()
        assert len(await stranger.rest()) < 10_000_000


async def test_who_reads_an_answer_slowly_gets_it_whole() -> None:
    size, pieces = 10_000_000, 4

    async def application(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % size), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(size)})

    async with serving(application) as served, Stranger.open(served.port) as stranger:
        protocol = await served.first()
        await stranger.say(request(*ALIVE))
        await stranger.hear()
        for _ in range(pieces):
            left = protocol.transport.get_write_buffer_size()
            # The kernel takes more from the server after a third of what it holds, up to 4 MB.
            await stranger.hear_exactly(size // pieces)
            protocol._expect_reading(left)  # as the clock has it do every while
        assert await stranger.rest() == b""


async def test_who_reads_an_answer_byte_by_byte_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ_SECONDS", 0.001)
    async with serving(large) as served, Stranger.open(served.port) as stranger:
        waiting = iter(range(1_000_000, 0, -1))
        transport = (await served.first()).transport
        monkeypatch.setattr(transport, "get_write_buffer_size", lambda: next(waiting))
        await stranger.say(request(*ALIVE))
        await served.nobody()
        assert next(waiting) > 999_990


async def test_who_does_not_read_a_refusal_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(http, "READ_SECONDS", 1000)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})

    limits = Limits(handshake_seconds=1000)
    async with serving(application, limits) as served, Stranger.open(served.port) as stranger:
        await stranger.say(request(*ALIVE))
        await stranger.hear()
        protocol = await served.first()
        while not protocol.flow.write_paused:
            await asyncio.sleep(0)
        await stranger.say(b"nonsense\r\n\r\n")
        await served.nobody()


# how many


async def silent(stranger: Stranger) -> None:
    """Say nothing until that was too long."""
    await stranger.rest()


async def gone(stranger: Stranger) -> None:
    """Leave."""
    stranger.cut()


async def reset(stranger: Stranger) -> None:
    """Reset the connection."""
    stranger.cut(reset=True)


def saying(
    *lines: str, more: bytes = b"", then: Callable[[Stranger], Awaitable[None]] = silent
) -> Callable[[Stranger], Awaitable[None]]:
    """Say something first."""

    async def say(stranger: Stranger) -> None:
        await stranger.say((request(*lines) if lines else b"") + more)
        if then is not silent:
            await stranger.hear()
        await then(stranger)

    return say


@pytest.mark.parametrize(
    "end",
    {
        "silent": silent,
        "gone": gone,
        "reset": reset,
        "half a request": saying(more=b"GET"),
        "no request": saying(more=b"nonsense\r\n\r\n"),
        "large": saying(*ALIVE, f"X: {'x' * LARGEST}"),
        "many": saying(more=request(*ALIVE) * 20),
        "served, idle": saying(*ALIVE),
        "served, last": saying(*ALIVE, "Connection: close"),
        "served, gone": saying(*ALIVE, then=gone),
        "served, reset": saying(*ALIVE, then=reset),
        "failed": saying("GET /fails HTTP/1.1", "Host: x"),
        "unread": saying("GET /large HTTP/1.1", "Host: x", then=lambda _: asyncio.sleep(0)),
        "unread, reset": saying("GET /large HTTP/1.1", "Host: x", then=reset),
        "unread, upgrade": saying("GET /large HTTP/1.1", "Host: x", more=request(*HANDSHAKE)),
        "waiting, reset": saying("GET /waits HTTP/1.1", "Host: x", then=reset),
        "waiting, upgrade": saying("GET /waits HTTP/1.1", "Host: x", more=request(*HANDSHAKE)),
        "upgrade": saying(*HANDSHAKE, then=lambda _: asyncio.sleep(0)),
        "upgrade, gone": saying(*HANDSHAKE, then=gone),
        "upgrade, reset": saying(*HANDSHAKE, then=reset),
        "upgrade, no key": saying(*HANDSHAKE[:-1]),
        "upgrade, large": saying(*HANDSHAKE, f"X: {'x' * 8200}"),
        "upgrade, never accepted": saying(*HANDSHAKE, "X-Wait: 1"),
        "upgrade, wrong protocol": saying(*ALIVE, "Connection: Upgrade", "Upgrade: h2c"),
    }.items(),
    ids=lambda end: end[0],
)
async def test_who_is_no_websocket_has_a_place_until_it_is_gone(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    end: tuple[str, Callable[[Stranger], Awaitable[None]]],
) -> None:
    """Each round would be short of places if one had been lost, and long if one was found."""
    monkeypatch.setattr(http, "READ_SECONDS", 0.05)
    monkeypatch.setattr(http, "CLOSE_SECONDS", 0.05)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/fails":
            raise ValueError(path)
        if path == "/waits":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "more_body": True, "body": b"x"})
        if path == "/waits" or (b"x-wait", b"1") in scope["headers"]:
            while not (await receive())["type"].endswith("disconnect"):
                pass
        elif path == "/large" or scope["type"] == "websocket":
            await large(scope, receive, send)
        else:
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

    limits = Limits(handshake_seconds=SECONDS, connections_per_address=3)
    async with serving(application, limits) as served:
        served.keep_alive(1)
        for _ in range(3):
            async with AsyncExitStack() as stack:
                inside = [
                    await stack.enter_async_context(Stranger.open(served.port)) for _ in range(3)
                ]
                async with Stranger.open(served.port) as beyond:
                    assert (await beyond.rest()).startswith(b"HTTP/1.1 429 ")
                assert served.inside == 3
                await asyncio.gather(*(end[1](each) for each in inside))
                async with asyncio.timeout(PATIENCE):
                    while served.inside:
                        await asyncio.sleep(0.01)


async def test_a_websocket_takes_no_place_of_those_who_are_none() -> None:
    limits = Limits(connections_per_address=1)
    async with serving(accepting, limits) as served, AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(Stranger.upgraded(served.port))
        assert served.inside == 0


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two networks of proxies."""
    monkeypatch.setenv("APP_TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1, 2001:db8::/32")
    for each in (crowd.origin, crowd._proxies):
        each.cache_clear()
    yield
    for each in (crowd.origin, crowd._proxies):
        each.cache_clear()


@pytest.mark.usefixtures("proxies")
async def test_through_a_trusted_proxy_any_number_may_come() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None: ...

    limits = Limits(connections_per_address=1)
    async with serving(application, limits) as served, AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(Stranger.open(served.port))
        async with asyncio.timeout(PATIENCE):
            while len(served.state.connections) < 3:
                await asyncio.sleep(0)


@pytest.mark.usefixtures("proxies")
@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.1.2.3", None),
        ("::ffff:10.1.2.3", None),
        ("2001:db8::1", None),
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80:0000:0000:0000"),
    ],
)
def test_a_trusted_proxy_counts_as_nothing(address: str, name: str | None) -> None:
    assert crowd.origin(address) == name
