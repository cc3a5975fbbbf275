"""What every measurement of two nodes needs: a Redis, servers, a driver, and how much to do."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..catalogue import Peer
from ..durable.databases import Kind, Place, database, private_server
from ..installing import WORK, Installed
from ..machine import Cores
from ..plan import FULL, QUICK, Cell
from ..plan import Plan as Load
from ..running import drive
from ..servers import free_port, serving
from ..service import Service

SENDER, REDIS = "sender", "redis"
"""Who takes part beside the node that is measured."""

PUBLISHES = replace(FULL, one_by_one=1_000, most=1_000, in_bursts=10_000)


@dataclass(frozen=True)
class Plan:
    """How much, and how often."""

    rounds: int = 5
    recipients: int = 200
    load: Load = FULL
    channels: tuple[int, ...] = (0, 1_000, 10_000)
    """That another node follows, while it is measured what a publish costs."""
    publishes: Load = PUBLISHES


SHORT = Plan(
    rounds=1,
    recipients=20,
    load=QUICK,
    channels=(0, 50),
    publishes=replace(QUICK, one_by_one=50, in_bursts=300),
)


@dataclass(frozen=True)
class Contender:
    """Servers that carry what is published on the first to who listens on the last."""

    name: str
    title: str
    peer: Peer
    installed: Installed
    service: Service | None = None
    """Where it is a project of this template."""
    persistence: Kind = "none"
    nodes: int = 2
    """With one, publisher and recipients are on the same, and there is no Redis."""
    settings: Mapping[str, str] = field(default_factory=dict)
    reference: str | None = None
    """Whose costs limit its own; one of ours on two nodes has one."""
    rival: bool = False
    """Whether those have to cost less."""


@dataclass(frozen=True)
class Bench:
    """Where and with what it is measured."""

    plan: Plan
    starts: Service
    """The project that brings a Redis."""
    driver: Path
    """The Python that drives."""
    cores: Cores

    def measure(self, contender: Contender, cell: Cell, load: Load) -> dict[str, Any]:
        """What a cell costs on servers of its own, on a Redis of their own."""
        with ExitStack() as stack:
            redis = Place({})
            if contender.nodes > 1:
                start = private_server("redis", self.starts, self.cores.driver, durable=False)
                redis = stack.enter_context(start)
            settings = {**contender.settings, **redis.settings}
            if contender.service is not None:
                own = contender.service, self.cores.driver, redis.settings
                store = stack.enter_context(database(contender.persistence, *own))
                settings |= store.settings
            servers = []
            for number in range(contender.nodes):
                core = self.cores.server if number == contender.nodes - 1 else self.cores.driver
                place = _place(contender, cell, number, settings)
                servers.append((place[3], stack.enter_context(serving(*place, core))))
            (first, sender), (last, receiver) = servers[0], servers[-1]
            job = load.job(cell, contender.peer, last, receiver)
            beside = {SENDER: sender, REDIS: redis.pid} if contender.nodes > 1 else {}
            job = replace(job, publishing=first, beside=beside, readers=cell.recipients)
            return drive(job, self.driver, self.cores)


def _place(
    contender: Contender, cell: Cell, number: int, settings: dict[str, str]
) -> tuple[Sequence[str], Path, dict[str, str], int, Path]:
    """How to start one of the servers, and where."""
    port, installed = free_port(), contender.installed
    command = list(installed.command)
    if contender.service is not None:
        environment = contender.service.environment(cell, port) | settings
    else:
        environment = {"PORT": str(port), "REDIS_URL": settings["APP_REDIS_URL"]}
        if contender.peer.runtime == "uvicorn":
            command += ["--port", str(port)]
    log = WORK / "logs" / f"nodes-{contender.name}-{number}.log"
    return command, installed.folder, environment, port, log
