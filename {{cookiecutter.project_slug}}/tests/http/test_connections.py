"""Who is connected since when, and an end to it."""

from datetime import UTC, datetime

import httpx2
import pytest

from ..conftest import Connect
from ..service import Service

PATH = "/api/connections"


async def test_a_connection_is_listed_with_what_it_does(
    server_side: httpx2.AsyncClient, connect: Connect, channel: str
) -> None:
    ann = await connect("listed")
    await ann.ask(type="subscribe", channel=channel)
    answer = (await server_side.get(PATH, params={"user": ann.user})).json()
    assert answer["total"] == 1
    assert answer["node"] == ann.welcome["node"]
    (view,) = answer["connections"]
    assert view["session"] == ann.welcome["session"]
    assert view["user"] == ann.welcome["user"]
    assert view["channels"] == [channel]
    assert view["buffered"] == 0
    assert (
        view.get("expires_at", "").replace("Z", "+00:00")[:19]
        == ann.welcome.get("expires_at", "")[:19]
    )
    begun, heard = (datetime.fromisoformat(view[each]) for each in ("connected_at", "heard_at"))
    assert begun <= heard <= datetime.now(UTC)
    assert (datetime.now(UTC) - begun).total_seconds() < 60


async def test_what_is_listed_is_bounded(server_side: httpx2.AsyncClient, connect: Connect) -> None:
    for _ in range(3):
        await connect("twin")
    ann = await connect("twin")
    answer = (await server_side.get(PATH, params={"user": ann.user, "limit": 2})).json()
    assert (answer["total"], len(answer["connections"])) == (4, 2)
    nobody = (await server_side.get(PATH, params={"user": "nobody"})).json()
    assert (nobody["total"], nobody["connections"]) == (0, [])
    for limit in (0, 1001):
        assert (await server_side.get(PATH, params={"limit": limit})).status_code == 422


async def test_one_connection_is_ended_and_no_other(
    server_side: httpx2.AsyncClient, connect: Connect
) -> None:
    one, another = await connect("ended"), await connect("ended")
    answer = await server_side.delete(f"{PATH}/{one.welcome['session']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert await one.closed() == (4504, "revoked")
    assert (await another.ask(type="ping"))["type"] == "pong"
    again = await connect("ended")
    assert again.user == one.user
    gone = await server_side.delete(f"{PATH}/{one.welcome['session']}")
    assert gone.status_code == 204


@pytest.mark.parametrize("session", ["x", "0" * 15, "0" * 17, "G" * 16])
async def test_what_names_no_connection_is_refused(
    server_side: httpx2.AsyncClient, session: str
) -> None:
    assert (await server_side.delete(f"{PATH}/{session}")).status_code == 422


async def test_all_connections_of_a_user_are_ended_and_none_of_another(
    server_side: httpx2.AsyncClient, connect: Connect
) -> None:
    sent_away = [await connect("sent-away") for _ in range(3)]
    stays = await connect("stays")
    answer = await server_side.delete(PATH, params={"user": sent_away[0].user})
    assert answer.status_code == 204
    for each in sent_away:
        assert await each.closed() == (4504, "revoked")
    assert (await stays.ask(type="ping"))["type"] == "pong"


async def test_everybody_at_once_is_nobody(server_side: httpx2.AsyncClient) -> None:
    assert (await server_side.delete(PATH)).status_code == 422
    assert (await server_side.delete(PATH, params={"user": ""})).status_code == 422


async def test_only_those_who_keep_order_may(
    service: Service, visitor: httpx2.AsyncClient, connect: Connect
) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    own = {"Authorization": f"Bearer {ann.token}"}
    for method, path in (
        ("GET", PATH),
        ("DELETE", f"{PATH}?user={bob.user}"),
        ("DELETE", f"{PATH}/{bob.welcome['session']}"),
    ):
        assert (await visitor.request(method, path, headers=own)).status_code == 403
        assert (await visitor.request(method, path)).status_code in (401, 403)
    assert (await bob.ask(type="ping"))["type"] == "pong"
