"""What `broker/base.py` promises, held against every adapter."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from secrets import token_hex

import pytest

from app.broker.base import Broker, Gap, Health, Kind, Packet
from app.protocol.channels import Position

from ..contracts import Adapter, adapters

PATIENCE = 10.0
"""Seconds after which what should arrive did not."""


class Node:
    """A broker, and all that it delivered."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.packets: list[Packet] = []
        self._arrived = asyncio.Condition()

    async def listen(self) -> None:
        """Collect until cancelled."""
        async for delivery in self.broker.deliveries():
            async with self._arrived:
                if not isinstance(delivery, Gap):
                    self.packets.extend(delivery)
                self._arrived.notify_all()

    async def has(self, *packets: Packet) -> None:
        """Return once each of these arrived."""
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: set(packets) <= set(self.packets))


@pytest.fixture
def channel() -> str:
    """A channel that no other test has used."""
    return f"test:{token_hex(8)}"


@pytest.fixture(params=adapters("broker"))
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes that listen."""
    adapter: Adapter = request.param
    async with AsyncExitStack() as stack:
        one, two = map(Node, await adapter.open_two(stack))
        listening = [asyncio.create_task(node.listen()) for node in (one, two)]
        yield one, two
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)


def say(channel: str, text: str, offset: int | None = None) -> Packet:
    """A packet with a text, and perhaps a position."""
    position = None if offset is None else Position("e1", offset)
    return Packet(Kind.MESSAGE, channel, f'"data":"{text}"'.encode(), position)


async def test_a_broker_that_works_is_up(nodes: tuple[Node, Node]) -> None:
    assert [node.broker.health for node in nodes] == [Health.UP, Health.UP]


async def test_a_packet_reaches_every_node_that_follows_and_its_sender_alike(
    nodes: tuple[Node, Node], channel: str
) -> None:
    one, two = nodes
    packets = [
        say(channel, "kept", 2**53 - 1),
        say(channel, "not kept"),
        say(channel, "ünïcödé ☃" + "x" * 65_536, 1),
        Packet(Kind.SIGNAL, channel, b'{"type":"signal"}'),
        Packet(Kind.PRESENCE, channel, b'{"type":"join"}'),
        Packet(Kind.MESSAGE, channel, b"", Position("", 0)),
    ]
    for node in nodes:
        await node.broker.follow([channel])
    await one.broker.publish(packets)
    for node in nodes:
        await node.has(*packets)
        assert node.packets == packets
    assert two.packets == one.packets


async def test_a_packet_reaches_nobody_else(nodes: tuple[Node, Node], channel: str) -> None:
    one, two = nodes
    await one.broker.follow([f"{channel}-a", f"{channel}-c"])
    await two.broker.follow([f"{channel}-b", f"{channel}-c"])
    last = say(f"{channel}-c", "z")
    await one.broker.publish(
        [say(f"{channel}-a", "x"), say(f"{channel}-b", "y"), say(channel, "w"), last]
    )
    for node, other in ((one, "a"), (two, "b")):
        await node.has(last)
        assert [packet.channel for packet in node.packets] == [f"{channel}-{other}", f"{channel}-c"]


async def test_every_packet_comes_once_and_in_the_order_of_its_sender(
    nodes: tuple[Node, Node], channel: str
) -> None:
    other = f"{channel}-other"

    async def publish(number: int) -> list[Packet]:
        sent = []
        for i in range(50):
            batch = [say(name, f"{number}/{i}/{j}") for j in range(3) for name in (channel, other)]
            await nodes[number].broker.publish(batch)
            sent += batch
        return sent

    for node in nodes:
        await node.broker.follow([channel, other])
    everyones = await asyncio.gather(publish(0), publish(1))
    for node in nodes:
        await node.has(*everyones[0], *everyones[1])
        assert max(Counter(node.packets).values()) == 1
        for sent in everyones:
            for name in (channel, other):
                mine = [packet for packet in sent if packet.channel == name]
                assert [packet for packet in node.packets if packet in set(mine)] == mine


async def test_a_follow_is_in_force_when_it_returns(nodes: tuple[Node, Node], channel: str) -> None:
    one, two = nodes
    for number in range(50):
        packet = say(f"{channel}-{number}", "x")
        await two.broker.follow([packet.channel])
        await one.broker.publish([packet])
        await two.has(packet)


async def test_many_channels_are_followed_at_once(nodes: tuple[Node, Node], channel: str) -> None:
    one, two = nodes
    packets = [say(f"{channel}-{number}", "x") for number in range(1000)]
    await two.broker.follow([packet.channel for packet in packets])
    await one.broker.publish(packets)
    await two.has(*packets)


async def test_what_is_forgotten_comes_no_more_and_the_rest_does(
    nodes: tuple[Node, Node], channel: str
) -> None:
    one, two = nodes
    await two.broker.follow([channel, f"{channel}-kept"])
    await two.broker.forget([channel])
    kept = say(f"{channel}-kept", "x")
    await one.broker.publish([say(channel, "x"), kept])
    await two.has(kept)
    assert two.packets == [kept]


async def test_a_later_follow_wins_over_an_earlier_forget(
    nodes: tuple[Node, Node], channel: str
) -> None:
    """Whether or not the forget was waited for."""
    one, two = nodes
    await two.broker.follow([channel])
    for number in range(20):
        forgetting = asyncio.create_task(two.broker.forget([channel]))
        await asyncio.sleep(0)
        await two.broker.follow([channel])
        packet = say(channel, str(number))
        await one.broker.publish([packet])
        await two.has(packet)
        await forgetting


async def test_repeating_oneself_changes_nothing(nodes: tuple[Node, Node], channel: str) -> None:
    one, two = nodes
    await two.broker.forget([channel])
    await two.broker.follow([channel, channel])
    await two.broker.follow([channel])
    for nothing in (two.broker.follow, two.broker.forget, one.broker.publish):
        await nothing([])
    packets = [say(channel, "x"), say(channel, "y")]
    await one.broker.publish(packets)
    await two.has(*packets)
    assert two.packets == packets
