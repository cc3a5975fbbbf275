"""What every measurement of durable history needs: services, a driver, and how much to do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..driver.job import Job
from ..installing import PROGRAMS, WORK
from ..machine import Cores
from ..plan import FULL, QUICK, Cell
from ..plan import Plan as FanOut
from ..running import drive
from ..servers import free_port, serving
from ..service import Service
from .databases import Kind, Place, database


@dataclass(frozen=True)
class Plan:
    """How much, and how often."""

    rounds: int = 5
    publishers: int = 50
    messages: int = 50
    """That each publishes; a fifth where each has a transaction of its own."""
    recipients: tuple[int, int] = (200, 1000)
    deliveries: FanOut = FULL
    long: int = 1_000_000
    turns: int = 30
    steps: int = 40
    """Of retention: fives of them alone, then so many beside a publisher."""


SHORT = Plan(
    rounds=1,
    publishers=5,
    messages=5,
    recipients=(5, 20),
    deliveries=QUICK,
    long=30_000,
    turns=2,
    steps=3,
)


@dataclass(frozen=True)
class Bench:
    """Where and with what it is measured."""

    plan: Plan
    services: Mapping[Kind, Service]
    driver: Path
    """The Python that drives."""
    cores: Cores

    @contextmanager
    def running(
        self, kind: Kind, cell: Cell, program: str = ""
    ) -> Iterator[tuple[int, int, Place]]:
        """A service on a database of its own, its port and process.

        With a program of ours, that instead of `-m app`.
        """
        service, port = self.services[kind], free_port()
        command = service.installed.command
        if program:
            command = (command[0], str(PROGRAMS / program))
        log = WORK / "logs" / f"durable-{kind}.log"
        with database(kind, service, self.cores.driver) as place:
            environment = service.environment(cell, port) | place.settings
            at = (service.installed.folder, environment, port, log, self.cores.server)
            with serving(command, *at) as pid:
                yield port, pid, place

    def drive(self, job: Job) -> dict[str, object]:
        """What the driver says about a job."""
        return drive(job, self.driver, self.cores)
