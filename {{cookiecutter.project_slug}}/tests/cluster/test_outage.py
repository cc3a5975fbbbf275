"""Redis is away, or frozen, or cuts who listens: nodes go on, and soon are one service again."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from time import monotonic

import pytest
from websockets.exceptions import ConnectionClosed

from ..conftest import Connect
from ..databases import OUTLIVES
from ..doors.base import Refused
from ..nodes import history
from ..service import PATIENCE, Connected, NotWelcome, Service
from ..shapes import Frame, parse
from .chaos import play
from .nodes import Cluster, cluster
from .plan import Play, haste
from .pulse import pulse
from .test_chaos import SEED

REDIS_SECONDS = 0.5
"""How long nodes wait for an answer of Redis."""
PROMPT = 0.1
"""What one of a hundred /livez may take in any case; on a busy machine, twice what others take."""
BACK = 3.0
"""Seconds after which nodes hear each other again."""
WAYS = {"away": ("kill", "start"), "frozen": ("freeze", "thaw")}
"""How Redis leaves and comes back."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes that do not look for what is missing unless they have a reason."""
    settings = haste("deaf") | {"APP_SWEEP_SECONDS": "600", "APP_REDIS_SECONDS": str(REDIS_SECONDS)}
    with cluster(tmp_path_factory.mktemp("outage"), **settings) as own:
        yield own


class Ear:
    """Hears messages, and nothing about a loss."""

    def __init__(self, wire: Connected) -> None:
        self.texts: list[str] = []
        self._wire = wire

    async def listen(self) -> None:
        """Note what comes, until cancelled."""
        while True:
            frame = parse(await self._wire.connection.recv())
            if frame["type"] != "ping":
                assert frame["type"] == "message", frame
                self.texts.append(frame["data"]["text"])

    async def hear(self, beginning: str) -> None:
        """Return once something was heard that begins like this."""
        async with asyncio.timeout(PATIENCE):
            while not any(text.startswith(beginning) for text in self.texts):
                await asyncio.sleep(0.005)


async def say(wire: Connected, channel: str, text: str) -> Frame:
    """Publish, and be answered in bounded time."""
    async with asyncio.timeout(3 * REDIS_SECONDS + 0.5):
        return await wire.ask(type="publish", channel=channel, data={"text": text}, key=text)


async def insist(wire: Connected, channel: str, text: str) -> None:
    """Publish until it is acknowledged, each time something else."""
    number = 0
    while (await say(wire, channel, f"{text} {number}"))["type"] != "ok":
        number += 1
        await asyncio.sleep(0.05)


async def let_in(connect: Connect, user: str, node: Service) -> Connected:
    """Connect, as soon as the node is over what was before."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(ConnectionClosed, Refused, NotWelcome):
                return await connect(user, to=node)
            await asyncio.sleep(0.05)


async def subscribed(connect: Connect, user: str, node: Service, channel: str) -> Connected:
    """The same, with a subscription."""
    wire = await let_in(connect, user, node)
    async with asyncio.timeout(PATIENCE):
        while (await wire.ask(type="subscribe", channel=channel))["type"] != "subscribed":
            await asyncio.sleep(0.05)
    return wire


@pytest.mark.parametrize(
    "seconds", [2.0, pytest.param(8.0, marks=pytest.mark.long)], ids=["short", "long"]
)
@pytest.mark.parametrize("way", WAYS)
async def test_the_service_goes_on_without_redis(
    own: Cluster, service: Service, connect: Connect, channel: str, way: str, seconds: float
) -> None:
    """Sockets stay open, a publish is answered, and nodes hear each other as soon as they can."""
    leave, come_back = (getattr(own.store, name) for name in WAYS[way])
    ann = await let_in(connect, "ann", own.nodes[0])
    bob, carl = [
        await subscribed(connect, name, node, channel)
        for name, node in zip(("bob", "carl"), own.nodes, strict=True)
    ]
    async with asyncio.TaskGroup() as tasks:
        here, there = Ear(bob), Ear(carl)
        listening = [tasks.create_task(each.listen()) for each in (here, there)]
        await insist(ann, channel, "before")
        await there.hear("before")
        # Beside it, at the same time, is a service of which nobody takes anything away.
        async with pulse(own.nodes) as felt, pulse([service]) as calm:
            await asyncio.to_thread(leave)
            end, number = monotonic() + seconds, 0
            while monotonic() < end:
                answer = await say(ann, channel, f"during {number}.")
                if OUTLIVES:
                    assert answer["type"] == "ok", answer
                    await here.hear(f"during {number}.")
                else:
                    assert (answer["type"], answer["code"]) == ("error", "unavailable"), answer
                number += 1
                await asyncio.sleep(0.05)
            await asyncio.to_thread(come_back)
            begun = monotonic()
            await insist(ann, channel, "back")
            await there.hear("back")
            took = monotonic() - begun
        await insist(ann, channel, "end")
        await there.hear("end")
        await here.hear("end")
        for each in listening:
            each.cancel()
    kept = [message["data"]["text"] for message in await history(own.nodes[1], channel)]
    assert here.texts == there.texts == kept
    print(f"back after {took:.2f} s; /livez p99 {felt.p99:.3f} s, beside {calm.p99:.3f} s")  # noqa: T201
    assert took < BACK
    assert felt.p99 < max(PROMPT, 2 * calm.p99)


@pytest.mark.parametrize(
    "messages", [2_000, pytest.param(20_000, marks=pytest.mark.long)], ids=["short", "long"]
)
async def test_nothing_is_missing_while_redis_cuts_who_listens(own: Cluster, messages: int) -> None:
    """As by CLIENT KILL, or by its bound on what waits for a subscriber, five times a second."""
    plan = Play(messages, publishers=4, cuts=inf, deaf=0.2, seconds=100)
    assert await play(own, "deaf", plan, SEED, lossless=True) == []
