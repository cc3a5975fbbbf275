"""The socket, from handshake to close, on a real server."""

import pytest
from websockets.asyncio.client import connect as handshake
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ..conftest import Connect
from ..service import Service, Wire, knock


async def test_a_message_reaches_everybody_in_the_room(connect: Connect, channel: str) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    for wire in (ann, bob):
        await wire.ask(type="subscribe", channel=channel)

    sent = await ann.ask(type="publish", channel=channel, data={"text": "hello"})
    heard = await bob.hear_type("message")

    assert heard["data"] == {"text": "hello"}
    assert heard["from"]["id"] == ann.user
    assert (heard["epoch"], heard["offset"]) == (sent["epoch"], sent["offset"])


@pytest.mark.parametrize("offered", [[], ["v1.json"], ["v9.xml", "v1.json"]])
async def test_the_wire_that_is_spoken_is_chosen(
    service: Service, calm: None, offered: list[str]
) -> None:
    shown = await service.shown("ann")
    async with await knock(service, shown, subprotocols=offered or None) as connection:
        assert connection.subprotocol == ("v1.json" if offered else None)
        wire = Wire(connection)
        await wire.say(type="nope", id=1)
        while (answer := await wire.hear())["type"] == "welcome":
            pass
        assert (answer["type"], answer["id"]) == ("error", 1)


async def test_a_wire_that_is_not_spoken_is_refused_so_that_a_browser_can_tell(
    service: Service, calm: None
) -> None:
    offered = ["v9.xml", "v9.csv"]
    async with await knock(service, await service.shown(None), subprotocols=offered) as connection:
        assert connection.subprotocol == "v9.xml"
        assert await Wire(connection).closed() == (4503, "unsupported version")


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/ws/", "/ws/chat", "/ws/chat/a/b", "/livez", "/demo/page.js"]
)
async def test_nothing_is_served_elsewhere(service: Service, calm: None, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await handshake(service.ws.removesuffix("/ws") + path)
    assert refused.value.response.status_code in (403, 404)


async def test_a_message_that_is_too_large_ends_the_connection(
    connect: Connect, small: Service
) -> None:
    wire = await connect(to=small)
    limit = wire.welcome["limits"]["message_bytes"]
    assert limit == 4096
    await wire.connection.send(" " * limit)
    assert (await wire.hear())["code"] == "invalid_message"
    await wire.connection.send(" " * (limit + 1))
    assert (await wire.closed())[0] == 1009


async def test_what_is_no_utf8_ends_the_connection(connect: Connect) -> None:
    wire = await connect()
    connection = wire.connection
    async with connection.send_context():
        connection.protocol.send_text(b"\xff\xfe")
    assert (await wire.closed())[0] == 1007


async def test_a_message_may_come_in_fragments(connect: Connect) -> None:
    wire = await connect()
    await wire.connection.send(['{"type":', '"ping",', '"id":1}'])
    assert (await wire.hear())["type"] == "pong"


async def test_pings_of_the_websocket_are_answered(connect: Connect) -> None:
    wire = await connect()
    await (await wire.connection.ping())


# /ws/{namespace}/{name}


async def test_a_path_subscribes(connect: Connect, channel: str) -> None:
    path = "/" + channel.replace(":", "/")
    plain = await connect("ann", path)
    subscribed = await plain.hear()
    assert subscribed["type"] == "subscribed" and subscribed["channel"] == channel
    assert "recovered" not in subscribed and "id" not in subscribed
    sent = await plain.ask(type="publish", channel=channel, data={"text": "hello"})
    other = await connect("bob", f"{path}?last=5")
    assert [each["offset"] for each in (await other.hear())["messages"]] == [sent["offset"]]
    await other.ask(type="publish", channel=channel, data={"text": "you too"})
    assert "you too" in [each["data"]["text"] for each in await plain.heard() if "data" in each]


async def test_a_path_recovers(connect: Connect, channel: str) -> None:
    ann = await connect("ann")
    await ann.ask(type="subscribe", channel=channel)
    sent = [await ann.ask(type="publish", channel=channel, data={"text": t}) for t in "abc"]
    since = f"{sent[0]['epoch']}:{sent[0]['offset']}"
    plain = await connect("bob", f"/{channel.replace(':', '/')}?since={since}&last=1")
    subscribed = await plain.hear()
    assert subscribed["recovered"] is True
    assert [each["data"]["text"] for each in subscribed["messages"]] == ["b", "c"]
    fresh = await connect("bob", f"/{channel.replace(':', '/')}?since=:0")
    assert len((await fresh.hear())["messages"]) == 3


async def test_a_path_that_may_not_be_read_is_final(service: Service, connect: Connect) -> None:
    wire = await connect("ann", "/nowhere/x")
    error = await wire.hear()
    assert error["code"] == "unknown_channel"
    assert (await wire.closed())[0] == 4508


@pytest.mark.parametrize(
    "asked",
    [
        "chat/lobby?last=abc",
        "chat/lobby?last=-1",
        "chat/lobby?last=101",
        "chat/lobby?last=1.5",
        "chat/lobby?last=" + "9" * 5000,
        "chat/lobby?since=abc",
        "chat/lobby?since=5",
        "chat/lobby?since=e:",
        "chat/lobby?since=e:x",
        "chat/lobby?since=e:-1",
        "chat/lobby?since=e:9007199254740992",
        "chat/lobby?since=a%20b:1",
        "chat/lobby?since=" + "e" * 65 + ":1",
        "Chat/lobby",
        "chat/a%0A",
        "chat/a%00",
        "chat/*",
        "chat/%7Bx%7D",
        "chat/" + "x" * 129,
    ],
    ids=lambda asked: asked[:40],
)
async def test_a_path_that_makes_no_sense_is_final(
    service: Service, calm: None, asked: str
) -> None:
    async with await knock(service, await service.shown("ann"), f"/{asked}") as connection:
        with pytest.raises(ConnectionClosed):
            await Wire(connection).ask(type="ping")
        assert connection.close_code == 4502
        assert connection.close_reason
