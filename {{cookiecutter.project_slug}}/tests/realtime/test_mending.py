"""What a node has missed, however it came to miss it, is read from history without the sweep."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping

import pytest

from app.broker.base import Kind, Packet
from app.broker.memory import MemoryBroker
from app.coordination.memory import MemoryCoordination
from app.history.base import Receipt
from app.history.memory import MemoryHistory
from app.protocol.channels import Position
from app.realtime.channel import MOST_HELD

from ..nearby import Clock
from ..service import PATIENCE
from .stage import GatedHistory, elsewhere, open_node, welcomed


class BusyElsewhere(MemoryBroker):
    """A broker to which a node says something just before this one begins to follow."""

    def __init__(self, history: MemoryHistory) -> None:
        super().__init__()
        self._history = history

    async def follow(self, channels: Collection[str]) -> None:
        for channel in channels:
            await self._history.append(elsewhere(channel, 1))
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
    async with (
        open_node(history=history, sweep_seconds=3600) as node,
        welcomed(node) as ann,
        welcomed(node, "eve") as eve,
    ):
        ann.say(type="subscribe", channel="talk:x")
        await history.asked.wait()
        await eve.ask(type="publish", channel="talk:x", data={"text": "x"})
        history.arrives.set()
        subscribed = await ann.hear_type("subscribed")
        assert subscribed["offset"] == 1 or (await ann.hear_type("message"))["offset"] == 1


@pytest.mark.parametrize("later", [MOST_HELD - 1, MOST_HELD, MOST_HELD + 1])
async def test_one_that_is_missing_is_read_however_many_are_held(later: int) -> None:
    history = MemoryHistory(length=5000, seconds=3600)
    async with (
        open_node(history=history, sweep_seconds=3600, repair_limit=5000) as node,
        welcomed(node) as ann,
    ):
        await ann.ask(type="subscribe", channel="talk:x")
        stored = await history.append(elsewhere("talk:x", later + 1))
        receipts = [each for each in stored if isinstance(each, Receipt)]
        node.hub.channels["talk:x"].locate(Position(receipts[0].position.epoch, 0))
        node.hub.deliver(
            [Packet(Kind.MESSAGE, "talk:x", each.body, each.position) for each in receipts[1:]]
        )
        heard = [(await ann.hear_type("message"))["offset"] for _ in receipts]
        assert heard == list(range(1, later + 2))


@pytest.mark.parametrize("missing", [5, 6])
async def test_so_much_is_repaired_and_more_is_said_to_be_too_far(missing: int) -> None:
    history = MemoryHistory(length=100, seconds=3600)
    async with open_node(history=history, repair_limit=5) as node, welcomed(node) as ann:
        await ann.ask(type="publish", channel="talk:x", data={"text": "x"})
        await ann.ask(type="subscribe", channel="talk:x")
        await history.append(elsewhere("talk:x", missing))
        await node.hub._mender.repair(node.hub.channels["talk:x"])
        assert [(await ann.hear())["offset"] for _ in range(5)] == [2, 3, 4, 5, 6]
        restated = [(each["reason"], each["offset"]) for each in ann.said()]
        assert restated == ([] if missing == 5 else [("too_far", 7)])


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


class Backlog(MemoryHistory):
    """A history that has more to delete than it ever will have done."""

    def __init__(self) -> None:
        super().__init__(length=100, seconds=3600)
        self.steps, self.compared = 0, 0
        self.goes_on = asyncio.Event()
        self.clock_of_leases = Clock()

    async def tops(self, channels: Collection[str]) -> Mapping[str, Position]:
        self.compared += 1
        return await super().tops(channels)

    async def prune(self) -> int:
        self.steps += 1
        self.clock_of_leases.advance(HASTE)
        if self.steps == 5:
            await self.goes_on.wait()
        return 1


HASTE = 0.02
"""Seconds between two looks."""


async def test_retention_does_not_stop_the_search_for_what_was_missed() -> None:
    history = Backlog()
    kept: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()
    one, two = (MemoryCoordination(history.clock_of_leases, kept) for _ in range(2))
    async with (
        asyncio.timeout(PATIENCE),
        open_node(history=history, coordination=one, sweep_seconds=HASTE),
    ):
        while history.steps < 5:
            await asyncio.sleep(0)
        # The lease lasts for two looks, and is renewed at each step.
        assert not await two.hold("prune", HASTE)
        before = history.compared
        while history.compared < before + 2:
            await asyncio.sleep(0)
