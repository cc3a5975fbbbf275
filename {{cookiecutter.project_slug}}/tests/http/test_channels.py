"""Channels over REST: the same messages and refusals as on the socket."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from ..conftest import Connect
from ..service import API_KEY, Service, Wire
from ..shapes import parse


@pytest.fixture
async def ann(connect: Connect, channel: str) -> Wire:
    """Somebody who listens in the room."""
    wire = await connect("ann")
    await wire.ask(type="subscribe", channel=channel)
    return wire


@pytest.fixture
async def as_ann(service: Service, ann: Wire) -> AsyncIterator[httpx2.AsyncClient]:
    """REST as the same user uses it."""
    headers = {"Authorization": f"Bearer {ann.token}"}
    async with service.rest(headers) as http:
        yield http


def refused(response: httpx2.Response, status: int, code: str) -> bool:
    """Whether the answer is an error as on the socket, with this status and code."""
    assert response.headers["content-type"] == "application/json"
    return (response.status_code, parse(response.content)["code"]) == (status, code)


# publish


async def test_a_server_publishes_with_the_key(
    ann: Wire, server_side: httpx2.AsyncClient, channel: str
) -> None:
    path = f"/api/channels/{channel}/messages"
    response = await server_side.post(path, json={"data": {"text": "hello"}, "key": "k"})
    assert response.status_code == 201
    heard = await ann.hear_type("message")
    assert parse(response.content) == {
        "type": "ok",
        "channel": channel,
        "epoch": heard["epoch"],
        "offset": 1,
        "duplicate": False,
    }
    assert (heard["from"], heard["data"]) == ({"id": "server"}, {"text": "hello"})
    again = (await server_side.post(path, json={"data": {"text": "hello"}, "key": "k"})).json()
    assert (again["offset"], again["duplicate"]) == (1, True)
    other = await server_side.post(path, json={"data": {"text": "other"}, "key": "k"})
    assert refused(other, 409, "conflict")


@pytest.mark.parametrize("key", ["another", "", API_KEY[:-1], "schlüssel"])
async def test_another_key_is_none(
    ann: Wire, visitor: httpx2.AsyncClient, channel: str, key: str
) -> None:
    path = f"/api/channels/{channel}/messages"
    headers = [(b"X-API-Key", key.encode())]
    response = await visitor.post(path, json={"data": {"text": "x"}}, headers=headers)
    if response.status_code != 401:
        assert refused(response, 403, "forbidden")
    assert await ann.heard() == []


async def test_where_no_key_is_set_none_fits(production: Service) -> None:
    async with production.rest() as http:
        path = "/api/channels/chat:lobby/messages"
        for key in ("", "x", "None"):
            headers = {"X-API-Key": key}
            response = await http.post(path, json={"data": {"text": "x"}}, headers=headers)
            assert response.status_code in (401, 403)
        response = await http.post(path, json={"data": {"text": "x"}}, headers={"X-API-Key": "x"})
        assert refused(response, 403, "forbidden")


async def test_a_user_publishes_over_the_socket_only(
    ann: Wire, as_ann: httpx2.AsyncClient, channel: str
) -> None:
    response = await as_ann.post(f"/api/channels/{channel}/messages", json={"data": {"text": "x"}})
    assert refused(response, 403, "forbidden")
    assert await ann.heard() == []


async def test_who_is_nobody_is_asked_who_it_is(visitor: httpx2.AsyncClient) -> None:
    headers = {"Authorization": "Bearer forged.token"}
    for path in ("messages", "presence"):
        response = await visitor.get(f"/api/channels/chat:lobby/{path}", headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert "forged" not in response.text


@pytest.mark.parametrize(
    ("channel", "status", "code"),
    [
        ("nowhere:x", 404, "unknown_channel"),
        ("chat:nobody-created-this", 404, "unknown_channel"),
    ],
)
async def test_what_does_not_exist_is_unknown(
    server_side: httpx2.AsyncClient, channel: str, status: int, code: str
) -> None:
    path = f"/api/channels/{channel}"
    assert refused(await server_side.get(f"{path}/messages"), status, code)
    assert refused(await server_side.get(f"{path}/presence"), status, code)
    published = await server_side.post(f"{path}/messages", json={"data": {"text": "x"}})
    assert refused(published, status, code)


async def test_data_of_another_shape_is_refused(
    ann: Wire, server_side: httpx2.AsyncClient, channel: str
) -> None:
    path = f"/api/channels/{channel}/messages"
    response = await server_side.post(path, json={"data": {"text": 1}})
    assert refused(response, 422, "invalid_message")
    assert response.json()["field"] == "data.text"
    assert await ann.heard() == []


# history


async def test_history_is_given_as_it_was_pushed(
    ann: Wire, as_ann: httpx2.AsyncClient, channel: str
) -> None:
    for text in "abcde":
        await ann.say(type="publish", channel=channel, data={"text": text})
    pushed = [await ann.hear_type("message") for _ in "abcde"]

    async def page(**window: int) -> tuple[list[object], bool]:
        response = await as_ann.get(f"/api/channels/{channel}/messages", params=window)
        assert response.status_code == 200
        page = response.json()
        assert (page["epoch"], page["offset"]) == (pushed[0]["epoch"], 5)
        assert (page["type"], page["channel"]) == ("history", channel)
        return page["messages"], page["has_more"]

    assert await page() == (pushed, False)
    assert await page(limit=2) == (pushed[3:], True)
    assert await page(after=1, limit=2) == (pushed[1:3], True)
    assert await page(after=3) == (pushed[3:], False)
    assert await page(before=3) == (pushed[:2], False)
    assert await page(before=5, limit=1) == (pushed[3:4], True)
    assert await page(after=5) == ([], False)


async def test_one_goes_on_from_the_position_of_a_page(
    ann: Wire, as_ann: httpx2.AsyncClient, connect: Connect, channel: str
) -> None:
    await ann.ask(type="publish", channel=channel, data={"text": "a"})
    page = (await as_ann.get(f"/api/channels/{channel}/messages")).json()
    await ann.ask(type="publish", channel=channel, data={"text": "b"})
    position = {"epoch": page["epoch"], "offset": page["offset"]}
    bob = await connect("bob")
    subscribed = await bob.ask(type="subscribe", channel=channel, since=position)
    assert subscribed["recovered"] is True
    assert [each["data"]["text"] for each in subscribed["messages"]] == ["b"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "after=-1",
        "before=-1",
        "after=x",
        "after=1.5",
        "after=1&before=3",
        "after=9007199254740992",
        "before=99999999999999999999999999999999",
    ],
)
async def test_a_page_that_makes_no_sense_is_refused(
    as_ann: httpx2.AsyncClient, channel: str, query: str
) -> None:
    response = await as_ann.get(f"/api/channels/{channel}/messages?{query}")
    assert refused(response, 422, "invalid_message")


@pytest.mark.parametrize(
    "channel", ["x", "*", "chat:*", "Chat:x", "chat:a%0A", "chat:%00", "chat:" + "x" * 129]
)
async def test_what_is_no_channel_is_refused(server_side: httpx2.AsyncClient, channel: str) -> None:
    for part in ("messages", "presence"):
        response = await server_side.get(f"/api/channels/{channel}/{part}")
        assert refused(response, 422, "invalid_message")


# presence


async def test_who_is_here_is_told(
    ann: Wire, server_side: httpx2.AsyncClient, channel: str
) -> None:
    response = await server_side.get(f"/api/channels/{channel}/presence")
    assert response.status_code == 200
    assert parse(response.content) == {
        "type": "presence",
        "channel": channel,
        "users": [ann.welcome["user"]],
        "count": 1,
    }
