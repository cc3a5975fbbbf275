"""Plays a plan: nodes on one history, clients that come and go, and ports that misbehave."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from structlog.testing import capture_logs

from app.broker.memory import MemoryBroker
from app.coordination.memory import MemoryCoordination
from app.history.base import Receipt
from app.presence.memory import MemoryPresence
from app.protocol.channels import START
from app.protocol.errors import CommandError, Unavailable
from app.realtime.hub import Hub, open_hub
from app.settings import Limits

from ..history.drafts import draft
from .client import COMMAND_SECONDS, NAMESPACE, Client
from .fates import PAUSES, Fates
from .faulty import FaultyBroker, FaultyHistory, FaultyPresence
from .ledger import Archive, Ledger
from .virtual_time import Stuck, run

CHANNELS = ("chat:a", "chat:b")
SWEEP_SECONDS = 10.0
SETTLING_SECONDS = 2 * max(PAUSES) + 3 * SWEEP_SECONDS
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

    tape: bytes
    nodes: int
    clients: int
    page: int
    repair_limit: int
    recovery_limit: int
    length: int
    steps: Sequence[tuple[float, Step]]



class World:
    """All that takes part, and all that went wrong."""

    def __init__(self, plan: Plan) -> None:
        self.trouble: list[str] = []
        self.fates = Fates(plan.tape)
        self.hubs: list[Hub] = []
        self.brokers: list[FaultyBroker] = []
        self._plan = plan
        clock = asyncio.get_running_loop().time
        self._epochs = iter(range(1, 1_000_000))
        archive = Archive(plan.length, 60.0, clock, lambda: f"epoch{next(self._epochs)}")
        self.ledger = Ledger(archive)
        self.presence = MemoryPresence(5.0, clock)
        self.clients = [Client(n, self.ledger, self.trouble) for n in range(plan.clients)]
        self._broker = MemoryBroker()
        self._coordination = MemoryCoordination(clock)
        self._publishers: list[asyncio.Task[None]] = []
        self._acknowledged: list[tuple[str, str, str]] = []

    async def play(self) -> None:
        """Let everything happen, then let it end well, and look at what is left."""
        with capture_logs() as logs:
            async with AsyncExitStack() as stack:
                for number in range(self._plan.nodes):
                    await self._open_hub(stack, first=number == 0)
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

    async def _open_hub(self, stack: AsyncExitStack, *, first: bool) -> None:
        inner = self._broker if first else self._broker.peer()
        self.brokers.append(FaultyBroker(inner, self.fates))
        hub = open_hub(
            self.brokers[-1],
            FaultyHistory(self.ledger.archive, self.fates, self.ledger),
            FaultyPresence(self.presence, self.fates),
            self._coordination if first else self._coordination.peer(),
            _limits(self._plan.page, self._plan.repair_limit, self._plan.recovery_limit),
        )
        self.hubs.append(await stack.enter_async_context(hub))

    def publish(self, node: int, channel: str, key: str | None, *, after: float) -> None:
        """Publish, and with a key again and again until it is acknowledged."""
        self._publishers.append(asyncio.create_task(self._publish(node, channel, key, after)))

    async def _publish(self, node: int, channel: str, key: str | None, after: float) -> None:
        await asyncio.sleep(after)
        for attempt in range(1 if key is None else 6):
            said = draft(channel, f"text of {key}", key=key)
            try:
                async with asyncio.timeout(COMMAND_SECONDS):
                    hub = self.hubs[(node + attempt) % len(self.hubs)]
                    receipt = await hub.publish(NAMESPACE, said)
            except (Unavailable, TimeoutError):
                await asyncio.sleep(PAUSES[attempt])
            except CommandError as error:
                self.trouble.append(f"refused: {said} {error!r}")
            else:
                assert receipt is not None
                return self._acknowledge(receipt, (channel, said.sender, key or ""), said.message_id)

    def _acknowledge(self, receipt: Receipt, name: tuple[str, str, str], message: str) -> None:
        stored = self.ledger.message(name[0], receipt.position)
        if name[2]:
            self._acknowledged.append(name)
        if (self.ledger.names.get(stored or "") != name) if name[2] else stored != message:
            self.trouble.append(f"acknowledged, but not stored: {name} {receipt}")

    async def _come_to_rest(self) -> None:
        self.fates.end()
        for broker in self.brokers:
            broker.hear()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*self._publishers)
            # What was slow when the faults ended may take its time, twice in a row.
            await asyncio.sleep(SETTLING_SECONDS)
            for client in self.clients:
                client.settle()
            for client in self.clients:
                await client.commands.join()
            await asyncio.sleep(SETTLING_SECONDS)

    def _look_at_what_is_left(self) -> None:
        for client in self.clients:
            for channel in sorted(client.wanted):
                stands, top = client.positions[channel], self.ledger.position(channel)
                if stands != top and (stands != START or top.offset):
                    client.complain(channel, "came to rest at", stands, "below", top)
        for hub in self.hubs:
            wanted = {c for client in self.clients for c in client.wanted if client.is_at(hub)}
            if set(hub.channels) != wanted or any(each.joins for each in hub.channels.values()):
                self.trouble.append(f"followed: {hub.channels}, wanted: {wanted}")
        for channel in CHANNELS:
            self._look_at_keys(channel)

    def _look_at_keys(self, channel: str) -> None:
        names = self.ledger.names
        stored = Counter(names[id] for id in self.ledger.messages(channel) if id in names)
        lost = {names[id] for id in self.ledger.lost if id in names}
        for name in self._acknowledged:
            if name[0] == channel and stored[name] != 1 and name not in lost:
                self.trouble.append(f"acknowledged, and stored {stored[name]} times: {name}")
        self.trouble += [f"stored twice: {name}" for name, times in stored.items() if times > 1]


@cache
def _limits(page: int, repair: int, recovery: int) -> Limits:
    """The engine's settings, some smaller than anybody would set them."""
    return Limits(
        history_page=page,
        repair_limit=repair,
        recovery_limit=recovery,
        sweep_seconds=SWEEP_SECONDS,
    )


async def _pause(pause: float) -> None:
    """Wait: whole seconds below zero are turns of the loop."""
    if pause >= 0:
        await asyncio.sleep(pause)
    for _ in range(round(-pause)):
        await asyncio.sleep(0)


def _is_serious(entry: dict[str, object]) -> bool:
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

