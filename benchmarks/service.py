"""The generated service as it is measured: baked, installed, and its limits out of the way."""

import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .driver.dialects import CHANNEL
from .installing import ROOT, WORK, Installed, InstallError, run, versions
from .plan import Cell

ANSWERS = {"project_slug": "measured-service", "auth": "none"}
"""The default answers, but that everybody is a guest: then connecting is one message shorter; and
that there is one node with history in memory, unless a measurement is of something else."""

SETTINGS = {
    "APP_ENVIRONMENT": "production",
    "APP_JWT_SECRET": "what-signs-the-tokens-of-guests-in-a-benchmark",
    "APP_DRAIN_SECONDS": "0",
    "APP_GRACE_SECONDS": "2",
}
"""It runs as it would for real users, but that it ends at once: it is started for each cell."""

RAISED = {
    "APP_COMMANDS_PER_SECOND": "1000000",
    "APP_COMMANDS_BURST": "1000000",
    "APP_PUBLISHES_PER_SECOND": "1000000",
    "APP_PUBLISHES_BURST": "1000000",
    "APP_CONNECTIONS_PER_ADDRESS": "20000",
}
"""Limits that would cut the load off, which comes from one address and one publisher."""


@dataclass(frozen=True)
class Service:
    """A project that can be started."""

    installed: Installed
    raised: Mapping[str, str]
    """The limits of `RAISED` that this template has."""

    def environment(self, cell: Cell, port: int) -> dict[str, str]:
        """Its settings for one measurement; rooms have to exist before somebody enters."""
        rooms = [CHANNEL, *(f"r{number}" for number in range(cell.channels))]
        own = {"APP_PORT": str(port), "APP_ROOMS": ",".join(rooms)}
        return SETTINGS | dict(self.raised) | own


def install_service(persistence: str = "none", broker: str = "memory") -> Service:
    """Bake a project from this template as it stands, and install it as a user would."""
    parent = WORK / "service" / (persistence if broker == "memory" else f"{broker}-{persistence}")
    shutil.rmtree(parent, ignore_errors=True)
    chosen = ANSWERS | {"persistence": persistence, "broker": broker}
    answers = [f"{key}={value}" for key, value in chosen.items()]
    own = ["--no-input", "--default-config", "--output-dir", str(parent)]
    run("cookiecutter", str(ROOT), *own, *answers)
    project = parent / ANSWERS["project_slug"]
    # A private PostgreSQL or Redis, where the machine has none, is among what a developer needs.
    brings_a_server = persistence == "postgresql" and shutil.which("postgres") is None
    groups = [] if brings_a_server or broker == "redis" else ["--no-dev"]
    run("uv", "sync", "--quiet", *groups, "--python", sys.executable, folder=project)
    python = project / ".venv" / "bin" / "python"
    command = (str(python), "-m", "app")
    installed = Installed(command, project, versions=versions(python))
    return Service(installed, raised_in(project / ".env.example"))


def raised_in(settings: Path) -> dict[str, str]:
    """Those of the raised limits that a project's list of settings has."""
    there = set(re.findall(r"^#?(APP_\w+)=", settings.read_text(encoding="utf-8"), re.MULTILINE))
    return {name: value for name, value in RAISED.items() if name in there}


def commit() -> str:
    """The commit of the template, and whether something differs from it."""
    try:
        head = run("git", "rev-parse", "HEAD").strip()
        here = ["--porcelain", "--", ".", ":!benchmarks/results"]
        return head + (" and changes" if run("git", "status", *here).strip() else "")
    except InstallError:
        return "unknown: this is no clone"
