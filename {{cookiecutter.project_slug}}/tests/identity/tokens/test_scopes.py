"""What a token allows is allowed as long as it is the token of the connection, and no longer."""

from typing import Any

import pytest

from ...service import Service
from .conftest import PROVIDER, Enter
from .going_on import go_on


async def test_who_may_publish_may_not_without_the_scope(secured: Service, come: Enter) -> None:
    wire, other = (
        await come(PROVIDER.token("ann", scope="publish")),
        await come(PROVIDER.token("kim")),
    )
    own = other.welcome["personal"]
    await other.ask(type="subscribe", channel=own)
    assert (await wire.ask(type="publish", channel=own, data="one"))["type"] == "ok"
    assert (await other.hear_type("message"))["data"] == "one"
    wire, _ = await go_on(secured, wire, come, PROVIDER.token("ann"))
    assert (await wire.ask(type="publish", channel=own, data="two"))["code"] == "forbidden"
    assert await other.heard() == []
    wire, _ = await go_on(secured, wire, come, PROVIDER.token("ann", scope="publish"))
    assert (await wire.ask(type="publish", channel=own, data="three"))["type"] == "ok"


async def test_who_may_read_is_put_out_without_the_scope(secured: Service, come: Enter) -> None:
    channel = "staff:taken-away"
    stays = await come(PROVIDER.token("ann", scope="staff publish"))
    first = await come(PROVIDER.token("leo", scope="staff"))
    for each in (stays, first):
        subscribed = await each.ask(type="subscribe", channel=channel, presence=True)
        assert subscribed["type"] == "subscribed"
    await first.ask(type="subscribe", channel="chat:open")
    wire, heard = await go_on(secured, first, come, PROVIDER.token("leo", scope="other"))
    if wire is first:
        ended = [each for each in heard if each["type"] == "unsubscribed"]
        assert [(each["channel"], bool(each["reason"])) for each in ended] == [(channel, True)]
        await stays.hear_type("leave")
    await stays.ask(type="publish", channel=channel, data="among us")
    await stays.ask(type="publish", channel="chat:open", data={"text": "to all"})
    for command in ("subscribe", "history", "presence"):
        assert (await wire.ask(type=command, channel=channel))["code"] == "forbidden"
    assert (await wire.ask(type="publish", channel=channel, data="x"))["code"] == "forbidden"
    assert channel not in [each.get("channel") for each in await wire.heard()]
    if wire is first:
        assert (await wire.ask(type="unsubscribe", channel="chat:open"))["type"] == "ok"


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "publisher"},
        {"scope": "PUBLISH"},
        {"scope": "publish,admin"},
        {"scope": "*"},
        {"scope": "-publish"},
        {"scopes": "publish"},
        {"roles": ["publish", "admin"]},
        {"permissions": ["publish"]},
        {"publish": True},
    ],
    ids=str,
)
async def test_what_looks_like_a_scope_is_none(
    secured: Service, come: Enter, claims: dict[str, Any]
) -> None:
    token = PROVIDER.token("mia", **claims)
    wire = await come(token)
    assert (await wire.ask(type="publish", channel="user:nia", data="x"))["code"] == "forbidden"
    async with secured.rest({"Authorization": f"Bearer {token}"}) as http:
        path = "/api/channels/chat:lobby/messages"
        assert (await http.post(path, json={"data": {"text": "x"}})).status_code == 403
        assert (await http.get("/api/connections")).status_code == 403


async def test_over_rest_a_scope_is_asked_for_each_time(secured: Service) -> None:
    path, body = "/api/channels/staff:rest/messages", {"data": "x"}
    for scope, read, write in (
        ("staff publish", 200, 201),
        ("staff", 200, 403),
        ("publish", 403, 403),
        ("", 403, 403),
    ):
        bearer = {"Authorization": f"Bearer {PROVIDER.token('ann', scope=scope)}"}
        async with secured.rest(bearer) as http:
            assert (await http.get(path)).status_code == read
            assert (await http.post(path, json=body)).status_code == write


async def test_who_keeps_order_sees_and_ends_connections(secured: Service, come: Enter) -> None:
    wire, other = await come(PROVIDER.token("olga")), await come(PROVIDER.token("pia"))
    token = PROVIDER.token("admin", scope="admin")
    async with secured.rest({"Authorization": f"Bearer {token}"}) as http:
        listed = await http.get("/api/connections", params={"user": "olga"})
        assert listed.status_code == 200
        (shown,) = listed.json()["connections"]
        assert shown["session"] == wire.welcome["session"]
        answer = await http.delete(f"/api/connections/{shown['session']}")
        assert answer.status_code == 204
        assert (await wire.closed())[0] == 4504
        assert (await http.delete("/api/connections", params={"user": "pia"})).status_code == 204
        assert (await other.closed())[0] == 4504
        assert (await http.delete("/auth/session")).status_code == 204
        assert (await http.get("/api/connections")).status_code == 401
