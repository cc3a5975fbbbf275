"""Who is here: once per user, over all of the user's connections."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from app.broker.base import Gap, Packet
from app.broker.memory import MemoryBroker
from app.presence.base import Change, Entry, Presence
from app.presence.memory import MemoryPresence
from app.protocol.errors import Unavailable
from app.protocol.events import Member, Roster
from app.realtime.attendance import BEAT_SECONDS, Attendance
from app.realtime.channel import LocalChannel
from app.realtime.node import Node

from ..conftest import Connect
from ..service import PATIENCE, Service, Wire
from ..shapes import Frame
from .fates import Fates
from .faulty import FaultyBroker
from .stage import Peer, open_node, welcomed
from .virtual_time import run


def changes(frames: list[Frame]) -> list[tuple[str, str]]:
    """Who came and who left."""
    return [(each["type"], each["user"]["id"]) for each in frames if "user" in each]


async def watch(wire: Wire, channel: str) -> Frame:
    """Subscribe, with presence."""
    return await wire.ask(type="subscribe", channel=channel, presence=True)


async def until_left(wire: Wire, user: str) -> list[Frame]:
    """Everything that is heard up to somebody's leave, and what is there at once after it."""
    heard = [await wire.hear()]
    while changes(heard[-1:]) != [("leave", user)]:
        heard.append(await wire.hear())
    return heard + await wire.heard()


async def test_who_comes_is_announced_and_counted(connect: Connect, channel: str) -> None:
    ann = await connect("ann")
    alone = await watch(ann, channel)
    assert alone["presence"] == {"users": [ann.welcome["user"]], "count": 1}
    bob = await connect("bob")
    both = await watch(bob, channel)
    assert both["presence"]["count"] == 2
    joined = await ann.hear_type("join")
    while joined["user"]["id"] == ann.user:
        joined = await ann.hear_type("join")
    assert joined == {"type": "join", "channel": channel, "user": bob.welcome["user"], "count": 2}


async def test_who_is_here_can_be_asked_without_being_there(connect: Connect, channel: str) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    await ann.ask(type="subscribe", channel=channel)
    asked = await bob.ask(type="presence", channel=channel, id=7)
    assert asked == {
        "type": "presence",
        "id": 7,
        "channel": channel,
        "users": [ann.welcome["user"]],
        "count": 1,
    }


async def test_only_who_asked_for_presence_hears_of_it(connect: Connect, channel: str) -> None:
    ann, bob = await connect("ann"), await connect("bob")
    subscribed = await ann.ask(type="subscribe", channel=channel)
    assert "presence" not in subscribed
    await watch(bob, channel)
    assert changes(await ann.heard()) == []


async def test_a_user_comes_and_leaves_once_over_all_connections(
    connect: Connect, small: Service
) -> None:
    channel = "chat:once"
    ann = await connect("ann", to=small)
    await watch(ann, channel)
    one, two = await connect("bob", to=small), await connect("bob", to=small)
    carl = await connect("carl", to=small)
    for wire in (one, two, carl):
        await watch(wire, channel)
    came = [each for each in changes(await ann.heard()) if each[1] != ann.user]
    assert came == [("join", one.user), ("join", carl.user)]

    await one.connection.close()
    await carl.connection.close()
    assert changes(await until_left(ann, carl.user)) == [("leave", carl.user)]
    here = await ann.ask(type="presence", channel=channel)
    assert {each["id"] for each in here["users"]} == {ann.user, one.user}

    await two.ask(type="unsubscribe", channel=channel)
    heard = await until_left(ann, two.user)
    assert changes(heard) == [("leave", two.user)]
    assert [each["count"] for each in heard if each["type"] == "leave"] == [1]


