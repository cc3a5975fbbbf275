"""Nodes and Redis come and go while people talk: nothing is lost, repeated, or out of order.

The default is short. `make test args="-m long tests/cluster"` publishes 100,000 messages through
10 kills of nodes, 10 of Redis and 3 rolling restarts, for some minutes per case. What is random
follows from TEST_SEED, which is printed.
"""

import os
from pathlib import Path
from time import monotonic

import pytest

from ..databases import OUTLIVES
from .chaos import play
from .nodes import cluster
from .plan import Play, haste
from .store import Keeps

SEED = os.environ.get("TEST_SEED", "1")
KEEPS = [Keeps.NOTHING] if OUTLIVES else [Keeps.EVERYTHING, Keeps.SNAPSHOTS]
SHORT = Play(2_000, crashes=2, outages=2, deploys=1)
LONG = Play(
    100_000, publishers=80, subscribers=16, crashes=10, outages=10, deploys=3, cuts=0.5, seconds=900
)


async def check(folder: Path, keeps: Keeps, plan: Play, *, count: int) -> None:
    """Play, and say what was wrong; a Redis that may lose history may do so, and say it."""
    print(f"TEST_SEED={SEED}")  # noqa: T201 - a run that fails can be had again
    lossless, begun = OUTLIVES or keeps is Keeps.EVERYTHING, monotonic()
    with cluster(folder, count=count, keeps=keeps, **haste("room")) as own:
        assert await play(own, "room", plan, SEED, lossless=lossless) == []
        assert not any("Traceback" in node.log for node in own.nodes)
        print(f"{plan}: {monotonic() - begun:.1f} s")  # noqa: T201


@pytest.mark.parametrize("keeps", KEEPS, ids=lambda keeps: keeps.name.lower())
async def test_nothing_is_lost_while_nodes_and_redis_come_and_go(
    tmp_path: Path, keeps: Keeps
) -> None:
    await check(tmp_path, keeps, SHORT, count=2)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("keeps", KEEPS, ids=lambda keeps: keeps.name.lower())
async def test_nothing_is_lost_of_100_000_messages(tmp_path: Path, keeps: Keeps) -> None:
    await check(tmp_path, keeps, LONG, count=3)
