"""The machine that figures belong to, and its cores: one for the server, one for the driver."""

import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DESCRIPTORS = 20_000


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the two sides run; None where they cannot be told apart."""

    server: int | None = None
    driver: int | None = None

    def __str__(self) -> str:
        """The same for people."""
        if self.server is None:
            return "server and driver share all cores: there is one core, or none can be chosen"
        return f"server on core {self.server}, driver on core {self.driver}"


def cores() -> Cores:
    """The last core for the server and the first for the driver, of those we may use."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores()
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[-1], allowed[0]) if len(allowed) > 1 else Cores()


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """What is started in here runs on this core, with all its threads."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def allow_descriptors() -> None:
    """Let this process and what it starts hold as many connections as a run needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft == resource.RLIM_INFINITY or soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def description() -> dict[str, str]:
    """What a reader has to know about this machine."""
    return {
        "CPU": f"{_field(Path('/proc/cpuinfo'), 'model name')}, {os.cpu_count()} cores",
        "cores": str(cores()),
        "memory": f"{_gibibytes():.0f} GiB",
        "system": f"{_field(Path('/etc/os-release'), 'PRETTY_NAME')}, kernel {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "load before the run": f"{os.getloadavg()[0]:.1f}",
    }


def _field(path: Path, name: str) -> str:
    """A value from a file of lines `name: value` or `name=value`."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            key, _, value = line.replace(":", "=", 1).partition("=")
            if key.strip() == name:
                return value.strip().strip('"')
    return "unknown"


def _gibibytes() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
