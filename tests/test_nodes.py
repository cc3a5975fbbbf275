"""The measurements of two nodes count right, notice what is lost, and run."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from benchmarks.catalogue import REDIS_PEERS
from benchmarks.driver.job import Job
from benchmarks.driver.tally import MeasurementError
from benchmarks.driver.work import carry_out
from benchmarks.faults.finding import Finding, load, save
from benchmarks.installing import ROOT, WORK, Installed
from benchmarks.nodes import bench, deliveries, publishes
from benchmarks.nodes.bench import SHORT, Contender
from benchmarks.nodes.deliveries import Cost
from benchmarks.nodes.running import NAME, RESULTS, TITLE
from benchmarks.peers import bare_asyncio
from benchmarks.plan import Cell, Plan

from .test_benchmarks import from_server

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(),
    reason="the benchmark reads what Linux tells of processes: run it on Linux",
)

# The driver, against two nodes in the same process


class Node(bare_asyncio.Chat):
    """`+name` subscribes; anything else is carried to those who did so on the other node."""

    subscribed: ClassVar[list[asyncio.WriteTransport]]
    number: ClassVar[int]
    loses: ClassVar[int] = -1

    def take_frame(self) -> bool:
        """Carry out the first frame of the buffer, if it is there as a whole."""
        buffer = self.buffer
        if len(buffer) < 8:
            return False
        size, start = buffer[1] & 0x7F, 6
        if size == 126:
            size, start = int.from_bytes(buffer[2:4], "big"), 8
        if len(buffer) < start + size:
            return False
        payload, self.buffer = buffer[start : start + size], buffer[start + size :]
        if payload.startswith(b"+"):
            self.subscribed.append(self.transport)
            self.transport.write(from_server(payload))
            return True
        for number, transport in enumerate(self.subscribed):
            if not payload.startswith(b"#%08d" % self.loses) or number != 3:
                transport.write(from_server(payload))
        return True


class Lossy(Node):
    """Loses the message 12 on its way to the fourth subscriber."""

    loses = 12


NODES = {"sound": Node, "other": Node, "lossy": Lossy}


async def measured(kind: type[Node], job: Job) -> Mapping[str, Any]:
    """What the driver sees of two such nodes; nobody subscribes to the first."""
    kind.subscribed = []
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(kind, "127.0.0.1", 0) for _ in range(2)]
    first, last = (server.sockets[0].getsockname()[1] for server in servers)
    beside = {bench.SENDER: os.getpid(), bench.REDIS: os.getpid()}
    try:
        return await carry_out(replace(job, port=last, publishing=first, beside=beside))
    finally:
        for server in servers:
            server.close()
        await asyncio.sleep(0.01)  # connections that were cut take a turn of the loop to end


@dataclass
class Bench:
    """Nodes in this process, in place of those that are installed."""

    plan: bench.Plan = SHORT

    def measure(self, contender: Contender, cell: Cell, load: Plan) -> Mapping[str, Any]:
        """The driver's work, on so little that it takes no time."""
        job = load.job(cell, contender.peer, 0, os.getpid())
        job = replace(job, messages=10, bursts=2, burst=10, pace=0.001, rest=0.01, patience=0.5)
        job = replace(job, dialect="topics", readers=cell.recipients)
        return asyncio.run(measured(NODES[contender.name], job))


def contender(name: str, reference: str | None = None, *, rival: bool = False) -> Contender:
    """One that needs no installing."""
    installed = Installed((), Path())
    return Contender(name, name, REDIS_PEERS[0], installed, reference=reference, rival=rival)


def test_what_one_server_loses_leaves_that_one_without_a_figure() -> None:
    three = [contender("sound"), contender("other", "sound"), contender("lossy", rival=True)]
    measuring = deliveries.measure(Bench(), three, {})  # type: ignore[arg-type]
    _, finding = next(measuring)
    rows = {row[0]: row[1:] for row in finding.rows}
    assert set(rows["lossy"]) == {"-"}
    assert "-" not in rows["other"]
    assert "- lossy has no figure: round 1: " in finding.notes
    assert [said == "no figure" for _, said, _ in finding.claims] == [False, False, True, True]
    assert not any(met for _, said, met in finding.claims if said == "no figure")
    with pytest.raises(MeasurementError, match="no figure for lossy"):
        next(measuring)


