"""The servers that a project starts for itself end with it, and keep its data."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from time import monotonic, sleep
from types import ModuleType
from urllib.request import Request, urlopen

import pytest

from .baking import ENVIRONMENT, Project, run
from .conftest import Bake

PATIENCE = 30.0
SETTINGS = {"APP_API_KEY": "demo", "APP_PORT": "0", "PYTHONPATH": "src", "PATH": os.defpath}
"""No server is on this PATH, unless the system has one there: then it comes from its wheel."""


@pytest.fixture
def project(fresh: Bake) -> Project:
    return fresh(persistence="postgresql")


def until(what: str, holds: object) -> None:
    """Wait for something to come true."""
    end = monotonic() + PATIENCE
    while not holds():
        assert monotonic() < end, what
        sleep(0.01)


class Running:
    """`dev/run.py` in a session of its own, as a terminal starts it."""

    def __init__(self, project: Project, tools: Path) -> None:
        self._log = project.path / "log"
        self.status = project.path / ".services/postgresql/data/postmaster.pid"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [tools / "python", "dev/run.py"],
                cwd=project.path,
                env={**ENVIRONMENT, **SETTINGS},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    def address(self) -> str:
        """Where the service listens, as soon as it does."""
        pattern = r"running on (http://127\.0\.0\.1:[1-9]\d*)"
        until(self.said, lambda: re.search(pattern, self.said) or self.process.poll() is not None)
        found = re.search(pattern, self.said)
        assert found, self.said
        return found[1]

    def server(self) -> int:
        """The process of the database's server."""
        return int(self.status.read_text().splitlines()[0])


@contextmanager
def running(project: Project, tools: Path) -> Iterator[Running]:
    running = Running(project, tools)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.terminate()
            running.process.wait(PATIENCE)


def alive(pid: int) -> bool:
    """Whether a process is there; one that only waits to be noticed is not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def within(folder: Path) -> list[int]:
    """The processes that work in a folder."""
    return [pid for pid in processes() if alive(pid) and folder in where(pid).parents]


def processes() -> list[int]:
    """All there are."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def where(pid: int) -> Path:
    """The folder in which a process works."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return Path("/")


def messages(address: str, text: str = "") -> list[str]:
    """What was said in the lobby, and says something there."""
    url = f"{address}/api/channels/chat:lobby/messages"
    headers = {"X-API-Key": "demo", "Content-Type": "application/json"}
    if text:
        data = json.dumps({"data": {"text": text}}).encode()
        urlopen(Request(url, data, headers), timeout=10).close()
    with urlopen(Request(url, headers=headers), timeout=10) as answer:
        return [message["data"]["text"] for message in json.load(answer)["messages"]]


def end(how: str, process: subprocess.Popen[bytes]) -> None:
    """As a terminal does it, to all that it started; or as a program, to the one that it knows."""
    name, _, whom = how.partition(" ")
    kill = os.killpg if whom == "to all" else os.kill
    kill(process.pid, signal.Signals[name])


ENDS = ("SIGINT to all", "SIGTERM to one", "SIGTERM to all", "SIGHUP to all")


@pytest.mark.parametrize("how", ENDS)
def test_its_server_ends_after_it_and_keeps_its_data(
    how: str, project: Project, tools: Path
) -> None:
    with running(project, tools) as first:
        assert messages(first.address(), "hello") == ["hello"]
        server = first.server()
        assert alive(server)
        end(how, first.process)
        first.process.wait(PATIENCE)
        assert not alive(server)
        assert "Traceback" not in first.said
        assert "postgresql of its own: postgresql://" in first.said
    with running(project, tools) as second:
        assert messages(second.address()) == ["hello"]


@pytest.mark.parametrize(("how", "stage"), list(zip(ENDS, ["*/data/base", "log"] * 2, strict=True)))
def test_nothing_stays_of_what_is_ended_while_it_starts(
    how: str, stage: str, project: Project, tools: Path
) -> None:
    with running(project, tools) as first:
        until(stage, lambda: list((project.path / ".services/postgresql").glob(stage)))
        end(how, first.process)
        first.process.wait(PATIENCE)
        until("the end of all", lambda: not within(project.path))
        assert "Traceback" not in first.said
    with running(project, tools) as second:
        assert messages(second.address(), "hello") == ["hello"]


def test_what_was_killed_is_found_again(project: Project, tools: Path) -> None:
    with running(project, tools) as first:
        messages(first.address(), "hello")
        server = first.server()
        os.kill(server, signal.SIGKILL)
    assert first.status.exists(), "of the server that was killed"
    with running(project, tools) as second:
        assert messages(second.address()) == ["hello"]


def test_a_command_uses_the_server_that_runs_and_leaves_it(project: Project, tools: Path) -> None:
    with running(project, tools) as first:
        messages(first.address(), "hello")
        server = first.server()
        command = [tools / "python", "dev/run.py", "migrate"]
        said = run(*command, cwd=project.path, **SETTINGS).stdout
        assert "the newest is 0001" in said
        assert first.server() == server
        assert messages(first.address()) == ["hello"]


def test_a_server_that_is_named_is_not_replaced(project: Project, tools: Path) -> None:
    (project.path / ".env").write_text("APP_DATABASE_URL = mysql://elsewhere\n")
    command = [tools / "python", "dev/run.py"]
    done = run(*command, cwd=project.path, fails=True, **SETTINGS)
    assert "APP_DATABASE_URL is no address of PostgreSQL" in done.stderr
    assert not (project.path / ".services").exists()


@pytest.fixture
def service(project: Project) -> ModuleType:
    """The module that starts the server."""
    spec = spec_from_file_location("service", project.path / "dev/services/postgresql.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("unshare", ["exit 1", None], ids=["not permitted", "not there"])
def test_root_that_can_look_like_nobody_else_is_told(
    unshare: str | None, service: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if unshare:
        (tmp_path / "unshare").write_text(f"#!/bin/sh\n{unshare}\n")
        (tmp_path / "unshare").chmod(0o755)
    (tmp_path / "postgres").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(service.os, "geteuid", lambda: 0)
    with pytest.raises(RuntimeError, match="be one, or name a server in APP_DATABASE_URL"):
        service.start(tmp_path).__enter__()


def test_where_there_is_no_server_it_says_where_to_get_one(
    project: Project, tmp_path: Path
) -> None:
    command = [sys.executable, project.path / "dev/run.py"]
    done = run(*command, cwd=tmp_path, fails=True, PATH=str(tmp_path))
    assert done.stderr == "PostgreSQL is not installed: put it on the PATH, or run uv sync.\n"
