"""A token in the URL."""

import asyncio

import pytest

from client import Client, Closed
from client.auth.query_token import with_token

from ...service import Service
from ..scene import Scene
from ..scripted import both, soon


async def test_the_token_stands_in_the_url(scene: Scene) -> None:
    client = scene.client(auth=with_token("t 1&"))
    _, peer = await both(client.__aenter__(), scene.server.welcomes())
    assert peer.path == "/ws?token=t+1%26"
    await client.__aexit__(None, None, None)


async def test_it_stands_beside_what_is_there(scene: Scene) -> None:
    scene.server.url += "?last=5"
    client = scene.client(auth=with_token("t1"))
    _, peer = await both(client.__aenter__(), scene.server.welcomes())
    assert peer.path == "/ws?last=5&token=t1"
    await client.__aexit__(None, None, None)


async def test_an_expired_token_is_replaced(scene: Scene) -> None:
    tokens = iter(["t1", "t2"])

    async def source() -> str:
        return next(tokens)

    client = scene.client(auth=with_token(source))
    entering = asyncio.create_task(client.__aenter__())
    await (await scene.server.accepts()).closes(4100, "credential expired")
    await scene.clock.passes(0.5)
    peer = await scene.server.welcomes()
    await soon(entering)
    assert peer.path == "/ws?token=t2"
    await client.__aexit__(None, None, None)


async def test_the_service_refuses_a_forged_token(service: Service) -> None:
    token = await service.token("ann")
    assert token is not None
    async with Client(service.ws, auth=with_token(token), proxy=None) as client:
        assert client.welcome.user.id == "ann"
    with pytest.raises(Closed, match="4500 unauthenticated"):
        await soon(Client(service.ws, auth=with_token(token[:-3]), proxy=None).__aenter__())
