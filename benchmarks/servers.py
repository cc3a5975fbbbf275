"""Starts one server at a time, on its core, and ends it again."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .driver.connection import HOST
from .driver.tally import MeasurementError
from .machine import pinned

START_SECONDS = 30.0
STOP_SECONDS = 10.0


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    port: int,
    log: Path,
    core: int | None,
) -> Iterator[int]:
    """A server that accepts connections; its process id. Raises MeasurementError if it does not."""
    with started(command, folder, environment, port, log, core) as process:
        yield process.pid
        if process.poll() is not None:
            raise MeasurementError(f"the server ended; it said last: {_tail(log)!r}")


@contextmanager
def started(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    port: int,
    log: Path,
    core: int | None,
) -> Iterator[subprocess.Popen[bytes]]:
    """The same as its process, which may end while it is used."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output, pinned(core):
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=inherited() | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, port)
        yield process
    except MeasurementError as failure:
        raise MeasurementError(f"{failure}; the server said last: {_tail(log)!r}") from None
    finally:
        _stop(process)


def _tail(log: Path) -> str:
    return " ".join(log.read_text(errors="replace").split())[-300:]


def inherited() -> dict[str, str]:
    """The environment without what would set up the service, or Python, in another way."""
    foreign = ("APP_", "PYTHON", "UVICORN_", "VIRTUAL_ENV", "NODE_", "WEB_CONCURRENCY")
    return {key: value for key, value in os.environ.items() if not key.startswith(foreign)}


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise MeasurementError("the server did not start")
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.05)
    raise MeasurementError(f"nobody listens after {START_SECONDS:g} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever it started; they are a session of their own."""
    process.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
