"""What one node decides holds on all of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest

from ..nodes import nodes
from ..service import API_KEY, Connected, Service
from .nodes import cluster

SOON = 1.0
"""Seconds within which what ends does end."""
KEY = {"X-API-Key": API_KEY}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Service]]:
    """Two nodes that need not look for what they are told."""
    with nodes(tmp_path_factory.mktemp("pair"), APP_SWEEP_SECONDS="3600") as services:
        yield services


@asynccontextmanager
async def connected(*connections: tuple[str, Service]) -> AsyncIterator[list[Connected]]:
    """Connections of these users."""
    async with AsyncExitStack() as stack:
        wires = [await Connected.open(service, user) for user, service in connections]
        for wire in wires:
            stack.push_async_callback(wire.connection.close)
        yield wires


async def test_a_user_is_put_out_on_every_node_at_once(pair: list[Service]) -> None:
    one, two = pair
    async with connected(("rita", one), ("rita", two), ("sam", two)) as (here, there, other):
        begun = monotonic()
        async with one.rest(KEY) as http:
            answer = await http.delete("/api/connections", params={"user": there.user})
        assert answer.status_code == 204
        assert [(await wire.closed())[0] for wire in (there, here)] == [4504, 4504]
        assert monotonic() - begun < SOON
        assert (await other.ask(type="ping"))["type"] == "pong"
        async with two.rest({"Authorization": f"Bearer {there.token}"}) as http:
            assert (await http.get("/api/rooms")).status_code == 401


async def test_a_connection_is_ended_from_any_node(pair: list[Service]) -> None:
    one, two = pair
    async with connected(("tess", two), ("tess", two)) as (ended, stays):
        begun = monotonic()
        async with one.rest(KEY) as http:
            await http.delete(f"/api/connections/{ended.welcome['session']}")
        assert (await ended.closed())[0] == 4504
        assert monotonic() - begun < SOON
        assert (await stays.ask(type="ping"))["type"] == "pong"


async def test_a_node_that_hears_nothing_finds_who_was_put_out(tmp_path: Path) -> None:
    with cluster(tmp_path, APP_SWEEP_SECONDS="0.5") as service:
        one, two = service.nodes
        async with connected(("rita", two), ("sam", two)) as (wire, other):
            # No connection that follows anything can be had any more.
            service.store.ask("ACL", "SETUSER", "default", "-subscribe")
            service.store.cut()
            async with one.rest(KEY) as http:
                answer = await http.delete("/api/connections", params={"user": wire.user})
            assert answer.status_code == 204
            async with asyncio.timeout(0.5 + SOON):
                assert (await wire.closed())[0] == 4504
            assert (await other.ask(type="ping"))["type"] == "pong"


async def test_what_a_user_may_publish_is_counted_over_all_nodes(tmp_path: Path) -> None:
    with nodes(tmp_path, APP_PUBLISHES_PER_SECOND="0.01", APP_PUBLISHES_BURST="6") as (one, two):
        async with connected(("ann", one), ("ann", two), ("bob", two)) as (here, there, bob):
            assert here.user == there.user
            said = [
                await wire.ask(type="publish", channel=channel, data={"text": "x"})
                for channel in ("chat:lobby", "echo:lobby")
                for wire in (here, there) * 2
            ]
            codes = [each.get("code", each["type"]) for each in said]
            assert codes == ["ok"] * 6 + ["rate_limited"] * 2
            assert 90_000 < said[-1]["retry_after_ms"] <= 100_000
            free = await bob.ask(type="publish", channel="chat:lobby", data={"text": "x"})
            assert free["type"] == "ok"
