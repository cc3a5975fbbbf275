"""Personal channels: read by one user, written to by servers."""

import httpx2
import pytest

from ..conftest import Connect
from ..service import Service


async def test_a_server_tells_one_user_on_all_devices(
    connect: Connect, server_side: httpx2.AsyncClient
) -> None:
    phone, laptop, stranger = await connect("dana"), await connect("dana"), await connect("eve")
    own = phone.welcome["personal"]
    for wire in (phone, laptop):
        assert (await wire.ask(type="subscribe", channel=own))["type"] == "subscribed"
    await stranger.ask(type="subscribe", channel=stranger.welcome["personal"])
    body = {"data": {"level": "info", "text": "your parcel is here"}}
    response = await server_side.post(f"/api/channels/{own}/messages", json=body)
    assert response.status_code == 201
    for wire in (phone, laptop):
        heard = await wire.hear()
        assert (heard["data"], heard["from"]) == (body["data"], {"id": "server"})
    assert await stranger.heard() == []


async def test_what_was_told_meanwhile_is_kept(
    connect: Connect, server_side: httpx2.AsyncClient
) -> None:
    wire = await connect("finn")
    own = wire.welcome["personal"]
    before = await wire.ask(type="subscribe", channel=own)
    await wire.connection.close()
    await server_side.post(f"/api/channels/{own}/messages", json={"data": "while you were away"})
    position = {"epoch": before["epoch"], "offset": before["offset"]}
    back = await connect("finn")
    subscribed = await back.ask(type="subscribe", channel=own, since=position)
    assert subscribed["recovered"] is True
    assert subscribed["messages"][-1]["data"] == "while you were away"


@pytest.mark.parametrize("command", ["subscribe", "history", "presence"])
async def test_nobody_reads_what_another_is_told(connect: Connect, command: str) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    for channel in (bob.welcome["personal"], "user:nobody", "user:server"):
        refused = await ann.ask(type=command, channel=channel)
        assert (refused["code"], refused["field"]) == ("forbidden", "channel")


async def test_no_user_writes_to_a_personal_channel(connect: Connect) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    own = ann.welcome["personal"]
    await ann.ask(type="subscribe", channel=own)
    for wire in (ann, bob):
        refused = await wire.ask(type="publish", channel=own, data="x")
        assert refused["code"] == "forbidden"
    assert (await ann.ask(type="signal", channel=own, kind="typing"))["code"] == "forbidden"
    assert await ann.heard() == []


async def test_over_rest_it_is_the_same(service: Service, connect: Connect) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    headers = {"Authorization": f"Bearer {ann.token}"}
    async with service.rest(headers) as http:
        for part in ("messages", "presence"):
            path = f"/api/channels/{bob.welcome['personal']}/{part}"
            assert (await http.get(path)).status_code == 403
            path = f"/api/channels/{ann.welcome['personal']}/{part}"
            assert (await http.get(path)).status_code == 200


async def test_a_path_to_the_channel_of_another_is_final(connect: Connect) -> None:
    wire = await connect("ann", "/user/somebody-else")
    assert (await wire.hear())["code"] == "forbidden"
    assert (await wire.closed())[0] == 4508
