"""A ticket for each connection."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from client import Client, Closed
from client.auth.ticket import with_token

from ...service import Service
from ..desk import Desk, attended
from ..scene import Scene
from ..scripted import LOBBY, Peer, ScriptedServer, both, soon


@pytest.fixture
async def desk(server: ScriptedServer) -> AsyncIterator[Desk]:
    async with attended(server) as desk:
        yield desk


async def gives(desk: Desk, ticket: str, token: str) -> None:
    """Give a ticket for a token."""
    (await desk.asked("/auth/ticket", token)).answers(201, {"ticket": ticket})


async def admits(desk: Desk, scene: Scene, ticket: str) -> Peer:
    """Give a ticket for the token, and welcome who comes with it."""
    await gives(desk, ticket, "t1")
    peer = await scene.server.welcomes()
    assert peer.path == f"/ws?ticket={ticket}"
    return peer


async def test_each_connection_has_a_ticket_of_its_own(desk: Desk, scene: Scene) -> None:
    client = scene.client(auth=with_token("t1"))
    _, peer = await both(client.__aenter__(), admits(desk, scene, "k1"))
    peer.cuts()
    await scene.clock.passes(0.5)
    await admits(desk, scene, "k2")
    await client.__aexit__(None, None, None)


async def test_after_a_ticket_that_was_spent_it_comes_with_another(
    desk: Desk, scene: Scene
) -> None:
    client = scene.client(auth=with_token("t1"))
    entering = asyncio.create_task(client.__aenter__())
    await gives(desk, "k1", "t1")
    await (await scene.server.accepts()).closes(4101, "ticket spent")
    await scene.clock.passes(0.5)
    await admits(desk, scene, "k2")
    await soon(entering)
    await client.__aexit__(None, None, None)


async def test_before_the_end_a_ticket_for_another_token_is_shown(desk: Desk, scene: Scene) -> None:
    tokens = iter(["t1", "t2"])

    async def source() -> str:
        return next(tokens)

    client = scene.client(auth=with_token(source))
    _, peer = await both(client.__aenter__(), admits(desk, scene, "k1"))
    await peer.says("expiring", in_ms=60000)
    (await desk.asked("/auth/ticket", "t2")).answers(503)
    await scene.clock.passes(0.5)
    tokens = iter(["t3"])
    await gives(desk, "k3", "t3")
    await peer.answers(await peer.hears("refresh", token="k3"), expires_at=None)
    asking = asyncio.create_task(client.presence(LOBBY))
    await peer.hears("presence")
    asking.cancel()
    await client.__aexit__(None, None, None)


async def test_what_is_refused_over_http_ends_the_client(desk: Desk, scene: Scene) -> None:
    entering = asyncio.create_task(scene.client(auth=with_token("t1")).__aenter__())
    refusal = {"code": "unauthenticated", "message": "unauthenticated"}
    (await desk.asked("/auth/ticket", "t1")).answers(401, refusal)
    with pytest.raises(Closed, match="401 unauthenticated"):
        await soon(entering)


@pytest.mark.parametrize("body", [None, {}, []])
async def test_an_answer_without_a_ticket_ends_the_client(
    desk: Desk, scene: Scene, body: object
) -> None:
    entering = asyncio.create_task(scene.client(auth=with_token("t1")).__aenter__())
    (await desk.asked("/auth/ticket", "t1")).answers(201, body)
    with pytest.raises(Closed, match="1002 the service gave no ticket"):
        await soon(entering)


async def test_the_service_refuses_a_forged_token(service: Service) -> None:
    token = await service.token("ann")
    assert token is not None
    async with Client(service.ws, auth=with_token(token), proxy=None) as client:
        assert client.welcome.user.id == "ann"
    for forged in (token[:-3], "", "no token\n"):
        with pytest.raises(Closed, match=r"401 unauthenticated|4500 this is no token"):
            await soon(Client(service.ws, auth=with_token(forged), proxy=None).__aenter__())
