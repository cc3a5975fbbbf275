"""Plays a plan: nodes on one history, clients that come and go, and ports that misbehave."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from structlog.testing import capture_logs

from app.background import open_background
from app.broker.memory import MemoryBroker
from app.coordination.memory import MemoryCoordination
from app.presence.memory import MemoryPresence
from app.protocol.channels import START
from app.protocol.errors import Unavailable
from app.realtime.hub import Hub
from app.settings import Limits

from ..nearby import another_node
from .client import Client
from .fates import PAUSES, Fates
from .faulty import FaultyBroker, FaultyHistory, FaultyPresence
from .ledger import Archive, Ledger, now
from .publishers import Publishers
from .virtual_time import Stuck, run

CHANNELS = ("chat:a", "chat:b")
SWEEP_SECONDS = 10.0
NEVER = 1e6
"""Seconds between sweeps where none should be needed."""
SETTLING_SECONDS = 4 + max(SWEEP_SECONDS, *PAUSES)
"""After which everything is as it should be, once nothing goes wrong any more."""
PATIENCE = 600.0
"""Seconds after which something hangs."""


class Step(Protocol):
    """Something that happens, at once; what takes time goes on by itself."""

    def begin(self, world: "World") -> None:
        """Let it happen."""
        ...


@dataclass(frozen=True)
class Plan:
    """Everything that one run depends on."""

    steps: Sequence[tuple[float, Step]]
    """What happens, and how long after the step before; turns of the loop where negative."""
    tape: bytes = b""
    lossless: bool = False
    carries: bool = False
    nodes: int = 2
    clients: int = 3
    page: int = 100
    repair_limit: int = 1000
    recovery_limit: int = 1000
    length: int = 1000


class World:
    """All that takes part, and all that went wrong."""

    def __init__(self, plan: Plan) -> None:
        self.trouble: list[str] = []
        self.fates = Fates(plan.tape, lossless=plan.lossless)
        self.hubs: list[Hub] = []
        self.brokers: list[FaultyBroker] = []
        clock = asyncio.get_running_loop().time
        epochs = (f"epoch{number}" for number in range(1, 1_000_000))
        archive = Archive(plan.length, 60.0, clock=clock, new_epoch=lambda: next(epochs))
        self.ledger = Ledger(archive)
        self.clients = [Client(n, self.ledger, self.trouble) for n in range(plan.clients)]
        self.publishers = Publishers(self.hubs, self.ledger, self.trouble)
        self._plan = plan
        self._broker = MemoryBroker()
        self._presence = MemoryPresence(5.0, clock)
        self._coordination = MemoryCoordination(clock)

    async def play(self) -> None:
        """Let everything happen, then let it end well, and look at what is left."""
        with capture_logs() as logs:
            async with AsyncExitStack() as stack:
                for _ in range(self._plan.nodes):
                    await self._open_hub(stack)
                working = [asyncio.create_task(client.work()) for client in self.clients]
                for number, client in enumerate(self.clients):
                    client.wanted.add(CHANNELS[0])
                    client.reconnect(self.hubs[number % len(self.hubs)])
                for pause, step in self._plan.steps:
                    await _pause(pause)
                    step.begin(self)
                await self._come_to_rest()
                self._look_at_what_is_left()
                for task in working:
                    task.cancel()
        self.trouble += [f"logged: {entry}" for entry in logs if _is_serious(entry)]

    async def _open_hub(self, stack: AsyncExitStack) -> None:
        plan, broker = self._plan, FaultyBroker(another_node(self._broker), self.fates)
        hub = Hub(
            broker,
            FaultyHistory(self.ledger, self.fates, self._broker if plan.carries else None),
            FaultyPresence(self._presence, self.fates),
            another_node(self._coordination),
            _limits(plan.page, plan.repair_limit, plan.recovery_limit, lossless=plan.lossless),
            await stack.enter_async_context(open_background()),
        )
        self.brokers.append(broker)
        self.hubs.append(hub)

    async def _come_to_rest(self) -> None:
        self.fates.end()
        for broker in self.brokers:
            broker.hear()
        async with asyncio.timeout(PATIENCE):
            await self.publishers.finished()
            # What was slow when the faults ended takes its time.
            await asyncio.sleep(SETTLING_SECONDS)
            for client in self.clients:
                if client.connection is not None:
                    client.connection.flowing.set()
                client.recover()
            for client in self.clients:
                await client.commands.join()
            await asyncio.sleep(SETTLING_SECONDS)

    def _look_at_what_is_left(self) -> None:
        for client in self.clients:
            for channel in sorted(client.wanted):
                stands, top = client.witness.positions[channel], self.ledger.position(channel)
                if stands != top and (stands != START or top.offset):
                    client.complain(channel, "came to rest at", stands, "below", top)
        for hub in self.hubs:
            wanted = {c for client in self.clients for c in client.wanted if client.is_at(hub)}
            if set(hub.channels) != wanted or any(each.joins for each in hub.channels.values()):
                self.trouble.append(f"followed: {hub.channels}, wanted: {wanted}")
        for channel in CHANNELS:
            self.publishers.look_at_keys(channel)
            here = {client.user for client in self.clients if channel in client.wanted}
            roster = now(self._presence.roster(channel, 100))
            if here and {member.id for member in roster.users} != here:
                self.trouble.append(f"in {channel} are {here}, but its roster is {roster}")


@cache
def _limits(page: int, repair: int, recovery: int, *, lossless: bool) -> Limits:
    """The engine's settings, some smaller than anybody would set them."""
    return Limits(
        history_page=page,
        repair_limit=repair,
        recovery_limit=recovery,
        sweep_seconds=NEVER if lossless else SWEEP_SECONDS,
    )


async def _pause(pause: float) -> None:
    if pause >= 0:
        await asyncio.sleep(pause)
    for _ in range(round(-pause)):
        await asyncio.sleep(0)


def _is_serious(entry: Mapping[str, Any]) -> bool:
    """Whether the engine failed; what a port could not reach is no failure of its own."""
    error = entry.get("exc_info")
    return entry["log_level"] == "error" and not isinstance(error, Unavailable)


def play(plan: Plan) -> list[str]:
    """What went wrong in a run of the plan."""

    async def start() -> list[str]:
        world = World(plan)
        await world.play()
        return world.trouble

    try:
        return run(start())
    except Stuck as stuck:
        return [str(stuck)]
