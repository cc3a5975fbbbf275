"""Rooms over REST."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ...conftest import Connect
from ...service import API_KEY, Connected, running
from ...shapes import parse


async def rooms(http: httpx2.AsyncClient) -> list[dict[str, Any]]:
    """All rooms."""
    response = await http.get("/api/rooms")
    assert response.status_code == 200
    listed: list[dict[str, Any]] = response.json()["rooms"]
    return listed


async def test_the_lobby_is_there_from_the_start(server_side: httpx2.AsyncClient) -> None:
    first = (await rooms(server_side))[0]
    assert (first["channel"], first["name"], first["title"]) == ("chat:lobby", "lobby", "Lobby")
    assert first["created_by"] == "server"


async def test_a_room_that_was_created_is_listed_and_open(
    server_side: httpx2.AsyncClient, connect: Connect
) -> None:
    response = await server_side.post("/api/rooms", json={"name": "Help.2", "title": "Hilfe 🛟"})
    assert response.status_code == 201
    room = response.json()
    created = datetime.fromisoformat(room.pop("created_at"))
    assert timedelta(0) <= datetime.now(UTC) - created < timedelta(minutes=1)
    assert room == {
        "channel": "chat:Help.2",
        "name": "Help.2",
        "title": "Hilfe 🛟",
        "created_by": "server",
        "members": 0,
    }
    wire = await connect()
    assert (await wire.ask(type="publish", channel=room["channel"], data={"text": "x"}))[
        "type"
    ] == "ok"
    await wire.ask(type="subscribe", channel=room["channel"])
    (listed,) = [each for each in await rooms(server_side) if each["name"] == "Help.2"]
    assert (listed["title"], listed["members"]) == ("Hilfe 🛟", 1)


async def test_rooms_are_listed_in_the_order_of_their_creation(
    server_side: httpx2.AsyncClient,
) -> None:
    for name in ("z-first", "a-second", "m-third"):
        await server_side.post("/api/rooms", json={"name": name})
    names = [each["name"] for each in await rooms(server_side)]
    assert [name for name in names if name in {"z-first", "a-second", "m-third"}] == [
        "z-first",
        "a-second",
        "m-third",
    ]


async def test_in_development_who_enters_a_room_creates_it(
    server_side: httpx2.AsyncClient, connect: Connect, channel: str
) -> None:
    ann = await connect("ann")
    await ann.ask(type="subscribe", channel=channel)
    (room,) = [each for each in await rooms(server_side) if each["channel"] == channel]
    assert (room["created_by"], room["members"]) == (ann.user, 1)


async def test_a_name_is_taken_once(server_side: httpx2.AsyncClient) -> None:
    first = await server_side.post("/api/rooms", json={"name": "taken", "title": "First"})
    again = await server_side.post("/api/rooms", json={"name": "taken", "title": "Second"})
    assert (first.status_code, again.status_code) == (201, 409)
    assert parse(again.content)["code"] == "conflict"
    assert parse(again.content)["field"] == "name"
    (room,) = [each for each in await rooms(server_side) if each["name"] == "taken"]
    assert room["title"] == "First"
    assert (await server_side.post("/api/rooms", json={"name": "Taken"})).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        r"{}",
        r'{"name":""}',
        r'{"name":null}',
        r'{"name":1}',
        r'{"name":"*"}',
        r'{"name":"a b"}',
        r'{"name":"a:b"}',
        r'{"name":"../x"}',
        r'{"name":"{x}"}',
        r'{"name":"a\n"}',
        r'{"name":"ä"}',
        r'{"name":"\ud800"}',
        r'{"name":NaN}',
        '{"name":"' + "x" * 129 + '"}',
        r'{"name":"bad-title","title":""}',
        r'{"name":"bad-title","title":"\u0000"}',
        r'{"name":"bad-title","title":"\ud800"}',
        r'{"name":"bad-title","title":["x"]}',
        '{"name":"bad-title","title":"' + "x" * 101 + '"}',
    ],
    ids=lambda body: body[:40],
)
async def test_what_is_no_name_or_title_is_refused(
    server_side: httpx2.AsyncClient, body: str
) -> None:
    before = len(await rooms(server_side))
    headers = {"Content-Type": "application/json"}
    response = await server_side.post("/api/rooms", content=body, headers=headers)
    assert response.status_code == 422
    refused = parse(response.content)
    assert refused["code"] == "invalid_message"
    assert refused["field"] == ("title" if "bad-title" in body else "name")
    assert len(await rooms(server_side)) == before


async def test_a_user_creates_so_many_rooms_at_once_and_a_server_any(tmp_path: Path) -> None:
    with running(tmp_path, APP_PUBLISHES_PER_SECOND="0.01", APP_PUBLISHES_BURST="3") as service:
        ann, bob = await Connected.open(service, "ann"), await Connected.open(service, "bob")
        shown = [{"Authorization": f"Bearer {each.token}"} for each in (ann, bob)]
        outcomes = []
        for number, headers in enumerate((*shown, {"X-API-Key": API_KEY})):
            async with service.rest(headers) as http:
                wanted = [{"name": f"{number}.{room}"} for room in range(5)]
                answers = [await http.post("/api/rooms", json=each) for each in wanted]
                outcomes.append([each.status_code for each in answers])
        assert outcomes == [[201] * 3 + [429] * 2] * 2 + [[201] * 5]
        for wire in (ann, bob):
            await wire.connection.close()
