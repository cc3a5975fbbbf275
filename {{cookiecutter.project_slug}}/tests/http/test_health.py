"""What an orchestrator asks: alive, ready, and how it goes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx2
import pytest
from fastapi import FastAPI

import app
from app import background
from app.broker.base import Health
from app.features.base import current_node
from app.http import health
from app.realtime.node import Node

from ..conftest import Connect
from ..realtime.stage import open_node


async def test_it_is_alive(visitor: httpx2.AsyncClient) -> None:
    response = await visitor.get("/livez")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_it_is_ready(visitor: httpx2.AsyncClient) -> None:
    response = await visitor.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ready", "reasons": []})


async def test_it_says_how_it_goes(visitor: httpx2.AsyncClient, connect: Connect) -> None:
    before = (await visitor.get("/health")).json()
    wire = await connect()
    now = (await visitor.get("/health")).json()
    assert now["status"] == "ready"
    assert now["node"] == wire.welcome["node"]
    assert now["version"] == app.__version__
    assert now["uptime_seconds"] >= before["uptime_seconds"] >= 0
    assert now["connections"] >= 1


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node in this process, in which things can go wrong."""
    async with open_node() as node:
        yield node


@pytest.fixture
async def probe(node: Node) -> AsyncIterator[httpx2.AsyncClient]:
    """What asks that node how it is."""
    service = FastAPI()
    service.include_router(health.router)
    service.dependency_overrides[current_node] = lambda: node
    async with AsyncExitStack() as stack:
        transport = httpx2.ASGITransport(app=service)
        yield await stack.enter_async_context(
            httpx2.AsyncClient(transport=transport, base_url="http://node")
        )


async def test_a_node_whose_task_failed_gets_no_traffic_until_it_runs_again(
    node: Node, probe: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "RESTART_SECONDS", 0.01)
    seen, runs = asyncio.Event(), asyncio.Event()

    async def loop() -> None:
        if not seen.is_set():
            raise RuntimeError("planted")
        runs.set()
        await asyncio.Event().wait()

    node.hub.background.keep("planted loop", loop)
    while not node.hub.background.failing:
        await asyncio.sleep(0)
    response = await probe.get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "unready"
    assert "planted loop" in response.json()["reasons"][0]
    assert (await probe.get("/health")).json()["status"] == "unready"
    assert (await probe.get("/livez")).status_code == 200
    seen.set()
    await runs.wait()
    assert (await probe.get("/readyz")).status_code == 200


@pytest.mark.parametrize(
    ("broker", "status", "word"),
    [(Health.UP, 200, "ready"), (Health.DOWN, 200, "degraded"), (Health.DEAF, 503, "unready")],
)
async def test_an_outage_of_the_broker_takes_no_node_away_but_deafness_does(
    node: Node,
    probe: httpx2.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    broker: Health,
    status: int,
    word: str,
) -> None:
    monkeypatch.setattr(node.hub.broker, "health", broker)
    response = await probe.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (status, word)
    assert bool(response.json()["reasons"]) is (broker is not Health.UP)
