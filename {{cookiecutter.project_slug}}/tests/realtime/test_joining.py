"""Recovery on a real server: what follows a position, or why it cannot be given."""

import asyncio

import pytest

from ..conftest import Connect
from ..service import Service, Wire, pruned
from ..shapes import Frame
from .stage import GatedHistory, elsewhere, open_node, welcomed

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
    await pruned(ann, channel, max(1, published - KEPT + 1))
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
    await pruned(ann, channel, 4)
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
        ann.say(type="publish", channel="talk:x", data={"text": "x"})
        await ann.hear_type("message")
        await history.append(elsewhere("talk:x", 9))
        subscribed = await bob.ask(type="subscribe", channel="talk:x", last=2)
        assert [each["offset"] for each in subscribed["messages"]] == [9, 10]
        assert subscribed["offset"] == 10
        heard = [(await ann.hear_type("message"))["offset"] for _ in range(9)]
        assert heard == list(range(2, 11))


async def test_an_answer_takes_so_many_bytes_and_the_rest_follows() -> None:
    """What a client asks for has the bound of what waits for it; a message alone may be larger."""
    async with open_node(outbox_bytes=1000) as node, welcomed(node) as ann:
        for _ in range(8):
            await ann.ask(type="publish", channel="talk:x", data={"text": "x" * 200})
        for number, since in enumerate((0, 3, 7, 8)):
            async with welcomed(node, f"user-{number}") as bob:
                position = {"epoch": "", "offset": 0} if not since else None
                if position is None:
                    page = await bob.ask(type="history", channel="talk:x")
                    position = {"epoch": page["epoch"], "offset": since}
                subscribed = await bob.ask(type="subscribe", channel="talk:x", since=position)
                heard = subscribed["messages"]
                assert len(heard) == min(2, 8 - since)
                assert subscribed["offset"] == since + len(heard)
                heard += [await bob.hear() for _ in range(8 - subscribed["offset"])]
                assert [each["offset"] for each in heard] == list(range(since + 1, 9))
        async with welcomed(node, "cleo") as cleo:
            subscribed = await cleo.ask(type="subscribe", channel="talk:x", last=5)
            assert [each["offset"] for each in subscribed["messages"]] == [7, 8]
        await ann.ask(type="publish", channel="talk:x", data={"text": "x" * 2000})
        page = await ann.ask(type="history", channel="talk:x", limit=1)
        assert [each["offset"] for each in page["messages"]] == [9]


@pytest.mark.parametrize(
    ("window", "offsets"),
    [({}, [7, 8]), ({"before": 5}, [3, 4]), ({"after": 0}, [1, 2]), ({"after": 6}, [7, 8])],
)
async def test_a_page_takes_so_many_bytes_and_says_that_there_is_more(
    window: dict[str, int], offsets: list[int]
) -> None:
    async with open_node(outbox_bytes=1000) as node, welcomed(node) as ann:
        for _ in range(8):
            await ann.ask(type="publish", channel="talk:x", data={"text": "x" * 200})
        page = await ann.ask(type="history", channel="talk:x", **window)
        assert [each["offset"] for each in page["messages"]] == offsets
        assert page["has_more"] is (window != {"after": 6})
