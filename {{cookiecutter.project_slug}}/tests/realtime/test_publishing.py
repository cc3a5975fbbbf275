"""What a publication becomes, and what a key makes of a second one."""

import asyncio
from collections.abc import Sequence

import pytest
from pydantic import JsonValue

from app.history.base import Draft, Receipt
from app.history.memory import MemoryHistory
from app.protocol.commands import Publish
from app.protocol.errors import CommandError
from app.protocol.events import Member
from app.realtime import waiting
from app.realtime.publishing import compose

from ..conftest import Connect
from .stage import open_node, welcomed


async def test_a_publication_is_what_the_server_says_it_is(connect: Connect, channel: str) -> None:
    """Sender, time, id and position are the server's; the data is the client's."""
    ann = await connect("ann")
    await ann.ask(type="subscribe", channel=channel)
    sent = await ann.ask(type="publish", channel=channel, data={"text": "Grüße 👋\n"}, key="k")
    page = await ann.ask(type="history", channel=channel)
    (message,) = page["messages"]
    assert message.pop("message_id") and message.pop("sent_at")
    assert message == {
        "type": "message",
        "channel": channel,
        "epoch": sent["epoch"],
        "offset": sent["offset"],
        "from": ann.welcome["user"],
        "data": {"text": "Grüße 👋\n"},
        "key": "k",
    }


def test_a_key_stands_for_what_was_wanted_whatever_the_order_of_its_fields() -> None:
    def digest(data: JsonValue) -> bytes | None:
        wanted = Publish(type="publish", channel="chat:x", data=data, key="k")
        return compose(Member(id="ann"), wanted, b"{}").digest

    one = digest({"a": 1, "b": {"c": 2, "d": 3}})
    assert one == digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert one != digest({"a": 1, "b": {"c": 2, "d": 4}})


async def test_offsets_rise_by_one_and_need_no_subscription(connect: Connect, channel: str) -> None:
    reader, writer = await connect("ann"), await connect("bob")
    await reader.ask(type="subscribe", channel=channel)
    receipts = [
        await writer.ask(type="publish", channel=channel, data={"text": "x"}) for _ in range(5)
    ]
    assert [each["offset"] for each in receipts] == [1, 2, 3, 4, 5]
    assert len({each["epoch"] for each in receipts}) == 1
    assert all(each["duplicate"] is False and each["channel"] == channel for each in receipts)


async def test_everybody_sees_one_order(connect: Connect, channel: str) -> None:
    wires = [await connect(name) for name in ("ann", "bob", "carl")]
    for wire in wires:
        await wire.ask(type="subscribe", channel=channel)

    async def publish(number: int) -> None:
        for step in range(20):
            await wires[number].say(
                type="publish", channel=channel, data={"text": f"{number}.{step}"}
            )

    await asyncio.gather(*map(publish, range(3)))
    seen = []
    for wire in wires:
        messages = [await wire.hear_type("message") for _ in range(60)]
        assert [each["offset"] for each in messages] == list(range(1, 61))
        seen.append([each["data"]["text"] for each in messages])
    assert seen[0] == seen[1] == seen[2]
    for number in range(3):
        own = [text for text in seen[0] if text.startswith(f"{number}.")]
        assert own == [f"{number}.{step}" for step in range(20)]


async def test_the_same_key_and_data_are_one_publication(connect: Connect, channel: str) -> None:
    ann, witness = await connect("ann"), await connect("bob")
    await witness.ask(type="subscribe", channel=channel)
    command = {"type": "publish", "channel": channel, "data": {"text": "once"}, "key": "k"}
    first = await ann.ask(**command)
    await ann.ask(type="publish", channel=channel, data={"text": "between"})
    again = await ann.ask(**command)
    elsewhere = await (await connect("ann")).ask(**command)
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    for repeated in (again, elsewhere):
        assert (repeated["epoch"], repeated["offset"]) == (first["epoch"], first["offset"])
    heard = [each for each in await witness.heard() if each["type"] == "message"]
    assert [each["data"]["text"] for each in heard] == ["once", "between"]


async def test_a_key_stands_for_its_data(connect: Connect, channel: str) -> None:
    ann = await connect("ann")
    await ann.ask(type="subscribe", channel=channel)
    command = {"type": "publish", "channel": channel, "key": "k"}
    await ann.ask(**command, data={"text": "one"})
    refused = await ann.ask(**command, data={"text": "other"})
    assert (refused["code"], refused["field"]) == ("conflict", "key")
    assert len((await ann.ask(type="history", channel=channel))["messages"]) == 1


async def test_each_sender_and_channel_has_keys_of_its_own(connect: Connect, channel: str) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    for name in (channel, f"{channel}.2"):
        await ann.ask(type="subscribe", channel=name)
    command = {"type": "publish", "data": {"text": "x"}, "key": "k"}
    await ann.ask(**command, channel=channel)
    other = await bob.ask(**{**command, "data": {"text": "bob's"}}, channel=channel)
    assert (other["duplicate"], other["offset"]) == (False, 2)
    elsewhere = await ann.ask(**command, channel=f"{channel}.2")
    assert (elsewhere["duplicate"], elsewhere["offset"]) == (False, 1)


async def test_a_key_may_be_used_at_the_same_time_from_two_connections(
    connect: Connect, channel: str
) -> None:
    one, two = await connect("ann"), await connect("ann")
    await one.ask(type="subscribe", channel=channel)
    command = {"type": "publish", "channel": channel, "data": {"text": "x"}, "key": "k"}
    receipts = await asyncio.gather(one.ask(**command), two.ask(**command))
    assert {each["offset"] for each in receipts} == {1}
    assert sorted(each["duplicate"] for each in receipts) == [False, True]


async def test_data_of_another_shape_is_refused_with_the_place(
    connect: Connect, channel: str
) -> None:
    ann = await connect("ann")
    await ann.ask(type="subscribe", channel=channel)
    for data, field in (
        ({"text": 1}, "data.text"),
        ({}, "data.text"),
        ({"text": "x", "from": "admin"}, "data.from"),
        ("text", "data"),
        (None, "data"),
    ):
        refused = await ann.ask(type="publish", channel=channel, data=data)
        assert (refused["code"], refused["field"]) == ("invalid_message", field)
    assert (await ann.ask(type="history", channel=channel))["messages"] == []


class Hanging(MemoryHistory):
    """A history that stores nothing until it is let."""

    def __init__(self) -> None:
        super().__init__(length=100, seconds=3600)
        self.open = asyncio.Event()

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Receipt | CommandError]:
        await self.open.wait()
        return await super().append(drafts)


async def test_who_publishes_too_much_hears_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST_WAITING", 5)
    history = Hanging()
    async with open_node(history=history) as node, welcomed(node) as ann:
        for number in range(50):
            ann.say(type="publish", channel="talk:x", data={"text": "x"}, id=number)
        refused = [await ann.hear() for _ in range(45)]
        assert {each["code"] for each in refused} == {"overloaded"}
        history.open.set()
        stored = [await ann.hear() for _ in range(5)]
        assert [(each["type"], each["id"]) for each in stored] == [("ok", n) for n in range(5)]
