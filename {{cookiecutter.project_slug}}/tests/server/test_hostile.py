"""Strangers who flood, bloat and dribble: each is bounded, and nobody else notices."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from websockets.frames import Opcode

from app.server.inbound import CONTROL_FRAMES, FRAGMENTS

from ..conftest import Connect
from ..doors.base import Shown
from ..service import IN_HASTE, PROGRAM, Service, running
from .stranger import HANDSHAKE, Stranger, asking, close_code, framed, request, undisturbed

SECONDS = 1.0
"""How long a request may take."""
MEBIBYTE = 1 << 20
LARGEST = 65_536
"""Bytes that a message may have."""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that strangers find."""
    folder = tmp_path_factory.mktemp("target")
    own: dict[str, str | None] = dict.fromkeys(IN_HASTE)
    own |= {"APP_HANDSHAKE_SECONDS": f"{SECONDS}", "APP_COMPRESSION": "true"}
    with running(folder, program=PROGRAM, **own) as service:
        yield service


@pytest.fixture
async def others(target: Service, connect: Connect) -> AsyncIterator[None]:
    """Those who are served meanwhile."""
    async with undisturbed(target, connect):
        yield


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("lines", [("GET / HTTP/1.1",), HANDSHAKE])
async def test_a_header_of_30_mb_is_not_kept(target: Service, lines: tuple[str, ...]) -> None:
    async with Stranger.open(target.port) as stranger:
        await stranger.say(request(*lines)[:-2] + b"X: ")
        assert await stranger.say_while_heard(b"x" * MEBIBYTE) < 30
        assert (await stranger.rest())[:13] in (b"HTTP/1.1 431 ", b"")


@pytest.mark.usefixtures("others")
async def test_of_500_who_say_nothing_100_are_let_in_and_gone_in_time(target: Service) -> None:
    """Of these 100, who publishes meanwhile is one."""
    async with AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(Stranger.open(target.port)) for _ in range(500)]
        heard = await asyncio.gather(*(each.rest() for each in crowd))
        assert {each[:13] for each in heard[:99]} == {b""}
        assert {each[:13] for each in heard[99:]} <= {b"", b"HTTP/1.1 429 "}
        assert b"HTTP/1.1 429 " in {each[:13] for each in heard}


@pytest.mark.usefixtures("others")
async def test_of_500_handshakes_of_one_address_few_are_let_in(target: Service) -> None:
    members = [await target.shown(f"member-{number % 25}") for number in range(500)]
    async with AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(Stranger.open(target.port)) for _ in range(500)]

        async def shake(stranger: Stranger, shown: Shown) -> bytes:
            await stranger.say(request(*asking(target, shown)))
            return (await stranger.hear())[:12]

        # Who is one too many may be closed before it has said anything.
        heads = await asyncio.gather(*map(shake, crowd, members), return_exceptions=True)
        assert 0 < heads.count(b"HTTP/1.1 101") < 100, "somebody else has a place, too"
        said = {each for each in heads if isinstance(each, bytes)}
        assert said <= {b"HTTP/1.1 101", b"HTTP/1.1 429"}


@pytest.mark.usefixtures("others")
async def test_of_1000_messages_at_once_few_are_answered(target: Service) -> None:
    async with Stranger.admitted(target) as stranger:
        await stranger.say(framed(Opcode.TEXT, b'{"type":"ping"}') * 1000)
        heard = await stranger.rest()
        # Who has not said who it is errs with each.
        assert close_code(heard) in (4200, 4507)
        assert heard.count(b'"type":') < 100


@pytest.mark.usefixtures("others")
async def test_a_header_byte_by_byte_is_not_waited_for(target: Service) -> None:
    async with AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(Stranger.open(target.port)) for _ in range(20)]
        await asyncio.gather(*(each.say(request(*HANDSHAKE)[:-2] + b"X: ") for each in crowd))
        await asyncio.gather(*(each.say_while_heard(b"x") for each in crowd))


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("kind", [Opcode.PING, Opcode.PONG])
@pytest.mark.parametrize("size", [0, 125])
async def test_of_50_mb_of_control_frames_few_are_taken(
    target: Service, kind: Opcode, size: int
) -> None:
    flood = framed(kind, b"x" * size)
    flood *= MEBIBYTE // len(flood)
    async with Stranger.admitted(target) as stranger:
        assert await stranger.say_while_heard(flood) < 50
        assert_closed(await stranger.rest(), 4200)


