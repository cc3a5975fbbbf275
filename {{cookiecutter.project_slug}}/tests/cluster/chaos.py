"""Publishers and subscribers on a cluster to which everything happens, and what was wrong then."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from random import Random

from ..nodes import history
from ..shapes import Frame
from ..truth import Name, Place
from .disturbances import Disturbances
from .nodes import Cluster
from .plan import Play, channels
from .progress import Progress
from .publisher import Publisher, clients
from .story import Story, disordered, wrong
from .subscriber import Subscriber

USERS = 4
Stored = Mapping[str, Sequence[Frame]]
"""What is in history, by channel."""


async def play(own: Cluster, name: str, plan: Play, seed: str, *, lossless: bool) -> list[str]:
    """What was wrong after all that; raises AssertionError, with where it hung, if it took long."""
    run = _Run(own, name, plan, Random(f"{seed} {name}"))
    try:
        async with asyncio.timeout(plan.seconds):
            stored = await run.run()
    except TimeoutError:
        raise AssertionError(f"hung, TEST_SEED={seed}: {run}") from None
    return run.verdict(stored, lossless=lossless)


class _Run:
    """One play: everybody who takes part, and how far they are."""

    def __init__(self, own: Cluster, name: str, plan: Play, random: Random) -> None:
        self._own, self._plan, self._random = own, plan, random
        self._channels = channels(name)
        self._progress = Progress(plan.messages)
        self._disturbances = Disturbances(own, plan, random)
        self._publishers: list[Publisher] = []
        half = plan.subscribers // 2  # each channel has two of them
        self._subscribers = [
            Subscriber(
                own.nodes,
                self._channels[number % half :: half],
                f"subscriber-{number}",
                Random(random.random()),
            )
            for number in range(plan.subscribers)
        ]
        self._failures: list[str] = []

    def __str__(self) -> str:
        waiting = [f"{each.channel} {each.key}" for each in self._publishers if each.key]
        return f"{self._progress}; waiting for: {waiting}"

    async def run(self) -> Stored:
        """Everything, from the first connection on; what is in history in the end."""
        async with AsyncExitStack() as stack:
            for each in [asyncio.create_task(each.follow()) for each in self._subscribers]:
                stack.push_async_callback(self._end, each)
            users = [
                await stack.enter_async_context(clients(self._own.nodes, f"user-{number}"))
                for number in range(USERS)
            ]
            for number in range(self._plan.publishers):
                channel = self._channels[number % len(self._channels)]
                random = Random(self._random.random())
                publisher = Publisher(users[number % USERS], channel, str(number), random)
                self._publishers.append(publisher)
            await self._subscribed()
            await self._publish()
            await self._say_last_words()
            return await self._heard()

    def verdict(self, stored: Stored, *, lossless: bool) -> list[str]:
        """What was wrong."""
        found = [*self._failures]
        for channel in self._channels:
            acknowledged: dict[Name, Place] = {}
            for publisher in self._publishers:
                if publisher.channel == channel:
                    acknowledged |= publisher.acknowledged
                    found += disordered(list(publisher.acknowledged.values()))
            stories = [story for name, story in self._stories() if name == channel]
            found += wrong(stored[channel], acknowledged, stories, lossless=lossless)
        return found

    async def _subscribed(self) -> None:
        """Wait until every subscriber has a place to go on from."""
        self._progress.doing["subscribers"] = "subscribe"
        while not all(story.stretches for _, story in self._stories()):
            await asyncio.sleep(0.01)

    async def _publish(self) -> None:
        """Publish everything, while nodes and Redis come and go."""
        self._progress.doing["subscribers"] = "listen"
        share, rest = divmod(self._plan.messages, len(self._publishers))
        others = self._disturbances
        cutting = [
            asyncio.create_task(each)
            for each in (others.of_subscribers(self._subscribers), others.of_the_broker())
        ]
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._progress.disturb("redis", others.of_redis()))
                tasks.create_task(self._progress.disturb("nodes", others.of_nodes()))
                for number, publisher in enumerate(self._publishers):
                    count = share + (number < rest)
                    tasks.create_task(publisher.publish(count, self._progress))
        finally:
            for each in cutting:
                await self._end(each)

    async def _say_last_words(self) -> None:
        """Say something that nothing follows, while no node hears the others."""
        self._progress.doing["publishers"] = "say a last word"
        last = self._publishers[: len(self._channels)]
        with self._own.store.unheard():
            await asyncio.gather(*(each.say(f"{each.channel}-last") for each in last))

    async def _heard(self) -> Stored:
        """What any node says is in history, once subscribers are there, or late.

        They may not connect again for it.
        """
        self._progress.doing["publishers"] = "read history"
        nodes, random = self._own.nodes, self._random
        stored = {each: await history(random.choice(nodes), each) for each in self._channels}
        self._progress.doing["subscribers"] = "hear what is left"
        clock = asyncio.get_running_loop().time
        end = clock() + self._plan.late
        while clock() < end and any(
            story.position is None or story.position[1] < len(stored[channel])
            for channel, story in self._stories()
        ):
            await asyncio.sleep(0.02)
        return stored

    def _stories(self) -> list[tuple[str, Story]]:
        return [each for one in self._subscribers for each in one.stories.items()]

    async def _end(self, task: "asyncio.Task[None]") -> None:
        """Cancel what goes on by itself, and note if it failed before."""
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.append(f"failed: {error!r}")
