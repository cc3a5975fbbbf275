"""Drives all servers one after another, round by round, and keeps what was seen."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .catalogue import SERVICE, Peer
from .driver.job import Job
from .driver.tally import MeasurementError
from .figures import quantities
from .installing import ROOT, WORK, Installed
from .machine import Cores, pinned
from .plan import Cell, Plan
from .progress import Progress
from .record import Record, Sample
from .servers import free_port, serving
from .service import Service
from .table import number

MOST_SECONDS = 600.0
"""How long one measurement may take."""

UNITS = {"memory": "KiB", "bytes": "bytes", "idle": "ms/s at rest"}


@dataclass(frozen=True)
class Run:
    """Everything that a measurement needs beside itself."""

    plan: Plan
    cores: Cores
    driver: Path
    """The Python that drives."""
    installed: Mapping[str, Installed]
    service: Service

    def measure_all(self, peers: Sequence[Peer], record: Record, keep: Path) -> None:
        """Every cell of every peer, once per round: what drifts meanwhile touches all alike.

        What was seen so far is in the file `keep`.
        """
        steps = [
            (turn, peer, cell)
            for turn in range(1, record.rounds + 1)
            for peer in peers
            for cell in self.plan.cells(peer)
        ]
        progress = Progress([self.plan.seconds(cell) for _, _, cell in steps])
        for turn, peer, cell in steps:
            progress.begin(f"{peer.name}: {cell}, round {turn} of {record.rounds}")
            begin = time.monotonic()
            sample = self._sample(peer, cell, turn)
            record.samples.append(sample)
            record.save(keep)
            progress.end(summary(sample), time.monotonic() - begin)

    def _sample(self, peer: Peer, cell: Cell, turn: int) -> Sample:
        try:
            return Sample(peer.name, turn, cell, result=self._measure(peer, cell))
        except MeasurementError as failure:
            return Sample(peer.name, turn, cell, failure=str(failure))

    def _measure(self, peer: Peer, cell: Cell) -> dict[str, object]:
        """The result of a cell on a server of its own."""
        port, installed = free_port(), self.installed[peer.name]
        environment, command = {"PORT": str(port)}, list(installed.command)
        if peer.name == SERVICE:
            environment = self.service.environment(cell, port)
        elif peer.runtime == "uvicorn":
            command += ["--port", str(port)]
        log = WORK / "logs" / f"{peer.name}.log"
        place = (installed.folder, environment, port, log, self.cores.server)
        with serving(command, *place) as pid:
            return drive(self.plan.job(cell, peer, port, pid), self.driver, self.cores)


def drive(job: Job, driver: Path, cores: Cores) -> dict[str, object]:
    """What a driver of its own says about a job."""
    with pinned(cores.driver):
        process = subprocess.Popen(
            [str(driver), "-m", "benchmarks.driver"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        said, trouble = process.communicate(job.to_json(), MOST_SECONDS)
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"not done after {MOST_SECONDS:g} s") from None
    finally:
        process.kill()
        process.wait()
    if process.returncode != 0:
        raise MeasurementError(f"the driver failed: {' '.join(trouble.split())[-300:]}")
    answer = json.loads(said)
    if "failure" in answer:
        raise MeasurementError(answer["failure"])
    result: dict[str, object] = answer["result"]
    return result


def summary(sample: Sample) -> str:
    """One line about one sample."""
    if sample.failure is not None:
        return f"FAILED: {sample.failure}"
    seen = quantities(sample)
    return ", ".join(f"{name} {number(value)} {UNITS.get(name, 'µs')}" for name, value in seen)
