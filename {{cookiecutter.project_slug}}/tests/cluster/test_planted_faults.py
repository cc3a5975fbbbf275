"""The checker of test_chaos.py can fail: each fault planted in nodes or in Redis is found."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ..databases import OUTLIVES
from .chaos import play
from .nodes import PROGRAMS, Cluster, cluster
from .plan import Play, haste
from .store import Keeps
from .test_chaos import SEED

PLAY = Play(400, publishers=20, late=2.5)
FAULTS = {
    "skip_the_sweep": (PLAY, "it saw"),
    "drop_deliveries": (PLAY, "it saw"),
    "ignore_holes": (replace(PLAY, severs=3), "it saw"),
    "forget_keys": (replace(PLAY, crashes=2), "is there 2 times"),
    "acknowledge_early": (replace(PLAY, crashes=1), "is at None"),
}
"""What is done while the fault is there, and what is complained about."""
PROGRAM = (str(PROGRAMS / "faulty.py"),)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes that may be wrong."""
    with cluster(tmp_path_factory.mktemp("faults"), program=PROGRAM, **haste(*FAULTS)) as own:
        yield own


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_nodes_is_found(own: Cluster, fault: str) -> None:
    plan, complaint = FAULTS[fault]
    for node in own.nodes:
        (node.folder / "fault").write_text(fault)
    assert complaint in "\n".join(await play(own, fault, plan, SEED, lossless=True))


needs_history = pytest.mark.skipif(OUTLIVES, reason="history is not in Redis here")


@needs_history
async def test_a_redis_that_forgets_what_it_acknowledged_is_found(tmp_path: Path) -> None:
    with cluster(tmp_path, keeps=Keeps.NOTHING, **haste("forgets")) as own:
        found = await play(own, "forgets", replace(PLAY, outages=1), SEED, lossless=True)
    assert "is at None" in "\n".join(found)


@needs_history
async def test_an_epoch_that_stays_when_data_is_lost_is_found(tmp_path: Path) -> None:
    """The nodes take it that nothing is lost, so that it is they who would have to notice."""
    settings = haste("stays") | {"APP_REDIS_LOSSLESS": "true"}
    with cluster(tmp_path, keeps=Keeps.SNAPSHOTS, program=PROGRAM, **settings) as own:
        for node in own.nodes:
            (node.folder / "fault").write_text("stay_in_the_epoch")
        plan = replace(PLAY, outages=2)
        found = await play(own, "stays", plan, SEED, lossless=False)
    assert " is (" in "\n".join(found)
