"""What happens to a cluster while people talk."""

import asyncio
from collections.abc import Sequence
from functools import partial
from math import inf
from random import Random

from .nodes import Cluster
from .plan import Play
from .progress import Act
from .subscriber import Subscriber


class Disturbances:
    """Kills, restarts and cuts, as often as a plan says, when chance says."""

    def __init__(self, own: Cluster, plan: Play, random: Random) -> None:
        self._own, self._plan, self._random = own, plan, random

    def of_redis(self) -> list[Act]:
        """What it goes through; the first time, what was saved is from before all."""
        acts: list[Act] = []
        for number in range(self._plan.outages):
            acts += [("save redis", self._own.store.save)] if number else []
            acts.append(("kill redis", self._kill_redis))
        return acts + [("cut what nodes hear on", partial(self.sever, 0.1))] * self._plan.severs

    def of_nodes(self) -> list[Act]:
        """What they go through."""
        acts: list[Act] = [("kill a node", self._kill_a_node)] * self._plan.crashes
        acts += [("restart all nodes", self._own.roll)] * self._plan.deploys
        self._random.shuffle(acts)
        return acts

    async def of_subscribers(self, those: Sequence[Subscriber]) -> None:
        """Cut one of their connections now and then, until cancelled."""
        while self._plan.cuts < inf:
            await asyncio.sleep(self._random.expovariate(1 / self._plan.cuts))
            self._random.choice(those).cut()

    async def of_the_broker(self) -> None:
        """Cut what nodes hear on, regularly, until cancelled."""
        while self._plan.deaf < inf:
            await asyncio.sleep(self._plan.deaf)
            await asyncio.to_thread(self._own.store.cut)

    async def sever(self, seconds: float) -> None:
        """Cut what nodes hear on, so often that they wait longer each time before they return."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while clock() < end:
            await asyncio.to_thread(self._own.store.cut)
            await asyncio.sleep(0.005)

    async def _kill_redis(self) -> None:
        await self._own.store.be_away(self._random.uniform(0, 0.5))

    async def _kill_a_node(self) -> None:
        node = self._random.choice(self._own.nodes)
        await self._own.crash(node, self._random.uniform(0, 0.3))