async def test_a_quick_return_is_not_seen(connect: Connect, small: Service) -> None:
    channel = "chat:quick"
    ann = await connect("ann", to=small)
    await watch(ann, channel)
    bob, carl = await connect("bob", to=small), await connect("carl", to=small)
    for wire in (bob, carl):
        await watch(wire, channel)
    await ann.heard()
    await bob.connection.close()
    await carl.connection.close()
    await watch(await connect("bob", to=small), channel)
    assert changes(await until_left(ann, carl.user)) == [("leave", carl.user)]
    here = await ann.ask(type="presence", channel=channel)
    assert {each["id"] for each in here["users"]} == {ann.user, bob.user}


async def test_a_name_is_not_listed_twice(connect: Connect, channel: str) -> None:
    one, two = await connect("ann"), await connect("ann")
    await watch(one, channel)
    assert (await watch(two, channel))["presence"] == {"users": [one.welcome["user"]], "count": 1}


# a store that cannot be reached


class Unreachable(MemoryPresence):
    """A store that is away while `away` is set."""

    def __init__(self) -> None:
        super().__init__(grace=0)
        self.away = False
        self.told = asyncio.Event()

    async def enter(self, entries: Sequence[Entry]) -> Sequence[Change]:
        if self.away:
            raise Unavailable
        return await super().enter(entries)

    async def leave(self, entries: Sequence[Entry]) -> None:
        if self.away:
            self.told.set()
            raise Unavailable
        await super().leave(entries)


async def test_who_cannot_be_noted_is_not_subscribed_and_may_try_again() -> None:
    store = Unreachable()
    async with open_node(presence=store) as node, welcomed(node) as ann:
        store.away = True
        refused = await ann.ask(type="subscribe", channel="talk:x", presence=True)
        assert (refused["code"], refused["retryable"]) == ("unavailable", True)
        store.away = False
        subscribed = await ann.ask(type="subscribe", channel="talk:x", presence=True)
        assert subscribed["presence"]["count"] == 1


async def test_who_left_meanwhile_is_gone_once_the_store_is_back() -> None:
    store = Unreachable()
    async with open_node(presence=store) as node, welcomed(node) as ann:
        await ann.ask(type="subscribe", channel="talk:x", presence=True)
        async with welcomed(node, "bob") as bob:
            await bob.ask(type="subscribe", channel="talk:x")
            store.away = True
        await store.told.wait()
        store.away = False
        while (heard := await ann.hear())["type"] != "leave":
            pass
        assert heard["user"]["id"] == "bob"
        assert (await ann.ask(type="presence", channel="talk:x"))["count"] == 1


def followed(name: str) -> LocalChannel:
    """A channel that nobody subscribed to."""
    return LocalChannel(name, False, lambda channel: None, lambda channel, session: None)


