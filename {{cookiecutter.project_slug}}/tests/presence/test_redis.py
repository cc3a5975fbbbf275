"""What is the own of presence in Redis: nodes that die, are taken for dead, and come back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from random import Random
from secrets import token_hex
from typing import Any

import pytest

from app.broker.base import Gap, Kind, Packet
from app.broker.redis import open_broker
from app.presence import redis as module
from app.presence.base import Change, Entry
from app.presence.redis import MOST_AT_ONCE, RedisPresence, open_presence
from app.protocol.errors import Unavailable
from app.protocol.events import Member, PresencePush
from app.realtime.attendance import _packet
from app.redis import RedisClient, open_redis

from ..service import PATIENCE

LEASE = 0.3
CHANNEL = "chat:lobby"
STRANGE = (
    "auth0|1",
    "b:c",
    '"',
    "\\",
    "{presence}",
    "a b",
    " a",
    "",
    "\x00",
    "ünï ☃",
    "\n",
    "%s*[?]",
)


def entry(user: str, session: str = "1", channel: str = CHANNEL) -> Entry:
    """One session of a user."""
    return Entry(channel, session, Member(id=user, name=user.title()))


@dataclass
class Stage:
    """Nodes on names of Redis that nobody else uses."""

    client: RedisClient
    stack: AsyncExitStack

    async def node(self, lease: float = 3_600, grace: float = 0.0) -> RedisPresence:
        """A node, whose lease begins now."""
        client = await self.stack.enter_async_context(open_redis())
        node = RedisPresence(client, grace, lease)
        await node.take_up()
        return node

    async def keys(self) -> list[str]:
        """What Redis keeps of these nodes."""
        found = await self.client.ask("KEYS", f"{self.client.prefix}:*")
        return sorted(key.decode().partition("{presence}:")[2] for key in found)

    async def until(self, done: Callable[[], Any], node: RedisPresence, *channels: str) -> None:
        """Let a node live, and sweep, until something is so."""
        async with asyncio.timeout(PATIENCE):
            while not await done():
                await node.renew()
                await node.sweep(channels)


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """Nobody is there."""
    monkeypatch.setenv("APP_REDIS_PREFIX", token_hex(8))
    async with AsyncExitStack() as stack:
        yield Stage(await stack.enter_async_context(open_redis()), stack)


@dataclass
class Watcher:
    """Hears what all nodes are told, and holds it against what was told before."""

    packets: list[Packet] = field(default_factory=list)
    here: dict[str, set[str]] = field(default_factory=dict)

    def hear(self, packet: Packet) -> None:
        """A user joins who was not there, or leaves who was, and the count is right."""
        self.packets.append(packet)
        event = PresencePush.model_validate_json(packet.body)
        present = self.here.setdefault(packet.channel, set())
        assert (packet.kind, packet.channel) == (Kind.PRESENCE, event.channel)
        assert (event.type == "join") == (event.user.id not in present), event
        present ^= {event.user.id}
        assert event.count == len(present)

    def told(self, kind: str) -> list[str]:
        """Who joined or left, as it was heard."""
        events = [PresencePush.model_validate_json(packet.body) for packet in self.packets]
        return [event.user.id for event in events if event.type == kind]


@asynccontextmanager
async def watching(*channels: str) -> AsyncIterator[Watcher]:
    """Somebody who hears all; what was said meanwhile has been heard at the end."""
    watcher, end = Watcher(), "chat:the-end"
    async with open_broker() as broker:

        async def hear() -> None:
            async for delivery in broker.deliveries():
                for packet in () if isinstance(delivery, Gap) else delivery:
                    if packet.channel == end:
                        return
                    watcher.hear(packet)

        hearing = asyncio.create_task(hear())
        await broker.follow([*channels, end])
        yield watcher
        await broker.publish([Packet(Kind.SIGNAL, end, b"")])
        async with asyncio.timeout(PATIENCE):
            await hearing


async def users(node: RedisPresence, channel: str = CHANNEL) -> list[str]:
    """Who is there, by id."""
    roster = await node.roster(channel, 1_000)
    assert len(roster.users) == roster.count
    return sorted(member.id for member in roster.users)


# what is announced


async def test_every_node_hears_of_a_change_what_the_caller_would_tell(stage: Stage) -> None:
    node, known = await stage.node(), [Member(id=user, name=user) for user in STRANGE]
    everybody = [Entry(CHANNEL, "1", who) for who in (*known, Member(id="nameless"))]
    async with watching(CHANNEL) as watcher:
        changes = [*await node.enter(everybody)]
        await node.leave(everybody)
        changes += await node.sweep([CHANNEL])
    assert watcher.packets == [_packet(change) for change in changes]
    assert len(changes) == 2 * len(everybody)


async def test_no_two_users_or_channels_meet_whatever_a_user_is_called(stage: Stage) -> None:
    node, channels = await stage.node(), ("chat:a", "chat:a.b", "a:chat", "chat:in", "chat:of")
    users_of = {c: [*STRANGE, *channels, "b c", "x", ".bx", f"b:{c}", f"1 {c} a"] for c in channels}
    for channel, some in users_of.items():
        entries = [entry(user, "1", channel) for user in some]
        assert [change.count for change in await node.enter(entries)] == [*range(1, len(some) + 1)]
    for channel, some in users_of.items():
        assert await users(node, channel) == sorted(some)
        for number, user in enumerate(some, 1):
            await node.leave([entry(user, "2", channel), entry(user, "1", channel)])
            (change,) = await node.sweep(channels)
            assert (change.channel, change.member.id) == (channel, user)
            assert change.count == len(some) - number
    assert await stage.keys() == ["nodes"]


async def test_a_long_roster_names_each_once(stage: Stage) -> None:
    node = await stage.node()
    await node.enter([entry(f"user{number}") for number in range(3_000)])
    for limit in (0, 1, 200, 3_000, 9_000):
        roster = await node.roster(CHANNEL, limit)
        named = {member.id for member in roster.users}
        assert (len(roster.users), len(named), roster.count) == (*2 * [min(limit, 3_000)], 3_000)


# who is looked for


async def test_leaves_that_nobody_watches_keep_no_other_waiting(stage: Stage) -> None:
    node, many = await stage.node(), 2 * MOST_AT_ONCE + 1
    entries = [entry("ann", "1", f"chat:{number}") for number in range(many)]
    for each in (*entries, entry("bob")):
        await node.enter([each])
        await node.leave([each])
    assert [change.member.id for change in await node.sweep([CHANNEL])] == ["bob"]
    swept = await node.sweep([each.channel for each in entries])
    assert [change.member.id for change in swept] == ["ann"] * many


async def test_leaves_that_nobody_watches_happen_after_a_while(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNWATCHED_SECONDS", 0.2)
    node = await stage.node()
    everybody = [entry(f"user{number}") for number in range(2 * MOST_AT_ONCE + 1)]
    async with watching(CHANNEL) as watcher:
        await node.enter(everybody)
        await node.leave(everybody)
        assert list(await node.sweep([])) == []
        assert (await node.roster(CHANNEL, 0)).count == len(everybody)
        await stage.until(lambda: _are(stage, ["nodes"]), node)
    assert watcher.here == {CHANNEL: set()}


async def _are(stage: Stage, keys: list[str]) -> bool:
    return await stage.keys() == keys


async def test_a_beat_costs_the_same_however_many_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a server of its own, since its commands are counted."""
    with import_module("dev.services.redis").start(durable=False) as found:
        monkeypatch.setenv("APP_REDIS_URL", found["APP_REDIS_URL"])
        async with open_presence() as one, open_presence() as other, open_redis() as client:
            await one.sweep([])
            costs = []
            for many in (0, 2_000):
                entries = [entry(f"user{n}", "1", f"chat:{n % 50}") for n in range(many)]
                await one.enter(entries)
                await other.enter(entries[: many // 2])
                await client.ask("CONFIG", "RESETSTAT")
                assert await one.renew()
                assert list(await one.sweep([f"chat:{number}" for number in range(50)])) == []
                stats = (await client.ask("INFO", "commandstats")).decode().split()
                calls = (line.partition(",usec")[0] for line in stats if line.startswith("cmdstat"))
                costs.append(sorted(each for each in calls if "config" not in each))
            assert costs[0] == costs[1]
            assert "cmdstat_evalsha:calls=2" in costs[0]


# nodes that die


async def test_what_a_dead_node_had_leaves_and_is_announced_by_one_node(stage: Stage) -> None:
    many = 2 * MOST_AT_ONCE + 50
    dead, one, two = await stage.node(LEASE), await stage.node(), await stage.node()
    entries = [entry(f"user{n}", "1", f"chat:{n % 3}") for n in range(many)]
    channels = sorted({each.channel for each in entries})
    async with watching(*channels) as watcher:
        await dead.enter(entries)
        await two.enter([entry("user0", "2", "chat:0"), entry("cy", "3", "chat:0")])

        async def live(node: RedisPresence) -> list[Change]:
            given: list[Change] = []
            async with asyncio.timeout(PATIENCE):
                while len(watcher.told("leave")) < many - 1:
                    assert await node.renew()
                    given += await node.sweep(channels)
            return given

        given = [change for some in await asyncio.gather(live(one), live(two)) for change in some]
        assert await users(one, "chat:0") == ["cy", "user0"]
    assert sorted(watcher.told("leave")) == sorted(f"user{n}" for n in range(1, many))
    assert sorted(change.member.id for change in given) == sorted(watcher.told("leave"))
    assert [key for key in await stage.keys() if key.startswith("in:")] == ["in:chat:0"]
    assert (
        len(await stage.client.ask("ZRANGE", f"{stage.client.prefix}:{{presence}}:nodes", 0, -1))
        == 2
    )


async def test_nothing_is_left_of_a_node_that_died_where_nobody_watches(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNWATCHED_SECONDS", 0.1)
    dead, node = await stage.node(LEASE), await stage.node()
    await dead.enter([entry(f"user{n}", "1", f"chat:{n}") for n in range(3 * MOST_AT_ONCE)])
    await stage.until(lambda: _are(stage, ["nodes"]), node)


async def test_a_grace_begins_where_the_lease_of_a_dead_node_ended(stage: Stage) -> None:
    dead, node = await stage.node(LEASE, 3_600), await stage.node(grace=3_600)
    async with watching(CHANNEL) as watcher:
        await dead.enter([entry("ann")])
        due = f"{stage.client.prefix}:{{presence}}:leaving"

        async def buried() -> bool:
            return bool(await stage.client.ask("EXISTS", due))

        await stage.until(buried, node, CHANNEL)
        assert list(await node.enter([entry("ann", "2")])) == []
    assert (watcher.told("join"), watcher.told("leave")) == (["ann"], [])


async def test_who_closes_is_not_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_PRESENCE_GRACE_SECONDS", "0")
    async with open_presence() as node:
        async with open_presence() as closing:
            await closing.enter([entry("ann"), entry("bob")])
            await node.enter([entry("bob", "2")])
            await closing.leave([entry("bob")])
            assert list(await node.sweep([CHANNEL])) == []
        (change,) = await node.sweep([CHANNEL])
    assert (change.member.id, change.joined) == ("ann", False)


async def test_a_node_closes_though_redis_is_away(stage: Stage) -> None:
    async with open_presence() as node:
        node._client.away = True


# nodes that are taken for dead


async def lapsed(stage: Stage, node: RedisPresence, other: RedisPresence) -> None:
    """The other node found that this one was not heard of, and took everybody from it."""

    async def nobody() -> bool:
        return await users(other) == []

    await stage.until(nobody, other, CHANNEL)


async def test_who_was_taken_for_dead_enters_everybody_again(stage: Stage) -> None:
    node, other = await stage.node(LEASE), await stage.node()
    here = [entry("ann"), entry("ann", "2"), entry("bob", "3")]
    async with watching(CHANNEL) as watcher:
        await node.enter(here)
        await lapsed(stage, node, other)
        assert not await node.renew()
        assert [change.member.id for change in await node.enter(here)] == ["ann", "bob"]
        assert await node.renew()
        assert list(await other.sweep([CHANNEL])) == []
        await node.leave(here)
        assert len(await other.sweep([CHANNEL])) == 2
    assert watcher.told("join") == ["ann", "bob"] * 2


async def test_who_enters_before_the_lease_is_renewed_hides_nothing(stage: Stage) -> None:
    node, other = await stage.node(LEASE), await stage.node()
    await node.enter([entry("ann")])
    await lapsed(stage, node, other)
    await node.enter([entry("bob")])
    assert not await node.renew()
    await node.enter([entry("ann"), entry("bob")])
    assert await node.renew()
    await other.sweep([CHANNEL])
    assert await users(other) == ["ann", "bob"]


async def test_when_redis_lost_everything_everybody_enters_again(stage: Stage) -> None:
    node = await stage.node()
    await node.enter([entry("ann")])
    for key in await stage.client.ask("KEYS", f"{stage.client.prefix}:*"):
        await stage.client.ask("DEL", key)
    assert not await node.renew()
    assert len(await node.enter([entry("ann")])) == 1
    assert await node.renew()
    assert await users(node) == ["ann"]


async def test_nobody_is_taken_for_dead_because_redis_was_away(stage: Stage) -> None:
    """All leases lapsed meanwhile; only who is not back after another one is dead."""
    one, two, dead = [await stage.node(LEASE) for _ in range(3)]
    async with watching(CHANNEL) as watcher:
        await one.enter([entry("ann")])
        await two.enter([entry("bob")])
        await dead.enter([entry("cy")])
        await asyncio.sleep(LEASE)
        assert list(await one.sweep([CHANNEL])) == []
        assert not await one.renew()
        assert list(await one.sweep([CHANNEL])) == []
        assert not await two.renew()
        await one.enter([entry("ann")])
        await two.enter([entry("bob")])

        async def gone() -> bool:
            await two.renew()
            return await users(two) == ["ann", "bob"]

        await stage.until(gone, one, CHANNEL)
    assert watcher.told("leave") == ["cy"]


@pytest.mark.parametrize("asked", ["enter", "renew"])
async def test_where_nobody_knows_whether_the_lease_held_it_counts_as_lapsed(
    stage: Stage, asked: str
) -> None:
    node = await stage.node()
    node._client.away = True
    with pytest.raises(Unavailable):
        await (node.renew() if asked == "renew" else node.enter([entry("ann")]))
    node._client.away = False
    assert not await node.renew()
    assert await node.renew()


class Living:
    """A node with its sessions, as attendance keeps them."""

    def __init__(self, presence: RedisPresence) -> None:
        self.presence = presence
        self.name = token_hex(4)
        self.here: set[Entry] = set()

    async def beat(self, channels: list[str]) -> None:
        """What is done every second."""
        if not await self.presence.renew():
            await self.presence.enter(sorted(self.here, key=str))
        await self.presence.sweep(channels)

    async def come(self, entries: list[Entry]) -> None:
        """Some sessions begin."""
        self.here |= set(entries)
        await self.presence.enter(entries)

    async def go(self, entries: list[Entry]) -> None:
        """Some sessions end."""
        gone = [each for each in entries if each in self.here]
        self.here -= set(gone)
        await self.presence.leave(gone)


@pytest.mark.parametrize("seed", range(4))
async def test_joins_and_leaves_alternate_whatever_nodes_go_through(
    stage: Stage, seed: int
) -> None:
    """Three nodes at once; each may fall silent for long enough to be taken for dead, or die."""
    random, channels = Random(seed), ["chat:a", "chat:b"]
    names = ("ann", "bob", "cy", "di")
    steady = Living(await stage.node(grace=0.02))
    nodes = [Living(await stage.node(lease=0.1, grace=0.02)) for _ in range(3)]

    async def live(number: int) -> None:
        for _ in range(120):
            node = nodes[number]
            some = [
                entry(name, f"{node.name}-{name}-{random.randrange(3)}", random.choice(channels))
                for name in random.sample(names, random.randint(1, 3))
            ]
            match random.choice(["come", "go", "go", "beat", "beat", "rest"]):
                case "come":
                    await node.come(some)
                case "go":
                    await node.go(random.sample(sorted(node.here, key=str), len(node.here) // 2))
                case "beat":
                    await node.beat(channels)
                case _ if random.random() < 0.2:
                    # It does nothing for long enough, or another takes its place.
                    await asyncio.sleep(0.15)
                    if random.random() < 0.5:
                        nodes[number] = Living(await stage.node(lease=0.1, grace=0.02))
                case _:
                    await asyncio.sleep(random.uniform(0, 0.03))

    async with watching(*channels) as watcher:
        await steady.come([entry("sam", "s", name) for name in channels])
        await asyncio.gather(*(live(number) for number in range(3)))
        here = {each for node in (steady, *nodes) for each in node.here}
        due = {name: sorted({e.member.id for e in here if e.channel == name}) for name in channels}

        async def settled() -> bool:
            for node in nodes:
                await node.beat(channels)
            return {name: await users(steady.presence, name) for name in channels} == due

        await stage.until(settled, steady.presence, *channels)
    assert watcher.here == {name: set(users) for name, users in due.items()}
    assert "sam" not in watcher.told("leave")
    assert len(watcher.told("leave")) > 10, "or little was tried: it depends on time, too"
