"""Recovery on a real server: what follows a position, or why it cannot be given."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

import pytest

from app.auth.base import Principal
from app.broker.base import Kind, Packet
from app.broker.memory import MemoryBroker
from app.history.base import Draft, Receipt
from app.history.memory import MemoryHistory
from app.protocol.channels import Position
from app.protocol.commands import Publish
from app.protocol.errors import CommandError
from app.protocol.events import Member
from app.realtime import committer
from app.realtime.channel import MOST_HELD
from app.realtime.publishing import compose
from app.realtime.publishing import publish as publish_as

from ..conftest import Connect
from ..service import Service, Wire
from ..shapes import Frame
from .stage import GatedHistory, open_node, welcomed

KEPT = 10
FURTHEST = 20
PAGE = 4


async def publish(wire: Wire, channel: str, count: int) -> Frame:
    """Say so many things; the last receipt."""
    receipt: Frame = {}
    for _ in range(count):
        receipt = await wire.ask(type="publish", channel=channel, data={"text": "x"})
    return receipt


def since(receipt: Frame, offset: int) -> Frame:
    """A position in the same epoch."""
    return {"epoch": receipt["epoch"], "offset": offset}


@pytest.fixture
async def ann(connect: Connect, small: Service, channel: str) -> Wire:
    """Somebody who talks in a room on a server with small limits, without listening."""
    wire = await connect(to=small)
    await wire.ask(type="subscribe", channel=channel)
    await wire.ask(type="unsubscribe", channel=channel)
    return wire


@pytest.fixture
async def bob(connect: Connect, small: Service) -> Wire:
    """Somebody who comes back."""
    return await connect("bob", to=small)


@pytest.mark.parametrize("missed", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, KEPT])
async def test_everything_that_was_missed_follows_in_order(
    ann: Wire, bob: Wire, channel: str, missed: int
) -> None:
    """The first page with the answer, the rest as pushes, then what is said from now on."""
    last = await publish(ann, channel, KEPT)
    seen = KEPT - missed
    subscribed = await bob.ask(type="subscribe", channel=channel, since=since(last, seen))
    await publish(ann, channel, 1)
    assert subscribed["recovered"] is True and "reason" not in subscribed
    assert len(subscribed["messages"]) == min(missed, PAGE)
    assert subscribed["offset"] == seen + min(missed, PAGE)
    messages = subscribed["messages"]
    while not messages or messages[-1]["offset"] < KEPT + 1:
        messages.append(await bob.hear_type("message"))
    assert [each["offset"] for each in messages] == list(range(seen + 1, KEPT + 2))


async def test_everything_follows_the_start(ann: Wire, bob: Wire, channel: str) -> None:
    await publish(ann, channel, 3)
    start = {"epoch": "", "offset": 0}
    subscribed = await bob.ask(type="subscribe", channel=channel, since=start)
    assert subscribed["recovered"] is True
    assert [each["offset"] for each in subscribed["messages"]] == [1, 2, 3]


@pytest.mark.parametrize(
    ("published", "offset", "reason"),
    [
        (KEPT + 1, 0, "expired"),
        (KEPT + 3, 2, "expired"),
        (FURTHEST, 0, "expired"),
        (FURTHEST + 1, 0, "too_far"),
        (FURTHEST + 5, 4, "too_far"),
        (3, 4, "ahead"),
        (3, 1000, "ahead"),
    ],
)
async def test_what_cannot_be_given_is_said(
    ann: Wire, bob: Wire, channel: str, published: int, offset: int, reason: str
) -> None:
    last = await publish(ann, channel, published)
    subscribed = await bob.ask(type="subscribe", channel=channel, since=since(last, offset), last=2)
    assert (subscribed["recovered"], subscribed["reason"]) == (False, reason)
    assert (subscribed["epoch"], subscribed["offset"]) == (last["epoch"], published)
    assert [each["offset"] for each in subscribed["messages"]] == [published - 1, published]
    await publish(ann, channel, 1)
    assert (await bob.hear_type("message"))["offset"] == published + 1


async def test_a_position_of_another_epoch_says_nothing(ann: Wire, bob: Wire, channel: str) -> None:
    last = await publish(ann, channel, 3)
    elsewhere = {"epoch": "another", "offset": 2}
    subscribed = await bob.ask(type="subscribe", channel=channel, since=elsewhere)
    assert (subscribed["recovered"], subscribed["reason"]) == (False, "epoch_changed")
    assert (subscribed["epoch"], subscribed["offset"]) == (last["epoch"], 3)
    assert subscribed["messages"] == []


async def test_the_oldest_that_is_kept_can_still_be_recovered_from(
    ann: Wire, bob: Wire, channel: str
) -> None:
    last = await publish(ann, channel, KEPT + 3)
    subscribed = await bob.ask(type="subscribe", channel=channel, since=since(last, 3))
    assert subscribed["recovered"] is True


async def test_who_joins_while_others_talk_misses_nothing_and_sees_nothing_twice(
    connect: Connect, channel: str
) -> None:
    ann = await connect("ann")
    await ann.ask(type="subscribe", channel=channel)

    async def talk() -> None:
        for number in range(300):
            await ann.say(type="publish", channel=channel, data={"text": str(number)}, id=number)

    async def listen(wire: Wire) -> list[int]:
        start = {"epoch": "", "offset": 0}
        await wire.say(type="subscribe", channel=channel, since=start, id="s")
        subscribed = await wire.hear()
        assert subscribed["type"] == "subscribed", "nothing comes before the answer"
        offsets = [each["offset"] for each in subscribed["messages"]]
        assert subscribed["offset"] == len(offsets)
        while len(offsets) < 300:
            offsets.append((await wire.hear())["offset"])
        return offsets

    talking = asyncio.create_task(talk())
    listening = []
    for number in range(6):
        wire = await connect(f"listener-{number}")
        listening.append(asyncio.create_task(listen(wire)))
        await wire.connection.ping()
    await talking
    for heard in await asyncio.gather(*listening):
        assert heard == list(range(1, 301))


async def test_nothing_comes_before_the_answer_though_much_happens_meanwhile() -> None:
    history = GatedHistory()
    async with (
        open_node(history=history) as node,
        welcomed(node) as ann,
        welcomed(node, "bob") as bob,
    ):
        await ann.ask(type="subscribe", channel="talk:x")
        await ann.ask(type="publish", channel="talk:x", data={"text": "before"})
        history.open.clear()
        bob.say(type="subscribe", channel="talk:x", last=5, presence=True, id="s")
        await history.asked.wait()
        for kind in ("one", "two"):
            await ann.ask(type="signal", channel="talk:x", kind=kind)
            await ann.ask(type="publish", channel="talk:x", data={"text": kind})
        history.open.set()
        subscribed = await bob.hear()
        assert (subscribed["type"], subscribed["id"]) == ("subscribed", "s")
        assert [each["offset"] for each in subscribed["messages"]] == [1, 2, 3]
        signals = [await bob.hear_type("signal") for _ in range(2)]
        assert [each["kind"] for each in signals] == ["one", "two"]
        await ann.ask(type="publish", channel="talk:x", data={"text": "after"})
        assert (await bob.hear_type("message"))["offset"] == 4


async def test_the_last_messages_are_the_last_ones_on_a_node_that_lags() -> None:
    """What another node said, and nobody announced here, is in the answer and comes once."""
    history = GatedHistory()
    async with (
        open_node(history=history) as node,
        welcomed(node) as ann,
        welcomed(node, "bob") as bob,
    ):
        await ann.ask(type="subscribe", channel="talk:x")
        wanted = Publish(type="publish", channel="talk:x", data={"text": "x"})
        ann.say(type="publish", channel="talk:x", data={"text": "x"})
        await ann.hear_type("message")
        said = b'{"text":"x"}'
        await history.append([compose(Member(id="eve"), wanted, said) for _ in range(9)])
        subscribed = await bob.ask(type="subscribe", channel="talk:x", last=2)
        assert [each["offset"] for each in subscribed["messages"]] == [9, 10]
        assert subscribed["offset"] == 10
        heard = [(await ann.hear_type("message"))["offset"] for _ in range(9)]
        assert heard == list(range(2, 11))


class BusyElsewhere(MemoryBroker):
    """A broker to which a node says something just before this one begins to follow."""

    def __init__(self, history: MemoryHistory) -> None:
        super().__init__()
        self._history = history

    async def follow(self, channels: Collection[str]) -> None:
        for channel in channels:
            wanted = Publish(type="publish", channel=channel, data={"text": "x"})
            await self._history.append([compose(Member(id="eve"), wanted, b'{"text":"x"}')])
        await super().follow(channels)


async def test_where_a_channel_stands_is_asked_after_it_is_followed() -> None:
    """What is said before that comes from no broker, and what is said after it from no history."""
    history = MemoryHistory(length=100, seconds=3600)
    async with (
        open_node(history=history, broker=BusyElsewhere(history)) as node,
        welcomed(node) as ann,
    ):
        assert (await ann.ask(type="subscribe", channel="talk:x"))["offset"] == 1


class SlowToTell(MemoryHistory):
    """A history whose answer about tops is on its way for a while."""

    def __init__(self) -> None:
        super().__init__(length=100, seconds=3600)
        self.asked, self.arrives = asyncio.Event(), asyncio.Event()

    async def tops(self, channels: Collection[str]) -> Mapping[str, Position]:
        tops = await super().tops(channels)
        self.asked.set()
        await self.arrives.wait()
        return tops


async def test_what_begins_a_channel_while_history_tells_that_it_is_empty_is_not_lost() -> None:
    history = SlowToTell()
    async with open_node(history=history, sweep_seconds=3600) as node, welcomed(node) as ann:
        ann.say(type="subscribe", channel="talk:x")
        await history.asked.wait()
        wanted = Publish(type="publish", channel="talk:x", data={"text": "x"})
        publishing = await publish_as(node, Principal("eve"), wanted)
        assert publishing is not None
        await publishing
        history.arrives.set()
        subscribed = await ann.hear_type("subscribed")
        assert subscribed["offset"] == 1 or (await ann.hear_type("message"))["offset"] == 1


class Hanging(MemoryHistory):
    """A history that stores nothing until it is let."""

    def __init__(self) -> None:
        super().__init__(length=100, seconds=3600)
        self.open = asyncio.Event()

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Receipt | CommandError]:
        await self.open.wait()
        return await super().append(drafts)


async def test_who_publishes_too_much_hears_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer, "MOST_WAITING", 5)
    history = Hanging()
    async with open_node(history=history) as node, welcomed(node) as ann:
        for number in range(50):
            ann.say(type="publish", channel="talk:x", data={"text": "x"}, id=number)
        refused = [await ann.hear() for _ in range(45)]
        assert {each["code"] for each in refused} == {"overloaded"}
        history.open.set()
        stored = [await ann.hear() for _ in range(5)]
        assert [(each["type"], each["id"]) for each in stored] == [("ok", n) for n in range(5)]


@pytest.mark.parametrize("later", [MOST_HELD - 1, MOST_HELD, MOST_HELD + 1])
async def test_one_that_is_missing_is_read_however_many_are_held(later: int) -> None:
    history = MemoryHistory(length=5000, seconds=3600)
    wanted = Publish(type="publish", channel="talk:x", data={"text": "x"})
    async with (
        open_node(history=history, sweep_seconds=3600, repair_limit=5000) as node,
        welcomed(node) as ann,
    ):
        await ann.ask(type="subscribe", channel="talk:x")
        drafts = [compose(Member(id="eve"), wanted, b'{"text":"x"}') for _ in range(later + 1)]
        receipts = [each for each in await history.append(drafts) if isinstance(each, Receipt)]
        node.hub.channels["talk:x"].locate(Position(receipts[0].position.epoch, 0))
        node.hub.deliver(
            [Packet(Kind.MESSAGE, "talk:x", each.body, each.position) for each in receipts[1:]]
        )
        heard = [(await ann.hear_type("message"))["offset"] for _ in receipts]
        assert heard == list(range(1, later + 2))


async def test_a_channel_that_could_not_be_repaired_is_repaired_later() -> None:
    history = GatedHistory()
    async with (
        open_node(history=history, sweep_seconds=3600) as node,
        welcomed(node) as ann,
    ):
        await ann.ask(type="subscribe", channel="talk:x")
        history.away = True
        history.asked.clear()
        ann.say(type="publish", channel="talk:x", data={"text": "x"})
        await history.asked.wait()
        history.away = False
        assert (await ann.hear_type("message"))["offset"] == 1
