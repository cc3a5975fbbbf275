"""A database of its own for each measurement, with the tables that the project needs."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from ..driver.tally import MeasurementError
from ..installing import WORK, run
from ..machine import pinned
from ..service import SETTINGS, Service

Kind = Literal["none", "sqlite", "postgresql"]
NOTHING: Mapping[str, str] = {}
TITLES: dict[Kind, str] = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
SERVING = """
import json, sys
from dev.services.{name} import start
with start(durable={durable}) as variables:
    print(json.dumps(variables), flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service keeps its history."""

    settings: dict[str, str]
    pid: int = 0
    """The database's server, where that is another process."""


@contextmanager
def database(
    kind: Kind, service: Service, core: int | None, others: Mapping[str, str] = NOTHING
) -> Iterator[Place]:
    """An empty database, which goes; its server, if it has one, is on this core.

    `others` are settings that the service insists on.
    """
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK, prefix="database-") as folder:
        if kind == "none":
            yield Place({})
        elif kind == "sqlite":
            place = Place({"APP_DATABASE_URL": f"sqlite:///{folder}/service.db"})
            yield _migrated(place, service, others)
        else:
            with private_server("postgresql", service, core) as place:
                yield _migrated(place, service, others)


@contextmanager
def private_server(
    name: str, service: Service, core: int | None, *, durable: bool = True
) -> Iterator[Place]:
    """A private server of this name, as the project itself starts one."""
    program = SERVING.format(name=name, durable=durable)
    command = [service.installed.command[0], "-c", program]
    with pinned(core):
        process = subprocess.Popen(
            command,
            cwd=service.installed.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    with process:
        assert process.stdout is not None
        said = process.stdout.readline()
        if not said:
            raise MeasurementError(f"{name} did not start")
        yield Place(json.loads(said), process.pid)


def _migrated(place: Place, service: Service, others: Mapping[str, str]) -> Place:
    run(
        *service.installed.command,
        "migrate",
        folder=service.installed.folder,
        **SETTINGS,
        **others,
        **place.settings,
    )
    return place
