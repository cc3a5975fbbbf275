"""Services on a Redis of their own, which end and start again on their ports."""

import asyncio
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..nodes import nodes
from ..service import PROGRAM, Service
from .store import Keeps, Store, own_store

PROGRAMS = Path(__file__).parent / "programs"


@dataclass
class Cluster:
    """Nodes that are one service, and what they share."""

    store: Store
    nodes: list[Service]

    async def crash(self, node: Service, seconds: float = 0.0) -> None:
        """Kill a node, and start it again after a while."""
        await asyncio.to_thread(node.kill)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(node.start)

    async def roll(self) -> None:
        """Restart the nodes one after another, as a deploy does: each drains first."""
        for node in self.nodes:
            status = await asyncio.to_thread(node.stop)
            assert status in (0, -signal.SIGTERM), node.log
            await asyncio.to_thread(node.start)


@contextmanager
def cluster(
    folder: Path,
    *,
    count: int = 2,
    keeps: Keeps = Keeps.EVERYTHING,
    program: Sequence[str] = PROGRAM,
    **settings: str | None,
) -> Iterator[Cluster]:
    """So many nodes, which share a database, too, where there is one."""
    with ExitStack() as stack:
        store = stack.enter_context(own_store(folder, keeps))
        started = nodes(
            folder, count=count, program=program, apart=False, **{**store.settings, **settings}
        )
        yield Cluster(store, stack.enter_context(started))
