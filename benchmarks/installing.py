"""Makes what a run needs under `.work`: an environment per peer, a project, the driver's own."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .catalogue import Peer

ROOT = Path(__file__).parent.parent
WORK = Path(__file__).parent / ".work"
PROGRAMS = Path(__file__).parent / "peers"

SHOWN = {"fastapi", "starlette", "uvicorn", "uvloop", "httptools", "websockets", "litestar"} | {
    "python-socketio",
    "python-engineio",
    "pydantic",
    "redis",
    "hiredis",
    "django",
    "channels",
    "channels-redis",
}
"""Which packages of a Python environment the results name."""


class InstallError(Exception):
    """A peer that is not there, and why."""


@dataclass(frozen=True)
class Installed:
    """A server that can be started."""

    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def install(peer: Peer) -> Installed:
    """Install a peer, the newest of its packages; raises InstallError."""
    if peer.runtime in ("uvicorn", "python"):
        return _install_from_pypi(peer)
    return _install_from_npm(peer)


def environment(name: str, packages: Sequence[str]) -> Path:
    """The Python of a fresh environment with these packages."""
    folder = WORK / "python" / name
    run("uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
    python = folder / "bin" / "python"
    run("uv", "pip", "install", "--quiet", "--upgrade", "--python", str(python), *packages)
    return python


def versions(python: Path) -> dict[str, str]:
    """What is in a Python environment, as far as it matters here."""
    listed = run("uv", "pip", "list", "--quiet", "--python", str(python), "--format", "json")
    found = {each["name"]: each["version"] for each in json.loads(listed)}
    return {name: version for name, version in found.items() if name in SHOWN}


def run(*command: str, folder: Path = ROOT, **settings: str) -> str:
    """What a command says; raises InstallError with the last that it said if it fails."""
    outer = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    # cookiecutter and uv are beside the Python that runs this.
    outer["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{outer['PATH']}"
    try:
        done = subprocess.run(
            command, cwd=folder, env=outer | settings, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise InstallError(f"there is no {command[0]}") from None
    if done.returncode != 0:
        said = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr or done.stdout).strip().splitlines()
        raise InstallError(f"`{' '.join(command[:3])}` failed: {' '.join(said[-3:])[:300]}")
    return done.stdout


def _install_from_pypi(peer: Peer) -> Installed:
    python = environment(peer.name, peer.packages)
    command = [str(python), str(PROGRAMS / peer.program)]
    if peer.runtime == "uvicorn":
        module = Path(peer.program).stem
        command = [str(python), "-m", "uvicorn", f"{module}:app", "--app-dir", str(PROGRAMS)]
    return Installed(tuple(command), python.parent.parent, versions=versions(python))


def _install_from_npm(peer: Peer) -> Installed:
    folder = WORK / "npm" / peer.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # A module is looked for beside the program, so the program goes where its modules are.
    shutil.copy(PROGRAMS / peer.program, folder)
    (folder / "package.json").write_text('{"private": true}')
    run("npm", "install", "--no-audit", "--no-fund", *peer.packages, folder=folder)
    runtime = "node" if peer.runtime == "node" else str(folder / "node_modules" / ".bin" / "bun")
    found = {name: _npm_version(folder, name) for name in peer.packages}
    if peer.runtime == "node":
        found["node"] = run("node", "--version").strip().removeprefix("v")
    else:
        found["bun"] = run(runtime, "--version").strip()
    return Installed((runtime, peer.program), folder, versions=found)


def _npm_version(folder: Path, package: str) -> str:
    text = (folder / "node_modules" / package / "package.json").read_text(encoding="utf-8")
    return str(json.loads(text)["version"])
