"""The way out for what is not kept: together, in order, and never silent about what failed."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from structlog.testing import capture_logs

from app.broker.base import Packet
from app.broker.memory import MemoryBroker
from app.budget import Want
from app.coordination.memory import MemoryCoordination
from app.history.base import Draft, Outcome
from app.protocol.errors import CommandError, Unavailable
from app.realtime.announcer import Announcer

from ..history.drafts import draft, drafts


class Slow(MemoryBroker):
    """A broker that notes what is published at a time, lets it wait, or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self.failure: Exception | None = None
        self.carried: list[list[bytes]] = []

    async def publish(self, packets: Sequence[Packet]) -> None:
        self.asked.set()
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        self.carried.append([packet.body for packet in packets])


class Stage:
    """An announcer at work."""

    def __init__(self) -> None:
        self.broker = Slow()
        self.announcer = Announcer(MemoryCoordination(), self.broker)

    async def say(self, drafts: Sequence[Draft]) -> list[Outcome | None]:
        """Announce many at the same time."""
        return await asyncio.gather(*[self.announcer.submit(each) for each in drafts])


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """An announcer at work."""
    stage = Stage()
    running = asyncio.create_task(stage.announcer.run())
    yield stage
    running.cancel()
    await asyncio.wait([running])


async def test_what_waits_shares_a_round_trip_and_keeps_its_order(stage: Stage) -> None:
    """Else each of a burst takes a round trip, and is written alone to every subscriber."""
    stage.broker.open.clear()
    first, *rest = drafts("echo:x", 100)
    sent = [stage.announcer.submit(first)]
    await stage.broker.asked.wait()
    sent += [stage.announcer.submit(each) for each in rest]
    stage.broker.open.set()
    assert await asyncio.gather(*sent) == [None] * 100
    assert stage.broker.carried == [[first.body], [each.body for each in rest]]


async def test_who_publishes_too_much_spares_the_others(stage: Stage) -> None:
    once = Want("publish:ann", rate=0.001, burst=1)
    three = [each._replace(cost=once) for each in drafts("echo:x", 2)]
    three.append(draft("echo:x", "another's", sender="bob"))
    outcomes = await stage.say(three)
    assert [isinstance(each, CommandError) and each.code for each in outcomes] == [
        *(False, "rate_limited", False),
    ]
    assert stage.broker.carried == [[three[0].body, three[2].body]]


@pytest.mark.parametrize(
    ("failure", "code", "logged"),
    [(Unavailable(), "unavailable", 0), (ZeroDivisionError("planted"), "internal", 1)],
    ids=["unavailable", "unforeseen"],
)
async def test_a_failure_is_told_to_everybody_and_the_next_one_works(
    stage: Stage, failure: Exception, code: str, logged: int
) -> None:
    stage.broker.failure = failure
    with capture_logs() as logs:
        outcomes = await stage.say(drafts("echo:x", 3))
    assert [each.code for each in outcomes if isinstance(each, CommandError)] == [code] * 3
    assert len(logs) == logged
    stage.broker.failure = None
    assert await stage.say(drafts("echo:x", 1)) == [None]
