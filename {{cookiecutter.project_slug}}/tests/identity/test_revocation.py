"""Who is put out is gone at once and everywhere, and nobody else is."""

import asyncio
from time import monotonic

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed

from ..conftest import Connect
from ..doors import open_door
from ..doors.base import Refused
from ..service import API_KEY, PATIENCE, Connected, Service, Wire
from .entry import SOON, remainder

PAGE, ASKED = 100, 40
"""Messages of 4 KB, and pages of them: more than the kernel takes for who does not read."""
LOOKS = 50


async def put_out(http: httpx2.AsyncClient, wire: Wire) -> None:
    """End all that a user has."""
    answer = await http.delete("/api/connections", params={"user": wire.user})
    assert answer.status_code == 204


async def come_back(service: Service, user: str) -> int:
    """What becomes of a new connection with what was good before."""
    try:
        wire = await Connected.open(service, user)
    except Refused as refused:
        return refused.status
    except ConnectionClosed as ended:
        return ended.rcvd.code if ended.rcvd else 0
    await wire.connection.close()
    return 0


async def test_all_connections_of_a_user_end_and_of_nobody_else(
    service: Service, connect: Connect, server_side: httpx2.AsyncClient, channel: str
) -> None:
    phone, laptop = await connect("rita"), await connect("rita")
    other = await connect("sam")
    plain = await connect("sam", f"/{channel.replace(':', '/')}")
    for wire in (phone, laptop, other):
        await wire.ask(type="subscribe", channel=channel)
    begun = monotonic()
    await put_out(server_side, phone)
    await other.ask(type="publish", channel=channel, data={"text": "when they had gone"})
    for wire in (phone, laptop):
        heard, code = await remainder(wire)
        assert code == 4504
        assert "message" not in [each["type"] for each in heard]
    assert monotonic() - begun < SOON
    for wire in (other, plain):
        assert (await wire.hear_type("message"))["data"] == {"text": "when they had gone"}
        assert (await wire.ask(type="ping"))["type"] == "pong"


async def test_what_was_good_before_is_good_for_nothing(
    service: Service, connect: Connect, server_side: httpx2.AsyncClient
) -> None:
    wire = await connect("tess")
    async with service.rest({"Authorization": f"Bearer {wire.token}"}) as http:
        assert (await http.get("/api/rooms")).status_code == 200
        await put_out(server_side, wire)
        refused = await http.get("/api/rooms")
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        assert wire.token not in refused.text
    assert await come_back(service, "tess") == open_door().refusals.of(4504)
    assert await come_back(service, "somebody else") == 0


async def test_what_was_said_too_late_is_not_done(
    connect: Connect, server_side: httpx2.AsyncClient, channel: str
) -> None:
    """The client cannot know of its end yet, and goes on."""
    wire, other = await connect("uma"), await connect("vic")
    for each in (wire, other):
        await each.ask(type="subscribe", channel=channel)
    await wire.ask(type="publish", channel=channel, data={"text": "in time"})
    wire.connection.transport.pause_reading()
    await put_out(server_side, wire)
    for number in range(20):
        await wire.say(type="publish", channel=channel, data={"text": f"late {number}"})
        await wire.say(type="signal", channel=channel, kind="typing")
    wire.connection.transport.resume_reading()
    heard, code = await remainder(wire)
    assert code == 4504
    assert [each["type"] for each in heard if each["type"] != "message"] == []
    page = await other.ask(type="history", channel=channel)
    assert [each["data"]["text"] for each in page["messages"]] == ["in time"]
    assert "signal" not in [each["type"] for each in await other.heard()]


@pytest.mark.parametrize(("user", "leaves"), [("una", False), ("ulf", True)])
async def test_what_was_said_by_who_does_not_read_is_not_done(
    service: Service,
    connect: Connect,
    server_side: httpx2.AsyncClient,
    channel: str,
    user: str,
    leaves: bool,
) -> None:
    """Its commands wait until it reads; then, or once it is gone, they come too late."""
    wire, other = await connect(user), await connect("vic")
    await other.ask(type="subscribe", channel=channel)
    for _ in range(PAGE):
        await other.say(type="publish", channel=channel, data={"text": "x" * 4000})
    await other.heard()
    wire.connection.transport.pause_reading()
    for number in range(ASKED):
        # A page is what becomes too much, and so what waits is a publication.
        await wire.say(type="history", channel=channel, limit=PAGE)
        await wire.say(type="publish", channel=channel, data={"text": f"{number}"})
    stored = await _last_when_stuck(other, channel)
    assert PAGE < stored < PAGE + ASKED
    await other.heard()
    await put_out(server_side, wire)
    if leaves:
        wire.connection.transport.abort()
    else:
        wire.connection.transport.resume_reading()
    assert (await wire.closed())[0] == (1006 if leaves else 4504)
    async with asyncio.timeout(PATIENCE):
        while not _is_over(service, wire.welcome["session"]):
            await asyncio.sleep(0.01)
    assert await other.heard() == []
    assert await _last(other, channel) == stored


