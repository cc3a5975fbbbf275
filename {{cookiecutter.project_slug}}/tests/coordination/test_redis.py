"""What is the own of coordination in Redis: its clock, and what is without it."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from importlib import import_module
from secrets import token_hex
from time import monotonic

import pytest

from app.budget import Want
from app.coordination.redis import RedisCoordination, open_coordination
from app.protocol.errors import Unavailable
from app.redis import RedisClient, open_redis

from ..service import PATIENCE

SOON = 0.2


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisClient]:
    """Redis, with names that nobody else uses."""
    monkeypatch.setenv("APP_REDIS_PREFIX", token_hex(8))
    async with open_redis() as client:
        yield client


@pytest.fixture
async def nodes(client: RedisClient) -> AsyncIterator[tuple[RedisCoordination, RedisCoordination]]:
    """Two nodes."""
    async with open_coordination() as one, open_coordination() as two:
        yield one, two


async def keys(client: RedisClient) -> list[str]:
    """What Redis keeps."""
    return sorted(key.decode() for key in await client.ask("KEYS", f"{client.prefix}:*"))


async def test_what_is_over_is_gone_by_the_clock_of_redis(
    client: RedisClient, nodes: tuple[RedisCoordination, RedisCoordination]
) -> None:
    one, two = nodes
    begun = monotonic()
    await one.put("value", "x", SOON)
    assert await one.hold("holder", SOON)
    assert list(await one.spend([Want("budget", rate=1 / SOON, burst=1)])) == [0.0]
    assert list(await two.get(["value"])) == ["x"]
    async with asyncio.timeout(PATIENCE):
        while await keys(client):
            await asyncio.sleep(0.01)
    assert monotonic() - begun >= SOON
    assert list(await two.get(["value"])) == [None]


async def test_who_was_away_for_longer_than_it_held_does_not_hold_it_any_more(
    nodes: tuple[RedisCoordination, RedisCoordination],
) -> None:
    one, two = nodes
    assert await one.hold("feed", SOON)
    begun = monotonic()
    async with asyncio.timeout(PATIENCE):
        while not await two.hold("feed", 60):
            await asyncio.sleep(0.01)
    assert monotonic() - begun >= SOON - 0.01
    assert not await one.hold("feed", 60)


async def test_a_budget_refills_by_the_clock_of_redis(
    nodes: tuple[RedisCoordination, RedisCoordination],
) -> None:
    one, two = nodes
    want = Want("budget", rate=1 / SOON, burst=3)
    waits = [*await one.spend([want] * 2), *await two.spend([want] * 2)]
    assert waits[:3] == [0.0] * 3
    assert 0 < waits[3] <= SOON
    await asyncio.sleep(waits[3])
    assert list(await one.spend([want])) == [0.0]
    (wait,) = await two.spend([want])
    assert 0 < wait <= SOON


@pytest.mark.parametrize("ttl", [0.0001, 0.0, 0.5, 1.0005, 1e9, 1e18, float("inf")])
async def test_any_time_will_do(
    nodes: tuple[RedisCoordination, RedisCoordination], ttl: float
) -> None:
    one, two = nodes
    await one.put("value", "x", ttl)
    assert await one.hold("holder", ttl)
    if ttl > 0.1:
        assert list(await two.get(["value"])) == ["x"]
        assert not await two.hold("holder", 60)


async def test_a_thousand_values_are_read_at_once(
    nodes: tuple[RedisCoordination, RedisCoordination],
) -> None:
    one, two = nodes
    await asyncio.gather(*(one.put(f"{n}", f"value {n}", 60) for n in range(0, 1_000, 2)))
    read = await two.get([f"{n}" for n in range(1_000)])
    assert list(read) == [None if n % 2 else f"value {n}" for n in range(1_000)]


async def test_while_redis_is_away_each_node_has_budgets_of_its_own_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start, wants = import_module("dev.services.redis").start, [Want("budget", rate=0.001, burst=2)]
    async with AsyncExitStack() as stack:
        with start(durable=False) as found:
            url = found["APP_REDIS_URL"]
            monkeypatch.setenv("APP_REDIS_URL", url)
            one = await stack.enter_async_context(open_coordination())
            two = await stack.enter_async_context(open_coordination())
            assert [*await one.spend(wants), *await two.spend(wants)] == [0.0, 0.0]
            assert (await one.spend(wants))[0] > 0
        for node in (one, two):
            waits = await node.spend(wants * 3)
            assert [wait == 0.0 for wait in waits] == [True, True, False]
            for asked in (
                node.put("x", "x", 1),
                node.get(["x"]),
                node.take("x"),
                node.hold("x", 1),
            ):
                with pytest.raises(Unavailable):
                    await asked
        port = int(url.rpartition(":")[2].partition("/")[0])
        with start(durable=False, port=port):
            async with asyncio.timeout(PATIENCE):
                while one._client.away or two._client.away:
                    await asyncio.sleep(0.01)
            # It was empty when it came back: they share what it has.
            assert [*await one.spend(wants), *await two.spend(wants)] == [0.0, 0.0]
            assert (await one.spend(wants))[0] > 0
            assert (await two.spend(wants))[0] > 0
    gc.collect()
    assert "never retrieved" not in caplog.text
