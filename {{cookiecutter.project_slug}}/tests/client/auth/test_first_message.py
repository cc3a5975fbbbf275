"""A token in the first message, and a fresh one when it has expired."""

import asyncio

import pytest

from client import Client, Closed
from client.auth.first_message import with_token

from ...service import Service
from ..scene import Scene
from ..scripted import Peer, both, soon


async def authenticates(scene: Scene, token: str) -> Peer:
    """The next connection, which proves itself by this token."""
    peer = await scene.server.accepts()
    await peer.welcomes(await peer.hears("auth", token=token))
    return peer


async def test_the_token_is_the_first_message(scene: Scene) -> None:
    client = scene.client(auth=with_token("t1"))
    await both(client.__aenter__(), authenticates(scene, "t1"))
    await client.__aexit__(None, None, None)


async def test_the_token_is_kept_over_a_loss(scene: Scene) -> None:
    tokens = iter(["t1", "t2"])

    async def source() -> str:
        return next(tokens)

    client = scene.client(auth=with_token(source))
    _, peer = await both(client.__aenter__(), authenticates(scene, "t1"))
    peer.cuts()
    await scene.clock.passes(0.5)
    await authenticates(scene, "t1")
    await client.__aexit__(None, None, None)


@pytest.mark.parametrize("when", ["at connect", "later"])
async def test_an_expired_token_is_replaced(scene: Scene, when: str) -> None:
    tokens = iter(["t1", "t2"])

    async def source() -> str:
        return next(tokens)

    client = scene.client(auth=with_token(source))
    entering = asyncio.create_task(client.__aenter__())
    if when == "later":
        peer = await authenticates(scene, "t1")
        await soon(entering)
    else:
        peer = await scene.server.accepts()
        await peer.hears("auth", token="t1")
    await peer.closes(4100, "credential expired")
    await scene.clock.passes(0.5)
    await authenticates(scene, "t2")
    await soon(entering)
    await client.__aexit__(None, None, None)


async def test_without_a_source_an_expired_token_is_the_end(scene: Scene) -> None:
    client = scene.client(auth=with_token("t1"))
    entering = asyncio.create_task(client.__aenter__())
    peer = await scene.server.accepts()
    await peer.hears("auth", token="t1")
    await peer.closes(4100, "credential expired")
    with pytest.raises(Closed, match="4100 credential expired"):
        await soon(entering)


async def test_a_refused_token_is_the_end(scene: Scene) -> None:
    client = scene.client(auth=with_token("t1"))
    entering = asyncio.create_task(client.__aenter__())
    peer = await scene.server.accepts()
    await peer.hears("auth", token="t1")
    await peer.closes(4500, "unauthenticated")
    with pytest.raises(Closed, match="4500 unauthenticated"):
        await soon(entering)


async def test_the_service_refuses_a_forged_token(service: Service) -> None:
    token = await service.token("ann")
    assert token is not None
    async with Client(service.ws, auth=with_token(token), proxy=None) as client:
        assert client.welcome.user.id == "ann"
    with pytest.raises(Closed, match="4500 unauthenticated"):
        await soon(Client(service.ws, auth=with_token(token[:-3]), proxy=None).__aenter__())