def test_what_others_take_is_told_beside() -> None:
    job = Job("nodes", "topics", 0, os.getpid(), recipients=4, messages=5, bursts=1, burst=10)
    result = asyncio.run(measured(Node, replace(job, rest=0.01, patience=0.5)))
    for window in (result["steady"], result["bursts"]):
        assert window["beside"].keys() == {bench.SENDER, bench.REDIS}
        # All of them are this process.
        assert window["beside"][bench.REDIS] == pytest.approx(window["cpu"], rel=0.5)
    assert result["beside"].keys() == {bench.SENDER, bench.REDIS}


# What is made of it


def held(finding: Finding) -> list[bool]:
    """What became of each claim."""
    return [met for _, _, met in finding.claims]


def columns(finding: Finding) -> set[int]:
    """How many each row has, and the head."""
    return {len(finding.head), *(len(row) for row in finding.rows)}


def test_costs_are_what_is_taken_beyond_rest_per_delivery_and_per_publication() -> None:
    window = {"deliveries": 1000, "seconds": 2.0, "cpu": 0.7, "beside": {"sender": 0.5}}
    result = {"idle": 0.1, "beside": {"sender": 0.2}, "steady": window, "bursts": window}
    costs = deliveries.costs_of(result, Cell("nodes", 200))
    assert costs["steady"] == pytest.approx((500, 20_000, 0))


def test_two_nodes_are_judged_beside_one_round_by_round() -> None:
    """By the ratios of rounds: a machine that is slow in one of them is slow for both."""
    three = [contender("one"), contender("own", "one"), contender("rival", rival=True)]
    both = [Cost(1.0), Cost(10.0), Cost(2.0)]
    seen: deliveries.Seen = {
        ("one", "steady"): both,
        ("own", "steady"): [Cost(1.2, 5.0, 7.0), Cost(12.0, 5.0, 7.0), Cost(9.0, 5.0, 7.0)],
        ("rival", "steady"): [Cost(9.1)] * 3,
        ("one", "bursts"): both,
        ("own", "bursts"): [Cost(1.4), Cost(14.0), Cost(2.0)],
        ("rival", "bursts"): [Cost(2.0)] * 3,
    }
    finding = deliveries.found(200, three, seen, {})
    assert held(finding) == [True, False, True, False]
    assert [said for _, said, _ in finding.claims[:2]] == [
        *("1.20 (1.20 to 4.50) times", "1.40 (1.00 to 1.40) times"),
    ]
    assert finding.rows[1][3:5] == ["5.00", "7.00"]
    assert columns(finding) == {9}


def test_who_could_not_be_installed_is_named_and_met_by_nobody() -> None:
    seen: deliveries.Seen = {("one", mode): [Cost(1.0)] for mode in deliveries.MODES}
    finding = deliveries.found(200, [contender("one")], seen, {"Rival": "there is no npm"})
    assert held(finding) == []
    assert "- Rival has no figure: there is no npm" in finding.notes


def test_a_publish_is_judged_beside_channels_elsewhere() -> None:
    usual = [Cost(0.0, 100.0, 20.0)] * 3
    seen: publishes.Seen = {
        **{(0, mode): usual for mode in deliveries.MODES},
        (1000, "steady"): [Cost(0.0, 110.0, 20.0)] * 3,
        (1000, "bursts"): [Cost(0.0, 100.0, 24.0)] * 3,
    }
    finding = publishes.found((0, 1000), seen)
    assert held(finding) == [True, True, True, False]
    assert columns(finding) == {5}


# What is asked for


def test_a_quick_run_measures_everybody_on_a_real_redis() -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "nodes", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = load(WORK / "results", NAME)
    assert found.keys() == {"deliveries", "publishes"}
    assert not [
        says for each in found.values() for says, said, _ in each.claims if said == "no figure"
    ]
    assert all(each.about["quick"].startswith("yes") for each in found.values())


def test_the_tables_are_those_of_the_figures_that_are_kept(tmp_path: Path) -> None:
    save(tmp_path, kept := load(RESULTS, NAME), NAME, TITLE)
    assert kept
    assert all(each.about["quick"] == "no" for each in kept.values())
    text = (tmp_path / f"{NAME}.md").read_text("utf-8")
    assert text == (RESULTS / f"{NAME}.md").read_text("utf-8")
