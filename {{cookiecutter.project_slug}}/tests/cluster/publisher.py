"""Publishes each message until some node acknowledged it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

from client import Client
from client.auth import by_mode

from ..service import Service
from ..truth import Name, Place
from .progress import Progress

DOUBT = 0.05
"""How often an acknowledgement is not believed: then the same is published again."""
PATIENCE_HERE = 1.0
"""Seconds after which another node is asked for the same."""


class Publisher:
    """Publishes to one channel, one message after another, each by its own key."""

    def __init__(self, clients: Sequence[Client], channel: str, name: str, random: Random) -> None:
        self.channel = channel
        self.acknowledged: dict[Name, Place] = {}
        self.key = ""
        """What is being published."""
        self._clients, self._name, self._random = clients, name, random

    async def publish(self, messages: int, progress: Progress) -> None:
        """Publish so many."""
        for number in range(messages):
            await self.say(f"{self._name}-{number}")
            while self._random.random() < DOUBT:
                await self.say(f"{self._name}-{number}")
            await progress.acknowledge()
        self.key = ""

    async def say(self, key: str) -> None:
        """Publish one: a node that does not answer in time may have stored it all the same."""
        self.key = key
        while True:
            client = self._random.choice(self._clients)
            try:
                receipt = await client.publish(
                    self.channel, {"text": key}, key=key, deadline=PATIENCE_HERE
                )
            except TimeoutError:
                continue
            assert receipt.position is not None
            told = receipt.position.epoch, receipt.position.offset
            self.acknowledged[client.welcome.user.id, key] = told
            return


@asynccontextmanager
async def clients(nodes: Sequence[Service], user: str) -> AsyncIterator[list[Client]]:
    """A reconnecting client for each node, all of one user's."""
    async with AsyncExitStack() as stack:
        found: list[Client] = []
        token = await nodes[0].token(user) or ""
        for node in nodes:
            client = Client(node.ws, auth=by_mode()(token), proxy=None, random=lambda: 0.1)
            found.append(await stack.enter_async_context(client))
            token = token or client.welcome.guest_token or ""
        yield found
