"""What `coordination/base.py` promises, held against every adapter."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from secrets import token_hex

import pytest

from app.budget import Want
from app.coordination.base import Coordination

from ..contracts import Adapter, adapters
from ..nearby import Clock


@pytest.fixture
def key() -> str:
    """A key that no other test has used."""
    return f"test:{token_hex(8)}"


@pytest.fixture(params=adapters("coordination"))
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Coordination, Coordination]]:
    """Two nodes on the same state."""
    adapter: Adapter = request.param
    async with AsyncExitStack() as stack:
        yield await adapter.open_two(stack)


@pytest.fixture
def clock() -> Clock:
    """The time of `timed`."""
    return Clock()


@pytest.fixture(params=adapters("coordination", with_clock=True))
async def timed(
    request: pytest.FixtureRequest, clock: Clock
) -> AsyncIterator[tuple[Coordination, Coordination]]:
    """Two nodes for which time passes when a test says so."""
    adapter: Adapter = request.param
    async with AsyncExitStack() as stack:
        yield await adapter.open_two(stack, clock)


# put, get, take


async def test_every_node_sees_a_value_once_put_returned(
    nodes: tuple[Coordination, Coordination], key: str
) -> None:
    one, two = nodes
    for value in ("x", "", "ünïcödé ☃", "y" * 10_000):
        await one.put(key, value, 60)
        assert await two.get([key]) == [value]


async def test_values_come_in_the_order_of_the_keys(
    nodes: tuple[Coordination, Coordination], key: str
) -> None:
    one, two = nodes
    await one.put(f"{key}-a", "a", 60)
    await one.put(f"{key}-b", "b", 60)
    asked = [f"{key}-b", f"{key}-none", f"{key}-a", f"{key}-b"]
    assert list(await two.get(asked)) == ["b", None, "a", "b"]
    assert list(await two.get([])) == []


async def test_a_value_is_gone_after_its_time(
    timed: tuple[Coordination, Coordination], key: str, clock: Clock
) -> None:
    one, two = timed
    await one.put(f"{key}-short", "x", 5)
    await one.put(f"{key}-long", "y", 50)
    keys = [f"{key}-short", f"{key}-long"]
    clock.advance(4.9)
    assert list(await two.get(keys)) == ["x", "y"]
    clock.advance(0.2)
    assert list(await two.get(keys)) == [None, "y"]
    assert await two.take(f"{key}-short") is None


async def test_putting_again_begins_the_time_again(
    timed: tuple[Coordination, Coordination], key: str, clock: Clock
) -> None:
    one, two = timed
    await one.put(key, "x", 5)
    clock.advance(4)
    await two.put(key, "y", 5)
    clock.advance(4)
    assert list(await one.get([key])) == ["y"]
    await one.put(key, "z", 1)
    clock.advance(2)
    assert list(await two.get([key])) == [None]


async def test_a_value_that_a_hundred_take_goes_to_one(
    nodes: tuple[Coordination, Coordination], key: str
) -> None:
    await nodes[0].put(key, "prize", 60)
    taken = await asyncio.gather(*(nodes[i % 2].take(key) for i in range(100)))
    assert sorted(taken, key=str) == [None] * 99 + ["prize"]
    assert list(await nodes[0].get([key])) == [None]


async def test_what_was_taken_may_be_put_and_taken_again(
    nodes: tuple[Coordination, Coordination], key: str
) -> None:
    one, two = nodes
    assert await one.take(key) is None
    for value in ("x", "y"):
        await one.put(key, value, 60)
        assert await two.take(key) == value


# spend


async def test_a_budget_gives_its_burst_and_then_what_refills(
    timed: tuple[Coordination, Coordination], key: str, clock: Clock
) -> None:
    one, two = timed
    want = Want(key, rate=2, burst=5)
    assert [(await node.spend([want]))[0] for node in (one, two, one, two, one)] == [0.0] * 5
    (wait,) = await two.spend([want])
    assert wait == pytest.approx(0.5, abs=0.01)
    clock.advance(wait)
    assert list(await one.spend([want])) == [0.0]
    assert (await two.spend([want]))[0] > 0
    clock.advance(1.25)
    assert [wait == 0.0 for wait in await one.spend([want] * 3)] == [True, True, False]


async def test_a_budget_holds_no_more_than_its_burst(
    timed: tuple[Coordination, Coordination], key: str, clock: Clock
) -> None:
    one, _ = timed
    want = Want(key, rate=10, burst=20)
    for _ in range(3):
        waits = await one.spend([want] * 25)
        assert [wait == 0.0 for wait in waits] == [True] * 20 + [False] * 5
        clock.advance(3600)


async def test_a_refusal_uses_nothing_up(
    timed: tuple[Coordination, Coordination], key: str, clock: Clock
) -> None:
    one, two = timed
    want = Want(key, rate=1, burst=1)
    await one.spend([want])
    for _ in range(100):
        assert (await two.spend([want]))[0] == pytest.approx(1.0, abs=0.01)
    clock.advance(1)
    assert list(await two.spend([want])) == [0.0]


async def test_each_want_of_a_call_is_on_its_own(
    nodes: tuple[Coordination, Coordination], key: str
) -> None:
    one, two = nodes
    narrow, wide = Want(f"{key}-a", rate=0.01, burst=1), Want(f"{key}-b", rate=0.01, burst=3)
    waits = await one.spend([narrow, wide, narrow, wide])
    assert [wait == 0.0 for wait in waits] == [True, True, False, True]
    assert [wait == 0.0 for wait in await two.spend([wide, wide])] == [True, False]
    assert list(await one.spend([])) == []


async def test_callers_at_once_share_one_budget(
    nodes: tuple[Coordination, Coordination], key: str
) -> None:
    want = Want(key, rate=0.001, burst=10)
    waits = await asyncio.gather(*(nodes[i % 2].spend([want]) for i in range(100)))
    assert [list(wait) for wait in waits].count([0.0]) == 10


# hold


async def test_one_node_at_a_time_holds_a_key(
    nodes: tuple[Coordination, Coordination], key: str
) -> None:
    one, two = nodes
    assert await one.hold(key, 60)
    assert not await two.hold(key, 60)
    assert await one.hold(key, 60)
    assert await two.hold(f"{key}-other", 60)


async def test_of_two_that_race_for_a_key_one_holds_it(
    nodes: tuple[Coordination, Coordination], key: str
) -> None:
    for number in range(50):
        held = await asyncio.gather(*(node.hold(f"{key}-{number}", 60) for node in nodes))
        assert sorted(held) == [False, True]


async def test_a_key_that_is_held_no_longer_goes_to_the_next(
    timed: tuple[Coordination, Coordination], key: str, clock: Clock
) -> None:
    one, two = timed
    assert await one.hold(key, 10)
    clock.advance(9)
    assert await one.hold(key, 10)
    clock.advance(9)
    assert not await two.hold(key, 10)
    clock.advance(2)
    assert await two.hold(key, 10)
    assert not await one.hold(key, 10)


async def test_a_value_a_budget_and_a_hold_of_one_name_do_not_meet(
    nodes: tuple[Coordination, Coordination], key: str
) -> None:
    one, two = nodes
    assert await one.hold(key, 60)
    assert list(await one.spend([Want(key, rate=1, burst=1)])) == [0.0]
    assert list(await two.get([key])) == [None]
    await one.put(key, "x", 60)
    assert await two.take(key) == "x"
    assert not await two.hold(key, 60)
