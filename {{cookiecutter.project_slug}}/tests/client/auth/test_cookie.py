"""A cookie, and the origin without which it is good for nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from client import Client, Closed
from client.auth.cookie import with_token

from ...service import Service, running
from ..desk import Desk, attended
from ..scene import Scene
from ..scripted import LOBBY, Peer, ScriptedServer, both, soon


@pytest.fixture
async def desk(server: ScriptedServer) -> AsyncIterator[Desk]:
    async with attended(server) as desk:
        yield desk


async def admits(desk: Desk, scene: Scene, cookie: str) -> Peer:
    """Set a cookie for the token, and welcome who comes with it."""
    asked = await desk.asked("/auth/session", "t1")
    asked.answers(200, {}, {"Set-Cookie": f"{cookie}; Path=/; Secure; HttpOnly"})
    peer = await scene.server.welcomes()
    assert peer.headers["Cookie"] == cookie
    return peer


async def test_the_cookie_comes_from_the_services_own_origin(desk: Desk, scene: Scene) -> None:
    client = scene.client(auth=with_token("t1"))
    _, peer = await both(client.__aenter__(), admits(desk, scene, "__Host-session=c1"))
    assert peer.headers["Origin"] == scene.server.url.replace("ws:", "http:").removesuffix("/ws")
    peer.cuts()
    await scene.clock.passes(0.5)
    await admits(desk, scene, "session=c2")
    await client.__aexit__(None, None, None)


async def test_before_the_end_it_moves_with_another_cookie(desk: Desk, scene: Scene) -> None:
    tokens = iter(["t1", "t2"])

    async def source() -> str:
        return next(tokens)

    client = scene.client(auth=with_token(source))
    _, old = await both(client.__aenter__(), admits(desk, scene, "session=c1"))
    room, _ = await both(client.subscribe(LOBBY), old.subscribes())
    await old.says("expiring", in_ms=60000)
    asked = await desk.asked("/auth/session", "t2")
    await old.publishes(1)
    assert (await soon(anext(room))).channel == LOBBY
    asked.answers(200, {}, {"Set-Cookie": "session=c2"})
    new = await scene.server.welcomes()
    assert new.headers["Cookie"] == "session=c2"
    await new.subscribes(asked={"since": {"epoch": "e1", "offset": 1}}, recovered=True, offset=1)
    assert await old.ends() == 1000
    assert scene.states == ["connected", "connected"]
    await client.__aexit__(None, None, None)


async def test_until_its_source_gives_another_token_it_stays(desk: Desk, scene: Scene) -> None:
    tokens = iter(["t1", "", "t2"])

    async def source() -> str:
        return next(tokens) or str(1 / 0)

    client = scene.client(auth=with_token(source))
    _, old = await both(client.__aenter__(), admits(desk, scene, "session=c1"))
    await old.says("expiring", in_ms=60000)
    await scene.clock.sleeps(0.5)
    assert client.state == "connected"
    await scene.clock.passes(0.5)
    (await desk.asked("/auth/session", "t2")).answers(200, {}, {"Set-Cookie": "session=c2"})
    assert (await scene.server.welcomes()).headers["Cookie"] == "session=c2"
    assert await old.ends() == 1000
    assert scene.states == ["connected", "connected"]
    await client.__aexit__(None, None, None)


async def test_without_a_source_it_stays_until_the_end(desk: Desk, scene: Scene) -> None:
    client = scene.client(auth=with_token("t1"))
    _, peer = await both(client.__aenter__(), admits(desk, scene, "session=c1"))
    await peer.says("expiring", in_ms=60000)
    asking = asyncio.create_task(client.presence(LOBBY))
    await peer.hears("presence")
    await peer.closes(4100, "credential expired")
    with pytest.raises(Closed, match="4100 credential expired"):
        await soon(asking)
    await client.__aexit__(None, None, None)


async def test_what_is_refused_over_http_ends_the_client(desk: Desk, scene: Scene) -> None:
    entering = asyncio.create_task(scene.client(auth=with_token("t1")).__aenter__())
    refusal = {"code": "forbidden", "message": "pages of other origins may not do this"}
    (await desk.asked("/auth/session", "t1")).answers(403, refusal)
    with pytest.raises(Closed, match="403 pages of other origins"):
        await soon(entering)


async def test_the_service_refuses_a_forged_token(service: Service) -> None:
    token = await service.token("ann")
    assert token is not None
    async with Client(service.ws, auth=with_token(token), proxy=None) as client:
        assert client.welcome.user.id == "ann"
    with pytest.raises(Closed, match="401 unauthenticated"):
        await soon(Client(service.ws, auth=with_token(token[:-3]), proxy=None).__aenter__())


async def test_an_origin_that_the_service_allows_can_be_named(tmp_path: Path) -> None:
    with running(tmp_path, APP_ALLOWED_ORIGINS="https://app.example") as service:
        token = await service.token("ann") or ""
        with pytest.raises(Closed, match="403"):
            await soon(Client(service.ws, auth=with_token(token), proxy=None).__aenter__())
        auth = with_token(token, origin="https://app.example")
        async with Client(service.ws, auth=auth, proxy=None) as client:
            assert client.welcome.user.id == "ann"