class Stubborn(MemoryPresence):
    """A store that lets nobody leave for a while, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(grace=0)
        self.away = True
        self.leaves = self.renewals = 0

    async def leave(self, entries: Sequence[Entry]) -> None:
        self.leaves += 1
        if self.away:
            raise Unavailable
        await super().leave(entries)

    async def renew(self) -> bool:
        self.renewals += 1
        return True


def test_a_lease_is_renewed_though_nobody_can_leave_and_then_all_do() -> None:
    async def story() -> None:
        store, entry = Stubborn(), Entry("c", "s", Member(id="ann"))
        attendance = Attendance(store, MemoryBroker(), {"c": followed("c")})
        running = asyncio.create_task(attendance.run())
        await attendance.enter(entry)
        attendance.leave(entry)
        await asyncio.sleep(10.5 * BEAT_SECONDS)
        assert store.renewals == 10
        assert store.leaves <= 12
        store.away = False
        await asyncio.sleep(2 * BEAT_SECONDS)
        assert (await store.roster("c", 10)).count == 0
        running.cancel()

    run(story())


class Forgetful(MemoryPresence):
    """A store that loses everything when it is told to."""

    def __init__(self, *, carries: bool) -> None:
        super().__init__(grace=0)
        self.carries = carries
        self.lost = False

    async def renew(self) -> bool:
        lost, self.lost = self.lost, False
        if lost:
            self._channels.clear()
        return not lost


@pytest.mark.parametrize("carries", [False, True])
def test_everybody_enters_again_what_was_lost_and_is_announced_once(carries: bool) -> None:
    async def story() -> None:
        store, broker = Forgetful(carries=carries), MemoryBroker()
        attendance = Attendance(store, broker, {"c": followed("c")})
        said: list[Packet] = []

        async def hear() -> None:
            async for delivery in broker.deliveries():
                said.extend([] if isinstance(delivery, Gap) else delivery)

        await broker.follow(["c"])
        running = [asyncio.create_task(attendance.run()), asyncio.create_task(hear())]
        for user in ("ann", "bob"):
            await attendance.enter(Entry("c", user, Member(id=user)))
        store.lost = True
        await asyncio.sleep(1.5 * BEAT_SECONDS)
        assert (await store.roster("c", 10)).count == 2
        assert len(said) == (0 if carries else 4)
        for task in running:
            task.cancel()

    run(story())


class Hidden(MemoryPresence):
    """A store in which who is here can be asked only while it is open, and which may be away."""

    def __init__(self) -> None:
        super().__init__(grace=0)
        self.open, self.asked = asyncio.Event(), asyncio.Event()
        self.open.set()
        self.away = False

    async def roster(self, channel: str, limit: int) -> Roster:
        self.asked.set()
        await self.open.wait()
        if self.away:
            raise Unavailable
        return await super().roster(channel, limit)


@asynccontextmanager
async def watched(
    presence: Presence | None = None,
) -> AsyncIterator[tuple[Node, FaultyBroker, Peer]]:
    """A node, its broker, and Ann, who watches who comes and leaves."""
    broker = FaultyBroker(MemoryBroker(), Fates(b""))
    async with open_node(broker=broker, presence=presence) as node, welcomed(node) as ann:
        await ann.ask(type="subscribe", channel="talk:x", presence=True)
        await ann.hear_type("join")
        yield node, broker, ann


async def test_who_watches_hears_who_is_here_after_a_gap() -> None:
    async with watched() as (node, broker, ann), welcomed(node, "bob") as bob:
        await bob.ask(type="subscribe", channel="talk:x")
        async with welcomed(node, "cy") as cy:
            await cy.ask(type="subscribe", channel="talk:x")
            broker.change_hearing(knows=True)
        # What tells that Cy left.
        await asyncio.wait_for(broker.missed.wait(), PATIENCE)
        assert changes(ann.said()) == [("join", "bob"), ("join", "cy")]
        broker.change_hearing(knows=True)
        assert await ann.hear() == {
            "type": "presence",
            "channel": "talk:x",
            "users": [{"id": "ann"}, {"id": "bob"}],
            "count": 2,
        }
        assert bob.said() == []


async def test_who_comes_while_it_is_asked_who_is_here_is_told_behind_it() -> None:
    store = Hidden()
    async with watched(store) as (node, broker, ann), welcomed(node, "bob") as bob:
        store.open.clear()
        store.asked.clear()
        for _ in range(2):
            broker.change_hearing(knows=True)
        await store.asked.wait()
        await bob.ask(type="subscribe", channel="talk:x")
        bob.say(type="publish", channel="talk:x", data={"text": "hello"})
        assert (await ann.hear())["type"] == "message"
        store.open.set()
        assert [(await ann.hear())["type"] for _ in range(2)] == ["presence", "join"]


async def test_nothing_of_presence_is_lost_where_the_store_is_away_after_a_gap() -> None:
    store = Hidden()
    async with watched(store) as (node, broker, ann), welcomed(node, "bob") as bob:
        store.open.clear()
        store.asked.clear()
        store.away = True
        for _ in range(2):
            broker.change_hearing(knows=True)
        await store.asked.wait()
        await bob.ask(type="subscribe", channel="talk:x")
        store.open.set()
        assert changes([await ann.hear()]) == [("join", "bob")]
        store.away = False
        assert (await ann.hear_type("presence"))["count"] == 2
