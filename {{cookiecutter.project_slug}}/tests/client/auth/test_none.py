"""A guest, who is the same guest on each connection."""

import asyncio

import pytest

from client import Client, Closed
from client.auth.none import with_token

from ...service import Service
from ..manual_clock import ManualClock
from ..scene import Scene
from ..scripted import PATIENCE, Peer, both, soon


async def shows(scene: Scene, token: str, **fields: object) -> Peer:
    """The next connection: welcomed as a stranger, then by the token it shows."""
    peer = await scene.server.welcomes(user={"id": "stranger"}, guest_token="stranger's")
    await peer.welcomes(await peer.hears("auth", token=token), **fields)
    return peer


async def test_a_guest_is_welcome_at_once(scene: Scene) -> None:
    client = scene.client(auth=with_token())
    await both(client.__aenter__(), scene.server.welcomes(guest_token="g1"))
    assert client.welcome.guest_token == "g1"
    await client.__aexit__(None, None, None)


async def test_a_guest_stays_the_same_over_a_loss(scene: Scene) -> None:
    client = scene.client(auth=with_token())
    _, peer = await both(client.__aenter__(), scene.server.welcomes(guest_token="g1"))
    for wait, shown, given in ((0.5, "g1", "g2"), (1.0, "g2", "g3")):
        peer.cuts()
        await scene.clock.passes(wait)
        peer = await shows(scene, shown, guest_token=given)
    publishing = asyncio.create_task(client.presence("chat:lobby"))
    await peer.hears("presence")
    assert client.welcome.user.id == "ann"
    publishing.cancel()
    await client.__aexit__(None, None, None)


async def test_a_guest_may_come_back_later(scene: Scene) -> None:
    client = scene.client(auth=with_token("g0"))
    await both(client.__aenter__(), shows(scene, "g0"))
    await client.__aexit__(None, None, None)


async def test_a_guest_that_the_service_no_longer_knows_becomes_another(scene: Scene) -> None:
    client = scene.client(auth=with_token("g0"))
    entering = asyncio.create_task(client.__aenter__())
    peer = await scene.server.welcomes(guest_token="g1")
    await peer.hears("auth", token="g0")
    await peer.closes(4500, "unauthenticated")
    await scene.clock.passes(0.5)
    peer = await scene.server.welcomes(guest_token="g2")
    await soon(entering)
    assert client.welcome.guest_token == "g2"
    peer.cuts()
    await scene.clock.passes(1.0)
    await shows(scene, "g2")
    await client.__aexit__(None, None, None)


async def test_a_guest_who_was_sent_away_stays_away(scene: Scene) -> None:
    entering = asyncio.create_task(scene.client(auth=with_token("g0")).__aenter__())
    peer = await scene.server.welcomes(guest_token="g1")
    await peer.hears("auth", token="g0")
    await peer.closes(4504, "revoked")
    with pytest.raises(Closed, match="4504 revoked"):
        await soon(entering)


async def test_the_service_knows_a_guest_by_the_token(service: Service) -> None:
    async with Client(service.ws, auth=with_token(), proxy=None) as client:
        guest = client.welcome
    assert guest.guest_token is not None
    async with Client(service.ws, auth=with_token(guest.guest_token), proxy=None) as client:
        assert client.welcome.user == guest.user
        assert client.welcome.session != guest.session
    auth = with_token("forged")
    client = Client(service.ws, auth=auth, proxy=None, random=lambda: 0.0)
    async with asyncio.timeout(PATIENCE), client:
        assert client.welcome.user != guest.user


async def test_the_service_takes_a_guest_for_the_same_after_a_cut(
    service: Service, channel: str
) -> None:
    clock = ManualClock()
    async with Client(
        service.ws, auth=with_token(), proxy=None, clock=clock, random=lambda: 1.0
    ) as client:
        before = client.welcome
        await client.subscribe(channel)
        (await client._connector.connection()).abort()
        await clock.passes(0.5)
        receipt = await client.publish(channel, {"text": "still me"})
        page = await client.history(channel)
        assert (page.messages[0].sender, page.messages[0].position) == (
            before.user,
            receipt.position,
        )
        assert client.welcome.session != before.session
