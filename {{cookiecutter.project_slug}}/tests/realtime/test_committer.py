"""The one way into history: together, in order, and never silent about what failed."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from structlog.testing import capture_logs

from app.broker.base import Packet
from app.broker.memory import MemoryBroker
from app.coordination.memory import MemoryCoordination
from app.history.base import Draft, Receipt
from app.history.memory import MemoryHistory
from app.protocol.errors import CommandError, Unavailable
from app.realtime import committer, waiting
from app.realtime.committer import Committer

from ..history.drafts import draft, drafts
from ..service import PATIENCE


class Gated(MemoryHistory):
    """A history whose appends wait to be let through, or fail."""

    def __init__(self) -> None:
        super().__init__(length=10_000, seconds=3600)
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self.failure: Exception | None = None
        self.batches: list[int] = []

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Receipt | CommandError]:
        self.batches.append(len(drafts))
        self.asked.set()
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return await super().append(drafts)


class Deaf(MemoryBroker):
    """A broker that notes what is published, and may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.carried: list[Packet] = []

    async def publish(self, packets: Sequence[Packet]) -> None:
        if self.away:
            raise Unavailable
        self.carried += packets


class Stage:
    """A committer at work, and what it delivered."""

    def __init__(self) -> None:
        self.history = Gated()
        self.broker = Deaf()
        self.delivered: list[Packet] = []
        self.committer = Committer(
            MemoryCoordination(), self.history, self.broker, self.delivered.extend
        )

    @property
    def offsets(self) -> list[int]:
        """Of what was delivered here."""
        return [packet.position.offset for packet in self.delivered if packet.position]

    async def commit(self, draft: Draft) -> Receipt:
        """Commit one draft."""
        outcome = await self.committer.submit(draft)
        if isinstance(outcome, CommandError):
            raise outcome
        assert outcome is not None
        return outcome

    async def gather(self, drafts: Sequence[Draft]) -> list[Receipt | BaseException]:
        """Commit many at the same time."""
        commits = [self.commit(each) for each in drafts]
        return await asyncio.gather(*commits, return_exceptions=True)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A committer at work."""
    stage = Stage()
    running = asyncio.create_task(stage.committer.run())
    yield stage
    running.cancel()
    await asyncio.wait([running])


async def test_what_waits_shares_an_append_and_keeps_its_order(stage: Stage) -> None:
    stage.history.open.clear()
    first = asyncio.create_task(stage.commit(draft("chat:x", "0")))
    await stage.history.asked.wait()
    rest = asyncio.create_task(stage.gather(drafts("chat:x", 1200)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    stage.history.open.set()
    receipts = [await first, *await rest]
    offsets = [each.position.offset for each in receipts if isinstance(each, Receipt)]
    assert offsets == list(range(1, 1202))
    assert stage.offsets == offsets
    assert stage.broker.carried == stage.delivered
    assert stage.history.batches == [1, 500, 500, 200]


async def test_what_waits_shares_an_append_as_long_as_it_is_not_large(stage: Stage) -> None:
    """One write to each subscriber brings all of it, whatever may wait for it."""
    large = waiting.MOST_BYTES // 2
    await stage.gather([draft("chat:x", "x" * large) for _ in range(5)])
    assert stage.history.batches == [2, 2, 1]


async def test_what_is_refused_spares_its_neighbours(stage: Stage) -> None:
    await stage.commit(draft("chat:x", "one", key="k"))
    outcomes = await stage.gather(
        [draft("chat:x", "a"), draft("chat:x", "other", key="k"), draft("chat:x", "b")]
    )
    assert isinstance(outcomes[1], CommandError) and outcomes[1].code == "conflict"
    assert stage.offsets == [1, 2, 3]
    assert len(stage.broker.carried) == 3


@pytest.mark.parametrize(
    ("failure", "code", "logged"),
    [(Unavailable(), "unavailable", 0), (ZeroDivisionError("planted"), "internal", 1)],
    ids=["unavailable", "unforeseen"],
)
async def test_a_failed_append_is_told_to_everybody_and_the_next_one_works(
    stage: Stage, failure: Exception, code: str, logged: int
) -> None:
    stage.history.failure = failure
    with capture_logs() as logs:
        outcomes = await stage.gather(drafts("chat:x", 3))
    assert [each.code for each in outcomes if isinstance(each, CommandError)] == [code] * 3
    assert len(logs) == logged
    assert stage.delivered == stage.broker.carried == []
    stage.history.failure = None
    assert (await stage.commit(draft("chat:x", "again"))).position.offset == 1


async def test_too_much_at_once_is_refused_until_there_is_room(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MOST_WAITING", 2)
    stage.history.open.clear()
    first = asyncio.create_task(stage.commit(draft("chat:x", "0")))
    await stage.history.asked.wait()
    rest = asyncio.create_task(stage.gather(drafts("chat:x", 2)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(CommandError) as refused:
        await stage.commit(draft("chat:x", "too much"))
    assert refused.value.code == "overloaded"
    assert refused.value.retry_after == 1
    stage.history.open.set()
    await asyncio.gather(first, rest)
    assert (await stage.commit(draft("chat:x", "now"))).position.offset == 4


async def test_what_was_taken_is_stored_though_its_publisher_left(stage: Stage) -> None:
    stage.history.open.clear()
    leaving = asyncio.create_task(stage.commit(draft("chat:x", "last words")))
    await stage.history.asked.wait()
    leaving.cancel()
    await asyncio.wait([leaving])
    stage.history.open.set()
    assert (await stage.commit(draft("chat:x", "next"))).position.offset == 2
    assert stage.offsets == [1, 2]


async def test_subscribers_here_need_no_broker(stage: Stage) -> None:
    stage.broker.away = True
    with capture_logs() as logs:
        assert (await stage.commit(draft("chat:x", "1"))).position.offset == 1
        await asyncio.sleep(0)
    assert stage.offsets == [1]
    assert [each["log_level"] for each in logs] == ["warning"]


@pytest.mark.parametrize("more", [0, 1], ids=["in silence", "with the next"])
async def test_what_was_not_announced_is_owed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """The newest of each channel, once the broker is back: others see by it what they miss."""
    monkeypatch.setattr(committer, "RETRY_SECONDS", 0.01)
    stage.broker.away = True
    await stage.gather([*drafts("chat:x", 3), draft("chat:y", "1")])
    stage.broker.away = False
    for _ in range(more):
        await stage.commit(draft("chat:x", "next"))
    async with asyncio.timeout(PATIENCE):
        while len(stage.broker.carried) < 2 + more:
            await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    assert stage.broker.carried == stage.delivered[2:]


async def test_a_history_that_carries_needs_no_announcement(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.history, "carries", True, raising=False)
    await stage.commit(draft("chat:x", "1"))
    await stage.commit(draft("chat:x", "2"))
    assert stage.offsets == [1, 2]
    assert stage.broker.carried == []
