"""What `presence/base.py` promises, held against every adapter."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from random import Random
from secrets import token_hex

import pytest

from app.presence.base import Change, Entry, Presence
from app.protocol.events import Member

from ..contracts import Adapter, adapters
from ..nearby import Clock

GRACE = 5.0


@pytest.fixture
def channel() -> str:
    """A channel that no other test has used."""
    return f"test:{token_hex(8)}"


@pytest.fixture(params=adapters("presence"))
async def nodes(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Presence, Presence]]:
    """Two nodes, with a grace that no test outlives."""
    adapter: Adapter = request.param
    monkeypatch.setenv("APP_PRESENCE_GRACE_SECONDS", "3600")
    async with AsyncExitStack() as stack:
        yield await adapter.open_two(stack)


@pytest.fixture(params=adapters("presence"))
async def hasty(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Presence, Presence]]:
    """Two nodes without any grace."""
    adapter: Adapter = request.param
    monkeypatch.setenv("APP_PRESENCE_GRACE_SECONDS", "0")
    async with AsyncExitStack() as stack:
        yield await adapter.open_two(stack)


@pytest.fixture
def clock() -> Clock:
    """The time of `timed`."""
    return Clock()


@pytest.fixture(params=adapters("presence", with_clock=True))
async def timed(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> AsyncIterator[tuple[Presence, Presence]]:
    """Two nodes for which time passes when a test says so."""
    adapter: Adapter = request.param
    monkeypatch.setenv("APP_PRESENCE_GRACE_SECONDS", str(GRACE))
    async with AsyncExitStack() as stack:
        yield await adapter.open_two(stack, clock)


def entry(channel: str, user: str, session: str = "1") -> Entry:
    """One session of a user; its name tells whose it is."""
    return Entry(channel, f"{user}-{session}", Member(id=user, name=user.title()))


def join(channel: str, user: str, count: int) -> Change:
    """What is reported when a user came."""
    return Change(channel, Member(id=user, name=user.title()), count, joined=True)


def left(channel: str, user: str, count: int) -> Change:
    """What is reported when a user went."""
    return Change(channel, Member(id=user, name=user.title()), count, joined=False)


async def users(presence: Presence, channel: str) -> list[str]:
    """Who is in the channel, by id."""
    roster = await presence.roster(channel, 1000)
    assert len(roster.users) == roster.count
    return sorted(member.id for member in roster.users)


# enter


async def test_a_user_joins_once_over_all_sessions_and_nodes(
    nodes: tuple[Presence, Presence], channel: str
) -> None:
    one, two = nodes
    assert list(await one.enter([entry(channel, "ann", "1")])) == [join(channel, "ann", 1)]
    assert list(await one.enter([entry(channel, "ann", "2")])) == []
    assert list(await two.enter([entry(channel, "ann", "3")])) == []
    assert list(await two.enter([entry(channel, "bob")])) == [join(channel, "bob", 2)]
    for node in nodes:
        assert await users(node, channel) == ["ann", "bob"]


async def test_many_sessions_enter_in_one_call(
    nodes: tuple[Presence, Presence], channel: str
) -> None:
    one, two = nodes
    other = f"{channel}-other"
    entries = [
        entry(channel, "ann", "1"),
        entry(channel, "ann", "2"),
        entry(channel, "bob"),
        entry(other, "ann", "1"),
    ]
    assert list(await one.enter(entries)) == [
        join(channel, "ann", 1),
        join(channel, "bob", 2),
        join(other, "ann", 1),
    ]
    assert list(await one.enter(entries)) == []
    assert list(await one.enter([])) == []
    assert (await users(two, channel), await users(two, other)) == (["ann", "bob"], ["ann"])


async def test_of_many_sessions_that_race_one_joins(
    nodes: tuple[Presence, Presence], channel: str
) -> None:
    changes = await asyncio.gather(
        *(nodes[i % 2].enter([entry(channel, "ann", str(i))]) for i in range(100))
    )
    assert [change for some in changes for change in some] == [join(channel, "ann", 1)]


# leave and sweep


async def test_nobody_left_while_a_session_stays(
    hasty: tuple[Presence, Presence], channel: str
) -> None:
    one, two = hasty
    await one.enter([entry(channel, "ann", "1")])
    await two.enter([entry(channel, "ann", "2")])
    await one.leave([entry(channel, "ann", "1")])
    assert list(await two.sweep([channel])) == []
    await two.leave([entry(channel, "ann", "2")])
    assert list(await one.sweep([channel])) == [left(channel, "ann", 0)]
    assert await users(two, channel) == []


async def test_a_leave_is_given_to_one_caller_over_all_nodes(
    hasty: tuple[Presence, Presence], channel: str
) -> None:
    entries = [entry(channel, f"user{number}") for number in range(20)]
    await hasty[0].enter(entries)
    await hasty[1].leave(entries)
    changes = await asyncio.gather(*(hasty[i % 2].sweep([channel]) for i in range(20)))
    given = [change for some in changes for change in some]
    assert sorted(change.member.id for change in given) == sorted(e.member.id for e in entries)
    assert sorted(change.count for change in given) == list(range(20))
    assert not any(change.joined for change in given)


async def test_who_comes_back_during_a_sweep_left_and_joined_or_neither(
    hasty: tuple[Presence, Presence], channel: str
) -> None:
    one, two = hasty
    await one.enter([entry(channel, "ann")])
    for _ in range(50):
        await one.leave([entry(channel, "ann")])
        gone, come = await asyncio.gather(two.sweep([channel]), one.enter([entry(channel, "ann")]))
        assert len(gone) == len(come)
        assert await users(two, channel) == ["ann"]


async def test_a_sweep_tells_of_the_channels_asked_for_only(
    hasty: tuple[Presence, Presence], channel: str
) -> None:
    one, two = hasty
    other = f"{channel}-other"
    entries = [entry(channel, "ann"), entry(other, "ann"), entry(other, "bob")]
    await one.enter(entries)
    await one.leave(entries)
    assert list(await two.sweep([])) == []
    assert list(await two.sweep([channel, f"{channel}-none"])) == [left(channel, "ann", 0)]
    assert [change.channel for change in await one.sweep([channel, other])] == [other, other]


async def test_who_left_in_one_channel_stays_in_the_others(
    hasty: tuple[Presence, Presence], channel: str
) -> None:
    one, two = hasty
    other = f"{channel}-other"
    await one.enter([entry(channel, "ann"), entry(other, "ann")])
    await one.leave([entry(channel, "ann")])
    assert list(await two.sweep([channel, other])) == [left(channel, "ann", 0)]
    assert await users(two, other) == ["ann"]


async def test_to_leave_what_one_never_entered_is_nothing(
    hasty: tuple[Presence, Presence], channel: str
) -> None:
    one, two = hasty
    await one.enter([entry(channel, "ann", "1")])
    await one.leave(
        [entry(channel, "ann", "2"), entry(channel, "bob"), entry(f"{channel}-x", "ann")]
    )
    await one.leave([])
    assert list(await two.sweep([channel, f"{channel}-x"])) == []
    assert await users(two, channel) == ["ann"]


# grace


async def test_a_user_has_left_when_the_grace_is_over(
    timed: tuple[Presence, Presence], channel: str, clock: Clock
) -> None:
    one, two = timed
    await one.enter([entry(channel, "ann"), entry(channel, "bob")])
    await one.leave([entry(channel, "ann")])
    clock.advance(GRACE - 0.1)
    assert list(await two.sweep([channel])) == []
    assert await users(two, channel) == ["ann", "bob"]
    clock.advance(0.2)
    assert list(await two.sweep([channel])) == [left(channel, "ann", 1)]
    assert await users(one, channel) == ["bob"]
    assert list(await one.enter([entry(channel, "ann")])) == [join(channel, "ann", 2)]


async def test_who_comes_back_within_the_grace_neither_left_nor_joined(
    timed: tuple[Presence, Presence], channel: str, clock: Clock
) -> None:
    one, two = timed
    await one.enter([entry(channel, "ann", "1")])
    for number in range(2, 5):
        await one.leave([entry(channel, "ann", str(number - 1))])
        clock.advance(GRACE - 1)
        assert list(await two.enter([entry(channel, "ann", str(number))])) == []
        clock.advance(GRACE + 1)
        assert list(await two.sweep([channel])) == []
    await one.leave([entry(channel, "ann", "4")])
    clock.advance(GRACE - 1)
    await one.leave([entry(channel, "ann", "4")])
    clock.advance(1.1)
    assert list(await one.sweep([channel])) == [left(channel, "ann", 0)]


@pytest.mark.parametrize("seed", range(10))
async def test_joins_and_leaves_of_a_user_alternate(
    timed: tuple[Presence, Presence], channel: str, clock: Clock, seed: int
) -> None:
    """Whatever happens in between, the roster is who joined and did not leave."""
    random = Random(seed)
    channels = [f"{channel}-{name}" for name in "ab"]
    everybody = [entry(c, u, s) for c in channels for u in ("ann", "bob", "cy") for s in "12"]
    here: dict[str, set[str]] = {name: set() for name in channels}
    sessions: set[Entry] = set()

    def note(changes: list[Change]) -> None:
        for change in changes:
            present = here[change.channel]
            assert change.joined == (change.member.id not in present)
            present ^= {change.member.id}
            assert change.count == len(present)

    for _ in range(300):
        node, some = random.choice(timed), random.sample(everybody, random.randint(1, 3))
        match random.choice(["enter", "leave", "leave", "sweep", "wait"]):
            case "enter":
                sessions |= set(some)
                note(list(await node.enter(some)))
            case "leave":
                sessions -= set(some)
                await node.leave(some)
            case "sweep":
                note(list(await node.sweep(random.sample(channels, random.randint(1, 2)))))
            case _:
                clock.advance(random.uniform(0, GRACE))
        for name in channels:
            assert await users(node, name) == sorted(here[name])
            assert {e.member.id for e in sessions if e.channel == name} <= here[name]
    clock.advance(GRACE)
    note(list(await timed[0].sweep(channels)))
    assert here == {name: {e.member.id for e in sessions if e.channel == name} for name in channels}


# roster and lease


async def test_a_roster_is_cut_at_the_limit_and_its_count_is_not(
    nodes: tuple[Presence, Presence], channel: str
) -> None:
    one, two = nodes
    await one.enter([entry(channel, f"user{number}") for number in range(30)])
    for limit, shown in ((0, 0), (1, 1), (29, 29), (30, 30), (1000, 30)):
        roster = await two.roster(channel, limit)
        assert (len(roster.users), roster.count) == (shown, 30)
        assert len({member.id for member in roster.users}) == shown


async def test_a_channel_that_nobody_entered_is_empty(
    nodes: tuple[Presence, Presence], channel: str
) -> None:
    roster = await nodes[0].roster(channel, 10)
    assert (list(roster.users), roster.count) == ([], 0)


async def test_a_lease_that_is_renewed_in_time_keeps_everybody(
    nodes: tuple[Presence, Presence], channel: str
) -> None:
    one, two = nodes
    await one.enter([entry(channel, "ann")])
    assert await one.renew()
    assert await users(two, channel) == ["ann"]
