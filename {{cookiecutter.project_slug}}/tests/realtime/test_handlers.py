"""Each command on a real server: its reply, its refusals, and in which order things come."""

import asyncio

import pytest

from ..conftest import Connect
from ..service import Service

UNKNOWN = [
    {"type": "subscribe", "channel": "nowhere:x"},
    {"type": "publish", "channel": "nowhere:x", "data": {"text": "hello"}},
    {"type": "history", "channel": "nowhere:x"},
    {"type": "presence", "channel": "nowhere:x"},
]
UNSUBSCRIBED = [
    {"type": "unsubscribe"},
    {"type": "signal", "kind": "typing"},
]


@pytest.mark.parametrize("id", ["a", "", "x" * 64, "ü\n\0", 0, -1, 2**53 - 1])
async def test_a_reply_has_the_id_of_its_command(connect: Connect, id: str | int) -> None:
    wire = await connect()
    assert await wire.ask(type="ping", id=id) == {"type": "pong", "id": id}


async def test_a_command_without_an_id_has_a_reply_without_one(
    connect: Connect, channel: str
) -> None:
    wire = await connect()
    await wire.say(type="ping")
    assert await wire.hear() == {"type": "pong"}
    await wire.say(type="subscribe", channel=channel)
    assert "id" not in await wire.hear()


async def test_a_pong_has_no_reply(connect: Connect) -> None:
    wire = await connect()
    await wire.say(type="pong")
    await wire.say(type="pong", id=1)
    assert await wire.heard() == []


async def test_commands_are_carried_out_in_order(connect: Connect, channel: str) -> None:
    wire = await connect()
    await wire.say(type="subscribe", channel=channel, id=0)
    for number in range(1, 50):
        await wire.say(type="publish", channel=channel, data={"text": "x"}, id=number)
    await wire.say(type="unsubscribe", channel=channel, id=50)
    heard = await wire.heard()
    assert [each["id"] for each in heard if "id" in each] == list(range(51))
    assert [each["offset"] for each in heard if each["type"] == "ok" and "offset" in each] == [
        *range(1, 50)
    ]


async def test_who_was_welcomed_knows_who_and_where_it_is(connect: Connect) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    assert ann.welcome["personal"].startswith("user:")
    assert ann.user != bob.user
    assert ann.welcome["session"] != bob.welcome["session"]
    assert ann.welcome["node"] == bob.welcome["node"]
    assert ann.welcome["heartbeat"] == {"interval_ms": 25_000, "timeout_ms": 10_000}
    assert ann.welcome["limits"] == {
        "message_bytes": 65_536,
        "channels": 128,
        "commands_per_second": 1_000_000,
        "commands_burst": 1_000_000,
    }


async def test_the_server_speaks_at_the_interval_that_it_announced(
    connect: Connect, small: Service
) -> None:
    wire = await connect(to=small)
    loop = asyncio.get_running_loop()
    beats: list[float] = []
    interval = wire.welcome["heartbeat"]["interval_ms"] / 1000
    while len(beats) < 3:
        if await wire.connection.recv() == '{"type":"ping"}':
            beats.append(loop.time())
    assert beats[2] - beats[0] >= interval


@pytest.mark.parametrize("command", UNKNOWN, ids=lambda command: command["type"])
async def test_what_does_not_exist_is_unknown(connect: Connect, command: dict[str, str]) -> None:
    wire = await connect()
    refused = await wire.ask(**command)
    assert (refused["code"], refused["field"]) == ("unknown_channel", "channel")
    nothing_there = {**command, "channel": "chat:nobody-created-this"}
    if command["type"] != "subscribe":
        assert (await wire.ask(**nothing_there))["code"] == "unknown_channel"


@pytest.mark.parametrize("command", UNSUBSCRIBED, ids=lambda command: command["type"])
async def test_what_needs_a_subscription_says_so(
    connect: Connect, channel: str, command: dict[str, str]
) -> None:
    wire = await connect()
    refused = await wire.ask(channel=channel, **command)
    assert (refused["code"], refused["field"]) == ("not_subscribed", "channel")


# subscribe and unsubscribe


async def test_a_channel_without_messages_stands_at_its_start(
    connect: Connect, channel: str
) -> None:
    wire = await connect()
    assert await wire.ask(type="subscribe", channel=channel, last=10) == {
        "type": "subscribed",
        "id": "asked",
        "channel": channel,
        "epoch": "",
        "offset": 0,
        "messages": [],
    }