@pytest.mark.usefixtures("others")
async def test_as_many_control_frames_are_answered_and_not_one_more(target: Service) -> None:
    ping = framed(Opcode.PING)
    async with Stranger.admitted(target) as stranger:
        await stranger.say(ping * CONTROL_FRAMES)
        heard = await stranger.hear_until(b"\x8a\x00" * CONTROL_FRAMES)
        assert b"\x88" not in heard
        await stranger.say(ping)
        assert close_code(await stranger.rest()) == 4200


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("data", [b"", b"x"])
async def test_a_message_of_a_million_fragments_is_refused(target: Service, data: bytes) -> None:
    first, next_ = framed(Opcode.TEXT, final=False), framed(Opcode.CONT, data, final=False)
    async with Stranger.admitted(target) as stranger:
        await stranger.say(first)
        assert await stranger.say_while_heard(next_ * 100_000) < 10
        assert_closed(await stranger.rest(), 4502)


@pytest.mark.usefixtures("others")
async def test_a_message_may_have_so_many_fragments_and_not_one_more(target: Service) -> None:
    first, last = framed(Opcode.TEXT, b"{", final=False), framed(Opcode.CONT, b"}")
    between = framed(Opcode.CONT, final=False)
    async with Stranger.admitted(target) as stranger:
        await stranger.say(first + between * (FRAGMENTS - 2) + last)
        assert b"invalid_message" in await stranger.hear_until(b"invalid_message")
        await stranger.say(first + between * (FRAGMENTS - 1) + last)
        assert close_code(await stranger.rest()) == 4502


@pytest.mark.usefixtures("others")
async def test_bombs_are_refused_before_they_go_off(target: Service) -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -12)
    bomb = deflate.compress(bytes(60 * MEBIBYTE)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < LARGEST
    frame = framed(Opcode.TEXT, bomb[:-4], compressed=True)
    async with AsyncExitStack() as stack:
        for _ in range(20):
            offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
            stranger = Stranger.admitted(target, offer)
            await (each := await stack.enter_async_context(stranger)).say(frame)
            assert close_code(await each.rest()) == 1009


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("offers", [(), ("Sec-WebSocket-Extensions: permessage-deflate",)])
async def test_messages_of_a_mebibyte_are_refused(target: Service, offers: tuple[str, ...]) -> None:
    frame = framed(Opcode.TEXT, b"x" * MEBIBYTE)
    for _ in range(20):
        async with Stranger.admitted(target, *offers) as stranger:
            await stranger.say_while_heard(frame)
            assert_closed(await stranger.rest(), 1009)


async def test_who_has_more_on_its_way_hears_why_it_ends(target: Service) -> None:
    """A socket that is closed with something unread is reset, and what was said with it lost."""
    async with target.rest() as http:
        for opened, data in (
            (Stranger.admitted(target), framed(Opcode.TEXT, b"x" * 500_000)),
            (Stranger.open(target.port), request(*HANDSHAKE, size=500_000)),
        ):
            async with opened as stranger:
                for more in (data, b"more", b"and more"):
                    await stranger.say(more)
                    await http.get("/livez")
                heard = await stranger.rest()
                assert heard.startswith(b"HTTP/1.1 431 ") or close_code(heard) == 1009


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("whole", [True, False])
async def test_a_message_may_have_so_many_bytes_and_not_one_more(
    target: Service, whole: bool
) -> None:
    for size in (LARGEST, LARGEST + 1):
        data = b'"%b"' % (b"x" * (size - 2))
        async with Stranger.admitted(target) as stranger:
            if whole:
                await stranger.say(framed(Opcode.TEXT, data))
            else:
                await stranger.say(framed(Opcode.TEXT, data[:9], final=False))
                await stranger.say(framed(Opcode.CONT, data[9:]))
            if size == LARGEST:
                assert b"invalid_message" in await stranger.hear_until(b"invalid_message")
            else:
                assert close_code(await stranger.rest()) == 1009


@pytest.mark.usefixtures("others")
async def test_what_is_no_websocket_is_refused_and_not_logged(target: Service) -> None:
    bad = framed(Opcode.TEXT, b"\xff")
    for said, code in (
        (b"\xff" * 100, 1002),
        (bad, 1007),
        (bad + framed(Opcode.CLOSE, b"\x0f\xa0"), 4000),
    ):
        for _ in range(20):
            async with Stranger.admitted(target) as stranger:
                await stranger.say(said)
                assert close_code(await stranger.rest()) == code


def assert_closed(heard: bytes, code: int) -> None:
    """A close frame is the last that is heard, unless a reset overtook it."""
    assert b"\x88" not in heard or close_code(heard) == code
