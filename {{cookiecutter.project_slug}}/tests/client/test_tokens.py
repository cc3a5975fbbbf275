"""What a client does with a token that it holds, and with a source of others."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from jose import jwt

from client import Client, Closed
from client.auth import by_mode
from client.tokens import TokenAuth, TokenSource

from ..service import PATIENCE, running
from .scene import Scene
from .scripted import LOBBY, soon
from .test_service import texts

SECRET = "a secret of 32 characters or more"


def source_of(*tokens: str | BaseException) -> TokenSource:
    """A source that gives these, or raises them, one after the other."""
    left = iter(tokens)

    async def source() -> str:
        token = next(left)
        if isinstance(token, BaseException):
            raise token
        return token

    return source


ERRORS = [httpx2.ConnectError("unreachable"), TypeError("a mistake"), TimeoutError()]
"""What a source may raise; the first is no OSError."""

raising = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[BaseException | None]:
    """The errors that were logged with a traceback, for everybody to see."""
    records = [each for each in caplog.records if each.levelno >= logging.WARNING]
    return [each.exc_info[1] for each in records if each.exc_info]


class Shown(TokenAuth):
    """Sends its token first."""

    async def prepare(self, url: str) -> tuple[str, dict[str, str]]:
        return url, {"X-Token": await self.token()}


async def test_one_token_is_shown_again_and_again(scene: Scene) -> None:
    async with scene.connected(auth=Shown(source_of("t1"))) as (_, peer):
        peer.cuts()
        peer = await scene.reconnects()
        assert peer.headers["X-Token"] == "t1"


async def test_another_is_asked_for_when_one_has_expired(scene: Scene) -> None:
    async with scene.connected(auth=Shown(source_of("t1", "t2"))) as (_, peer):
        await peer.closes(4100, "credential expired")
        peer = await scene.reconnects()
        assert peer.headers["X-Token"] == "t2"


async def test_another_is_shown_before_one_ends_and_kept_from_then_on(scene: Scene) -> None:
    async with scene.connected(auth=Shown(source_of("t1", "t2"))) as (client, peer):
        await peer.says("expiring", in_ms=60000)
        command = await peer.hears("refresh", token="t2")
        await peer.answers(command, expires_at="2026-03-01T12:00:00+00:00")
        asking = asyncio.create_task(client.presence(LOBBY))
        await peer.answers(await peer.hears("presence"), channel=LOBBY, users=[], count=0)
        await soon(asking)
        assert client.welcome.expires_at is not None
        assert client.welcome.expires_at.year == 2026
        peer.cuts()
        peer = await scene.reconnects()
        assert peer.headers["X-Token"] == "t2"


async def test_one_that_was_refused_is_not_kept(scene: Scene) -> None:
    async with scene.connected(auth=Shown(source_of("t1", "another user's"))) as (client, peer):
        await peer.says("expiring", in_ms=60000)
        await peer.refuses(await peer.hears("refresh"), "forbidden")
        asking = asyncio.create_task(client.presence(LOBBY))
        await peer.hears("presence")
        peer.cuts()
        peer = await scene.reconnects()
        assert peer.headers["X-Token"] == "t1"
        asking.cancel()


@raising
async def test_a_source_that_raises_at_connect_is_asked_again(
    scene: Scene, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    client = scene.client(auth=Shown(source_of(error, error, "t1")))
    entering = asyncio.create_task(client.__aenter__())
    await scene.clock.passes(0.5)
    peer = await scene.reconnects(1.0)
    await soon(entering)
    assert peer.headers["X-Token"] == "t1"
    assert tracebacks(caplog) == [error, error]
    await client.__aexit__(None, None, None)


@raising
async def test_a_source_that_raises_before_a_token_ends_is_asked_again(
    scene: Scene, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    auth = Shown(source_of("t1", error, error, "t2"))
    async with scene.connected(auth=auth) as (_, peer):
        await peer.says("expiring", in_ms=60000)
        await scene.clock.passes(0.5)
        await scene.clock.passes(1.0)
        await peer.answers(await peer.hears("refresh", token="t2"), expires_at=None)
        assert tracebacks(caplog) == [error, error]
        assert scene.states == ["connected"]


@raising
async def test_a_source_that_goes_on_raising_is_asked_again_after_the_end(
    scene: Scene, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    auth = Shown(source_of("t1", error, error, error, "t2"))
    async with scene.connected(auth=auth) as (_, peer):
        await peer.says("expiring", in_ms=60000)
        await scene.clock.sleeps(0.5)  # before the source is asked a second time, it is too late
        await peer.closes(4100, "credential expired")
        assert await scene.tells(2) == "connecting"
        await scene.clock.passes(0.5)
        await scene.clock.passes(1.0)
        peer = await scene.reconnects(2.0)
        assert peer.headers["X-Token"] == "t2"
        assert tracebacks(caplog) == [error] * 3
        assert f"(1006 no credential: {type(error).__name__})" in caplog.text


@pytest.mark.parametrize("attempt", ["prepare", "refresh"])
async def test_a_source_that_is_cancelled_is_no_source_that_failed(
    scene: Scene, attempt: str
) -> None:
    async with scene.connected() as (client, _):
        auth = TokenAuth(source_of(asyncio.CancelledError()))
        connection = await client._connector.connection()
        asking = auth.prepare("") if attempt == "prepare" else auth.refresh("", connection)
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_without_a_source_nothing_is_said_until_the_end(scene: Scene) -> None:
    async with scene.connected(auth=Shown("t1")) as (client, peer):
        await peer.says("expiring", in_ms=60000)
        asking = asyncio.create_task(client.presence(LOBBY))
        await peer.hears("presence")
        await peer.closes(4100, "credential expired")
        with pytest.raises(Closed, match="4100 credential expired"):
            await soon(asking)


def short_lived(seconds: float) -> Callable[[], str]:
    """Signs tokens that are good for so long."""

    def sign() -> str:
        now = time.time()
        claims = {"sub": "ann", "iat": now, "exp": now + seconds, "jti": uuid4().hex}
        return jwt.encode(claims, SECRET, "HS256")

    return sign


async def test_the_service_lets_it_go_on_with_one_token_after_another(tmp_path: Path) -> None:
    """Longer than any of them is good for, and nothing is lost."""
    sign, states, given = short_lived(1.5), list[str](), asyncio.Semaphore(0)

    async def source() -> str:
        given.release()
        return sign()

    with running(tmp_path, APP_JWT_SECRET=SECRET) as service:
        client = Client(service.ws, auth=by_mode()(source), proxy=None, on_state=states.append)
        async with client, asyncio.timeout(PATIENCE):
            room = await client.subscribe("chat:lobby")
            began, first = time.time(), client.welcome.expires_at
            for number in range(4):
                await given.acquire()
                await client.publish("chat:lobby", {"text": str(number)})
            assert await texts(room, 4) == ["0", "1", "2", "3"]
            assert time.time() > began + 1.5
            assert first is not None
            assert client.welcome.expires_at is not None
            assert client.welcome.expires_at > first
        assert "connecting" not in states


async def test_the_service_ends_who_has_no_other_token(tmp_path: Path) -> None:
    with running(tmp_path, APP_JWT_SECRET=SECRET) as service:
        auth = by_mode()(short_lived(1.0)())
        async with Client(service.ws, auth=auth, proxy=None) as client:
            room = await client.subscribe("chat:lobby")
            with pytest.raises(Closed, match="4100 credential expired"):
                await soon(anext(room))


async def test_the_service_refuses_an_expired_token_in_the_same_way(tmp_path: Path) -> None:
    tokens = iter([short_lived(-60)(), short_lived(60)()])

    async def source() -> str:
        return next(tokens)

    with running(tmp_path, APP_JWT_SECRET=SECRET) as service:
        with pytest.raises(Closed, match="4100 credential expired"):
            await soon(
                Client(service.ws, auth=by_mode()(short_lived(-60)()), proxy=None).__aenter__()
            )
        auth = by_mode()(source)
        async with Client(service.ws, auth=auth, proxy=None, random=lambda: 0.0) as client:
            assert client.welcome.user.id == "ann"
