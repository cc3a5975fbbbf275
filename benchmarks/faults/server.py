"""A generated service in a process of its own, and what can be learned about it from outside."""

import http.client
import json
import re
import subprocess
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..driver.connection import HOST
from ..driver.meter import memory_bytes
from ..driver.tally import MeasurementError
from ..installing import WORK
from ..machine import cores, pinned
from ..servers import free_port, started
from ..service import SETTINGS, Service

T = TypeVar("T")
KEY = "the-key-with-which-the-faults-are-tried"
ROOM = "chat:faults"
INSIDE = Path(__file__).parent / "inside.py"


@dataclass(frozen=True)
class Server:
    """A service that is running."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def get(self, path: str) -> str:
        """What it answers over HTTP."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        try:
            connection.request("GET", path, headers={"X-API-Key": KEY})
            response = connection.getresponse()
            body = response.read().decode()
        finally:
            connection.close()
        if response.status != 200:
            raise MeasurementError(f"GET {path}: {response.status} {body[:200]}")
        return body

    def ask(self, path: str) -> dict[str, Any]:
        """The same, as JSON."""
        answer: dict[str, Any] = json.loads(self.get(path))
        return answer

    def metrics(self) -> dict[str, float]:
        """Everything that it tells Prometheus."""
        lines = re.findall(r"^([^#\s]\S*) (\S+)$", self.get("/metrics"), re.MULTILINE)
        return {name: float(value) for name, value in lines}

    @property
    def rss(self) -> int:
        """Bytes in memory."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="utf-8").split()[1]
        return int(pages) * 4096

    @property
    def pss(self) -> int:
        """Bytes in memory, of shared pages its part."""
        return memory_bytes([self.process.pid])

    @property
    def descriptors(self) -> int:
        """Files and sockets that are open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    @property
    def tracebacks(self) -> int:
        """How many are in its log."""
        return self.log.read_text(encoding="utf-8", errors="replace").count("Traceback")


@contextmanager
def running(service: Service, name: str, *program: str, **settings: str) -> Iterator[Server]:
    """The service in production with one room; with a program, that instead of `-m app`."""
    port, log = free_port(), WORK / "logs" / f"faults-{name}.log"
    own = {"APP_PORT": str(port), "APP_ROOMS": ROOM.partition(":")[2], "APP_API_KEY": KEY}
    environment = SETTINGS | dict(service.raised) | own | settings
    command = [service.installed.command[0], *(program or ("-m", "app"))]
    folder = service.installed.folder
    with started(command, folder, environment, port, log, cores().server) as process:
        yield Server(process, port, log)


def drive(clients: Coroutine[Any, Any, T]) -> T:
    """Run the clients of a measurement, on their core."""
    import uvloop  # tests import this module without it

    with pinned(cores().driver):
        return uvloop.run(clients)