async def _last(wire: Wire, channel: str) -> int:
    """The position of what was stored last."""
    page = await wire.ask(type="history", channel=channel, limit=1)
    return int(page["offset"])


async def _last_when_stuck(wire: Wire, channel: str) -> int:
    """The same, once nothing was stored for as long as it takes to ask so many times."""
    looks = [-1]
    async with asyncio.timeout(PATIENCE):
        while len(looks) < LOOKS:
            last = await _last(wire, channel)
            looks = [*looks, last] if last == looks[-1] else [last]
    return looks[-1]


async def test_what_waits_for_its_turn_is_not_done(clubs: Service, connect: Connect) -> None:
    """What was under way is done; what the server has only read is not."""
    wire, other = await connect("ugo", to=clubs), await connect("vic", to=clubs)
    async with clubs.rest({"X-API-Key": API_KEY}) as http:
        for number in range(5):
            await wire.say(type="publish", channel="gated:x", data=number)
        await wire.say(type="publish", channel="echo:x", data="last")
        await http.get("/gate")
        await put_out(http, wire)
        assert (await wire.closed())[0] == 4504
        await http.put("/gate")
    async with asyncio.timeout(PATIENCE):
        while not _is_over(clubs, wire.welcome["session"]):
            await asyncio.sleep(0.01)
    # What was under way is stored before what others say now.
    await other.ask(type="publish", channel="gated:x", data="after")
    page = await other.ask(type="history", channel="gated:x")
    assert [each["data"] for each in page["messages"]] == [0, "after"]


def _is_over(service: Service, session: str) -> bool:
    lines = [line for line in service.log.splitlines() if session in line]
    return any("session closed" in line for line in lines)


async def test_who_talks_without_pause_is_put_out_as_soon(
    connect: Connect, server_side: httpx2.AsyncClient, channel: str
) -> None:
    """And what is stored is what was said before, without a hole."""
    wire, other = await connect("wes"), await connect("xia")
    await wire.ask(type="subscribe", channel=channel)

    async def talk() -> None:
        number = 0
        while True:
            await wire.say(type="publish", channel=channel, data={"text": f"{number}"})
            number += 1
            await asyncio.sleep(0.001)

    talking = asyncio.create_task(talk())
    await wire.hear_type("message")
    begun = monotonic()
    await put_out(server_side, wire)
    _, code = await remainder(wire)
    assert code == 4504
    assert monotonic() - begun < SOON
    with pytest.raises(ConnectionClosed):
        await talking
    # What was on its way to be stored when the connection ended is before this.
    last = await other.ask(type="publish", channel=channel, data={"text": "after"})
    before = (await other.ask(type="history", channel=channel, limit=1))["offset"]
    assert before == last["offset"]
    await other.ask(type="subscribe", channel=channel)
    assert await other.heard() == []
    assert (await other.ask(type="history", channel=channel, limit=1))["offset"] == before


async def test_one_connection_can_be_ended(
    service: Service, connect: Connect, server_side: httpx2.AsyncClient
) -> None:
    one, two = await connect("yan"), await connect("yan")
    begun = monotonic()
    for _ in range(2):
        answer = await server_side.delete(f"/api/connections/{one.welcome['session']}")
        assert answer.status_code == 204
    assert (await one.closed())[0] == 4504
    assert monotonic() - begun < SOON
    assert (await two.ask(type="ping"))["type"] == "pong"
    assert await come_back(service, "yan") == 0


async def test_who_is_connected_can_be_listed(
    connect: Connect, server_side: httpx2.AsyncClient, channel: str
) -> None:
    wires = [await connect("zoe"), await connect("zoe")]
    await wires[0].ask(type="subscribe", channel=channel)
    found = await server_side.get("/api/connections", params={"user": wires[0].user})
    shown = found.json()
    assert (found.status_code, shown["total"]) == (200, 2)
    assert [each["session"] for each in shown["connections"]] == [
        each.welcome["session"] for each in wires
    ]
    assert [each["channels"] for each in shown["connections"]] == [[channel], []]
    assert all(each["user"] == wires[0].welcome["user"] for each in shown["connections"])
    everybody = (await server_side.get("/api/connections", params={"limit": 1})).json()
    assert everybody["total"] >= 2 and len(everybody["connections"]) == 1
    assert not any(each.token in found.text for each in wires)


@pytest.mark.parametrize("key", [None, "another key", API_KEY[:-1]])
async def test_those_who_keep_no_order_neither_see_nor_end_anybody(
    service: Service, connect: Connect, key: str | None
) -> None:
    wire, other = await connect("abe"), await connect("bea")
    session = other.welcome["session"]
    credentials = [{}, {"Authorization": f"Bearer {wire.token}"}]
    for headers in credentials if key is None else [{"X-API-Key": key}]:
        async with service.rest(headers) as http:
            for answer in (
                await http.get("/api/connections"),
                await http.delete(f"/api/connections/{session}"),
                await http.delete("/api/connections", params={"user": other.user}),
            ):
                unknown = not headers and await service.token("abe") is not None
                assert answer.status_code == (401 if unknown else 403)
                assert session not in answer.text
    assert (await other.ask(type="ping"))["type"] == "pong"
