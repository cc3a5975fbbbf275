"""A client that signs in with a name and a password, and stays signed in."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from client import Client, Closed
from client.accounts import with_password
from client.auth.base import Auth

from ..service import PATIENCE, Service, running
from .desk import Asked, Desk, attended
from .scene import Scene
from .scripted import LOBBY, Peer, ScriptedServer, both, soon
from .test_service import texts
from .test_tokens import Shown

PASSWORD = "a password of the tests"


@pytest.fixture
async def desk(server: ScriptedServer) -> AsyncIterator[Desk]:
    async with attended(server) as desk:
        yield desk


def ada() -> Auth:
    """Shows her tokens in a header."""
    return with_password("ada", PASSWORD, with_token=Shown)


def gives(asked: Asked, number: int, seconds: float = 900) -> None:
    """Answer with the token of this number, and what renews it."""
    given = {"access_token": f"t{number}", "refresh_token": f"r{number}", "expires_in": seconds}
    asked.answers(200, {**given, "token_type": "bearer"})


async def signs_in(desk: Desk) -> Asked:
    """The next request, which must be by name and password."""
    asked = await desk.asked("/auth/token")
    fields = {"grant_type": ["password"], "username": ["ada"], "password": [PASSWORD]}
    assert parse_qs(asked.body) == fields
    return asked


async def goes_on(desk: Desk, number: int) -> Asked:
    """The next request, which must be by the refresh token of this number."""
    asked = await desk.asked("/auth/refresh")
    assert json.loads(asked.body) == {"refresh_token": f"r{number}"}
    return asked


async def enters(desk: Desk, scene: Scene, client: Client, seconds: float = 900) -> Peer:
    """Let the client sign in and be welcome with the first token."""

    async def admits() -> Peer:
        gives(await signs_in(desk), 1, seconds)
        peer = await scene.server.welcomes()
        assert peer.headers["X-Token"] == "t1"
        return peer

    return (await both(client.__aenter__(), admits()))[1]


async def test_it_signs_in_once_and_shows_the_token_again(desk: Desk, scene: Scene) -> None:
    client = scene.client(auth=ada())
    peer = await enters(desk, scene, client)
    peer.cuts()
    peer = await scene.reconnects()
    assert peer.headers["X-Token"] == "t1"
    await client.__aexit__(None, None, None)


async def test_before_a_token_ends_it_goes_on_by_one_refresh_token_after_another(
    desk: Desk, scene: Scene
) -> None:
    client = scene.client(auth=ada())
    peer = await enters(desk, scene, client)
    for number in (1, 2):
        await peer.says("expiring", in_ms=60000)
        gives(await goes_on(desk, number), number + 1)
        command = await peer.hears("refresh", token=f"t{number + 1}")
        await peer.answers(command, expires_at=None)
    await client.__aexit__(None, None, None)


async def test_there_is_one_refresh_at_a_time(desk: Desk, scene: Scene) -> None:
    client = scene.client(auth=ada())
    peer = await enters(desk, scene, client)
    for _ in range(2):
        await peer.says("expiring", in_ms=60000)
    first = await goes_on(desk, 1)
    asking = asyncio.create_task(client.presence(LOBBY))
    await peer.answers(await peer.hears("presence"), channel=LOBBY, users=[], count=0)
    await soon(asking)  # by now it has heard twice that its token ends
    gives(first, 2)
    gives(await goes_on(desk, 2), 3)
    assert {(await peer.hears("refresh"))["token"] for _ in range(2)} <= {"t2", "t3"}
    await client.__aexit__(None, None, None)


async def test_a_refused_refresh_is_followed_by_the_password(desk: Desk, scene: Scene) -> None:
    client = scene.client(auth=ada())
    peer = await enters(desk, scene, client)
    await peer.says("expiring", in_ms=60000)
    (await goes_on(desk, 1)).answers(401, {"message": "this is good no more"})
    (await signs_in(desk)).answers(503)
    await scene.clock.passes(0.5)
    gives(await signs_in(desk), 2)
    await peer.answers(await peer.hears("refresh", token="t2"), expires_at=None)
    await peer.says("expiring", in_ms=60000)
    await goes_on(desk, 2)
    await client.__aexit__(None, None, None)


async def test_a_refresh_whose_answer_was_lost_is_tried_again(desk: Desk, scene: Scene) -> None:
    """With the same refresh token: only an answer says that it was used."""
    client = scene.client(auth=ada())
    peer = await enters(desk, scene, client)
    await peer.says("expiring", in_ms=60000)
    (await goes_on(desk, 1)).hangs_up()
    await scene.clock.passes(0.5)
    gives(await goes_on(desk, 1), 2)
    await peer.answers(await peer.hears("refresh", token="t2"), expires_at=None)
    await client.__aexit__(None, None, None)


async def test_an_expired_token_is_replaced(desk: Desk, scene: Scene) -> None:
    client = scene.client(auth=ada())
    peer = await enters(desk, scene, client)
    await peer.closes(4100, "credential expired")
    await scene.clock.passes(0.5)
    gives(await goes_on(desk, 1), 2)
    peer = await scene.server.welcomes()
    assert peer.headers["X-Token"] == "t2"
    await client.__aexit__(None, None, None)


async def test_a_token_that_soon_ends_is_not_shown_again(desk: Desk, scene: Scene) -> None:
    client = scene.client(auth=ada())
    peer = await enters(desk, scene, client, seconds=20)
    peer.cuts()
    await scene.clock.passes(0.5)
    gives(await goes_on(desk, 1), 2)
    peer = await scene.server.welcomes()
    assert peer.headers["X-Token"] == "t2"
    await client.__aexit__(None, None, None)


async def test_a_wrong_password_ends_the_client(desk: Desk, scene: Scene) -> None:
    entering = asyncio.create_task(scene.client(auth=ada()).__aenter__())
    (await signs_in(desk)).answers(401, {"message": "the name or the password is wrong"})
    with pytest.raises(Closed, match="401 the name or the password is wrong"):
        await soon(entering)


async def test_who_tried_too_often_waits_as_long_as_the_service_says(
    desk: Desk, scene: Scene
) -> None:
    client = scene.client(auth=ada())
    entering = asyncio.create_task(client.__aenter__())
    (await signs_in(desk)).answers(429, {"message": "too many"}, {"Retry-After": "7"})
    await scene.clock.passes(7.5)
    gives(await signs_in(desk), 1)
    await scene.server.welcomes()
    await soon(entering)
    await client.__aexit__(None, None, None)


@pytest.mark.parametrize("body", [None, {}, [], {"access_token": "t1", "expires_in": "soon"}])
async def test_an_answer_without_a_token_ends_the_client(
    desk: Desk, scene: Scene, body: object
) -> None:
    entering = asyncio.create_task(scene.client(auth=ada()).__aenter__())
    (await signs_in(desk)).answers(200, body)
    with pytest.raises(Closed, match="1002 the service gave no token"):
        await soon(entering)


async def registered(service: Service, user: str) -> None:
    """Somebody who may sign in."""
    async with service.rest() as http:
        account = {"username": user, "password": PASSWORD}
        assert (await http.post("/auth/register", json=account)).status_code == 201


async def test_the_service_keeps_it_signed_in(tmp_path: Path) -> None:
    """Longer than a token is good for, and over a crash; nothing is lost."""
    states, back = list[str](), asyncio.Event()

    def tell(state: str) -> None:
        states.append(state)
        if states[-2:] == ["connecting", "connected"]:
            back.set()

    with running(tmp_path, APP_ACCESS_SECONDS="2") as service:
        await registered(service, "ann")
        auth = with_password("ann", PASSWORD)
        async with (
            asyncio.timeout(PATIENCE),
            Client(service.ws, auth=auth, proxy=None, on_state=tell, random=lambda: 0.0) as client,
        ):
            room = await client.subscribe(LOBBY)
            first = ended = client.welcome.expires_at
            assert first is not None
            while ended == first:  # it goes on where it is, or moves to another connection
                await client.publish(LOBBY, {"text": "before"})
                await asyncio.sleep(0.1)
                ended = client.welcome.expires_at
            assert "connecting" not in states
            service.kill()
            await asyncio.to_thread(service.start)
            await back.wait()
            assert client.welcome.user.id == "ann"
            await client.publish(LOBBY, {"text": "after"})
            heard = [(await texts(room, 1))[0]]
            while heard[-1] != "after":
                heard += await texts(room, 1)
            assert set(heard) == {"before", "after"}


async def test_the_service_refuses_a_wrong_password(service: Service) -> None:
    await registered(service, "nina")
    auth = with_password("nina", "another password")
    with pytest.raises(Closed, match="401 the name or the password is wrong"):
        await soon(Client(service.ws, auth=auth, proxy=None).__aenter__())