async def test_the_last_messages_come_with_the_subscription(connect: Connect, channel: str) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    await ann.ask(type="subscribe", channel=channel)
    for text in "abcde":
        await ann.say(type="publish", channel=channel, data={"text": text})
    pushed = [await ann.hear_type("message") for _ in "abcde"]
    subscribed = await bob.ask(type="subscribe", channel=channel, last=2)
    assert subscribed["offset"] == 5 and "recovered" not in subscribed
    assert subscribed["messages"] == pushed[-2:]
    everything = await (await connect("carl")).ask(type="subscribe", channel=channel, last=100)
    assert everything["messages"] == pushed
    assert (await bob.ask(type="history", channel=channel))["messages"] == pushed


async def test_a_second_subscription_to_a_channel_is_refused(
    connect: Connect, channel: str
) -> None:
    wire = await connect()
    await wire.ask(type="subscribe", channel=channel)
    assert (await wire.ask(type="subscribe", channel=channel))["code"] == "already_subscribed"
    await wire.ask(type="publish", channel=channel, data={"text": "once"})
    await wire.ask(type="publish", channel=channel, data={"text": "twice"})
    await wire.ask(type="unsubscribe", channel=channel)
    assert (await wire.ask(type="subscribe", channel=channel))["type"] == "subscribed"


async def test_a_connection_takes_so_many_channels(connect: Connect, small: Service) -> None:
    wire = await connect(to=small)
    assert wire.welcome["limits"]["channels"] == 3
    for name in "abc":
        await wire.ask(type="subscribe", channel=f"chat:many-{name}")
    refused = await wire.ask(type="subscribe", channel="chat:many-d")
    assert refused["code"] == "limit_exceeded"
    await wire.ask(type="unsubscribe", channel="chat:many-a")
    assert (await wire.ask(type="subscribe", channel="chat:many-d"))["type"] == "subscribed"


async def test_nothing_of_a_channel_comes_after_it_was_left(connect: Connect, channel: str) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    for wire in (ann, bob):
        await wire.ask(type="subscribe", channel=channel, presence=True)

    async def chatter() -> None:
        for number in range(100):
            await bob.ask(type="publish", channel=channel, data={"text": str(number)})
            await bob.ask(type="signal", channel=channel, kind="typing")

    chattering = asyncio.create_task(chatter())
    await ann.hear_type("message")
    assert await ann.ask(type="unsubscribe", channel=channel, id="left") == {
        "type": "ok",
        "id": "left",
        "channel": channel,
    }
    await chattering
    assert await ann.heard() == []


# signals


async def test_a_signal_reaches_the_subscribers_and_is_not_kept(
    connect: Connect, channel: str
) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    for wire in (ann, bob):
        await wire.ask(type="subscribe", channel=channel)
    await ann.say(type="signal", channel=channel, kind="typing")
    reply = await ann.ask(type="signal", channel=channel, kind="at", data={"line": 3})
    assert reply == {"type": "ok", "id": "asked", "channel": channel}
    first, second = await bob.hear(), await bob.hear()
    assert first["type"] == "signal" and first["from"]["id"] == ann.user
    assert (first["kind"], second["kind"]) == ("typing", "at")
    assert "data" not in first and second["data"] == {"line": 3}
    assert (await bob.ask(type="history", channel=channel))["messages"] == []


async def test_a_signal_without_an_id_has_no_reply(connect: Connect, channel: str) -> None:
    wire = await connect()
    await wire.ask(type="subscribe", channel=channel)
    await wire.say(type="signal", channel=channel, kind="typing")
    heard = await wire.heard()
    assert {each["type"] for each in heard} <= {"signal"}


async def test_a_signal_is_small(connect: Connect, channel: str) -> None:
    wire = await connect()
    await wire.ask(type="subscribe", channel=channel)
    signal = {"type": "signal", "channel": channel, "kind": "typing"}
    assert (await wire.ask(**signal, data="x" * 1022))["type"] == "ok"
    refused = await wire.ask(**signal, data="x" * 1023)
    assert (refused["code"], refused["field"]) == ("too_large", "data")
    assert (await wire.ask(**signal, data="ü" * 512))["code"] == "too_large"
