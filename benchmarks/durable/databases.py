"""A database of its own for each measurement, with the tables that the project needs."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from ..driver.tally import MeasurementError
from ..installing import WORK, run
from ..machine import pinned
from ..service import SETTINGS, Service

Kind = Literal["none", "sqlite", "postgresql"]
TITLES: dict[Kind, str] = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
SERVING = """
import json, sys
from dev.services.postgresql import start
with start() as variables:
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
def database(kind: Kind, service: Service, core: int | None) -> Iterator[Place]:
    """An empty database, which goes; its server, if it has one, is on this core."""
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK, prefix="database-") as folder:
        if kind == "none":
            yield Place({})
        elif kind == "sqlite":
            yield _migrated(Place({"APP_DATABASE_URL": f"sqlite:///{folder}/service.db"}), service)
        else:
            with _server(service, core) as place:
                yield _migrated(place, service)


@contextmanager
def _server(service: Service, core: int | None) -> Iterator[Place]:
    """A private PostgreSQL, as the project itself starts one."""
    command = [service.installed.command[0], "-c", SERVING]
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
            raise MeasurementError("PostgreSQL did not start")
        yield Place(json.loads(said), process.pid)


def _migrated(place: Place, service: Service) -> Place:
    run(
        *service.installed.command,
        "migrate",
        folder=service.installed.folder,
        **SETTINGS,
        **place.settings,
    )
    return place
