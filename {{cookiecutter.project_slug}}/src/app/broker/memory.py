"""Carries packets within one process."""

from asyncio import Event
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager

from ..settings import Count, Section
from .base import Gap, Health, Packet


class MemoryBrokerSettings(Section):
    """How many processes want to reach each other."""

    workers: Count = 1

    def complaints(self) -> Iterator[str]:
        """Several workers would be several services that do not hear each other."""
        if self.workers > 1:
            yield (
                f"APP_WORKERS is {self.workers}, but the memory broker serves one process: "
                "set it to 1, or move to another broker: CONTRIBUTING.md says how"
            )


class MemoryBroker:
    """Hands packets to the nodes of this process that follow their channel; nothing is lost."""

    health = Health.UP

    def __init__(self, nodes: list["MemoryBroker"] | None = None) -> None:
        """Those made with the same list reach each other, for several nodes in one process."""
        self.nodes = [] if nodes is None else nodes
        self.nodes.append(self)
        self._followed: set[str] = set()
        self._arrived: list[Packet] = []
        self._awake = Event()

    async def publish(self, packets: Sequence[Packet]) -> None:
        """Queue each packet for its followers, in order."""
        for packet in packets:
            for node in self.nodes:
                if packet.channel in node._followed:
                    node._arrived.append(packet)
                    node._awake.set()

    async def follow(self, channels: Collection[str]) -> None:
        """Receive what is published to these channels from here on."""
        self._followed.update(channels)

    async def forget(self, channels: Collection[str]) -> None:
        """Receive no more of these channels; what is queued still comes."""
        self._followed.difference_update(channels)

    async def deliveries(self) -> AsyncIterator[Sequence[Packet] | Gap]:
        """All that has arrived, whenever something has."""
        while True:
            await self._awake.wait()
            self._awake.clear()
            packets, self._arrived = self._arrived, []
            yield packets


@asynccontextmanager
async def open_broker() -> AsyncIterator[MemoryBroker]:
    """A broker for the one process there is."""
    yield MemoryBroker()
