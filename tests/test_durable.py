"""The measurements of durable history count right, notice what is wrong, and run."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import service
from benchmarks.driver.job import Job
from benchmarks.driver.tally import MeasurementError
from benchmarks.driver.work import carry_out
from benchmarks.durable import deliveries, lengths, publishes
from benchmarks.durable.databases import TITLES
from benchmarks.durable.running import NAME, RESULTS, TITLE
from benchmarks.faults.finding import Finding, load, save
from benchmarks.installing import PROGRAMS, ROOT, WORK
from benchmarks.peers import bare_asyncio

from .test_benchmarks import from_server

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(),
    reason="the benchmark reads what Linux tells of processes: run it on Linux",
)

# The driver, against a server in the same process


class Store(bare_asyncio.Chat):
    """Welcomes everybody, and gives each publication its place in its channel."""

    offsets: dict[str, int]
    keys: list[str]

    def accept(self, request: bytes) -> None:
        """Be ready at once."""
        super().accept(request)
        self.transport.write(from_server(b'{"type":"welcome"}'))

    def take_frame(self) -> bool:
        """Reply to the first frame of the buffer, if it is there as a whole."""
        buffer, transport = self.buffer, self.transport
        size = int.from_bytes(buffer[2:4], "big")
        if len(buffer) < 8 or len(buffer) < 8 + size:
            return False
        self.buffer = buffer[8 + size :]
        wanted = json.loads(buffer[8 : 8 + size])
        self.keys.append(wanted["key"])
        transport.write(from_server(json.dumps(self.reply(wanted["channel"])).encode()))
        return True

    def reply(self, channel: str) -> dict[str, object]:
        """Where it stands."""
        self.offsets[channel] = offset = self.offsets.get(channel, 0) + 1
        return {"type": "ok", "offset": offset, "duplicate": False}


class Forgetful(Store):
    """Gives one place twice."""

    def reply(self, channel: str) -> dict[str, object]:
        """One less, once."""
        self.offsets[channel] = self.offsets.get(channel, 0) - (len(self.keys) == 20)
        return super().reply(channel)


class Confused(Store):
    """Takes one new key for a known one."""

    def reply(self, channel: str) -> dict[str, object]:
        """A duplicate, once."""
        return super().reply(channel) | {"duplicate": len(self.keys) == 20}


def drive(kind: type[Store], channels: int) -> Mapping[str, Any]:
    """What four publishers see of such a server."""
    kind.offsets, kind.keys = {}, []

    async def measured() -> Mapping[str, Any]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(kind, "127.0.0.1", 0)
        try:
            port = server.sockets[0].getsockname()[1]
            job = Job("durable", "service", port, os.getpid(), recipients=4, messages=10)
            return await carry_out(replace(job, channels=channels, rest=0.01, patience=0.5))
        finally:
            server.close()
            await asyncio.sleep(0.01)  # connections that were cut take a turn of the loop to end

    return asyncio.run(measured())


@pytest.mark.parametrize("channels", [1, 4])
def test_each_publisher_publishes_with_a_key_of_its_own(channels: int) -> None:
    result = drive(Store, channels)
    published = 4 * (10 + 2)  # a fifth more to warm up
    assert result["publishes"] == 40
    assert result["cpu"] > 0
    assert len(set(Store.keys)) == published
    assert list(Store.offsets.values()) == [published // channels] * channels


def test_a_place_that_is_given_twice_is_noticed() -> None:
    with pytest.raises(MeasurementError, match="do not rise by one"):
        drive(Forgetful, 1)


def test_a_key_that_is_taken_for_another_is_noticed() -> None:
    with pytest.raises(MeasurementError, match="taken for a known one"):
        drive(Confused, 1)


# What is made of it


def held(finding: Finding) -> list[bool]:
    """What became of each claim."""
    return [met for _, _, met in finding.claims]


def columns(finding: Finding) -> set[int]:
    """How many each row has, and the head."""
    return {len(finding.head), *(len(row) for row in finding.rows)}


def test_a_publish_costs_what_is_taken_beyond_rest() -> None:
    result = {"idle": 0.1, "publishes": 1000, "seconds": 2.0, "cpu": 0.7, "database": 0.3}
    assert publishes.per_publish(result) == pytest.approx((500, 300, 500))


def test_sharing_a_transaction_is_judged_round_by_round() -> None:
    """By the ratios of rounds: a machine that is slow in one of them is slow for both."""
    own = [(20.0, 1.0, 9.0), (200.0, 1.0, 9.0), (30.0, 1.0, 9.0)]
    single = [(190.0, 1.0, 9.0), (1900.0, 1.0, 9.0), (600.0, 1.0, 9.0)]
    session = [(cpu * 2, server, rate) for cpu, server, rate in single]
    ways = {publishes.AS_IT_IS: own, publishes.SINGLE: single, publishes.SESSION: session}
    seen = {(way, channels): each for way, each in ways.items() for channels in (1, 50)}
    memory = [(cpu / 2, server, rate) for cpu, server, rate in own]
    floor = {(publishes.MEMORY, channels): memory for channels in (1, 50)}
    finding = publishes.found("A database", 50, seen, floor)
    assert held(finding) == [True, True, False, False, True, True]
    assert {said for _, said, _ in finding.claims} == {
        *("19.0 (19.0 to 40.0) times", "9.50 (9.50 to 20.0) times", "18.0 (18.0 to 39.0) times"),
    }
    assert columns(finding) == {7}


def test_what_a_message_adds_is_told_from_what_its_recipients_add() -> None:
    """In memory 1 µs and 2 for each; here 10 µs more for each message, there 10 for each."""
    costs = {"none": (1, 2), "sqlite": (11, 2), "postgresql": (1, 12)}
    seen = {
        (kind, count, mode): [(message + each * count) / count]
        for kind, (message, each) in costs.items()
        for count in (200, 1000)
        for mode in deliveries.MODES
    }
    finding = deliveries.found((200, 1000), seen)  # type: ignore[arg-type]
    assert held(finding) == [True, False] * 2
    assert [row[-2:] for row in finding.rows[:3]] == [
        *(["-", "2.00"], ["10.0", "2.00"], ["2,000", "12.0"]),
    ]
    assert columns(finding) == {6}


def test_a_long_channel_is_judged_beside_a_short_one() -> None:
    acts = {
        "flat": {"1000": [3e-4, 1e-4, 1.0], "5000": [3.5e-4, 1e-4, 2.0]},
        "steep": {"1000": [3e-4, 1e-4, 1.0], "5000": [3e-4, 3e-4, 1.0]},
    }
    prune = {"steps": [[0.004, 0.003, 0.03]] * 3, "waits": [0.004, 0.005, 0.009]}
    seen = {"acts": acts, "prune": prune, "scans": [], "seconds": 1.0}
    finding = lengths.found("A database", 5000, seen)
    assert held(finding) == [True, False, True, True]
    assert columns(finding) == {9}
    assert "each took 5.00 ms, the longest 9.00" in finding.notes
    worse = seen | {"scans": ["SELECT: SCAN"], "prune": prune | {"steps": [[0.01, 0.01, 0.03]]}}
    assert held(lengths.found("A database", 5000, worse)) == [True, False, False, False]


# What is asked for


def test_history_is_in_memory_unless_a_database_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever the default answer is."""
    said: list[tuple[str, ...]] = []
    monkeypatch.setattr(service, "WORK", tmp_path)
    monkeypatch.setattr(service, "run", lambda *command, **_: said.append(command) or "")
    monkeypatch.setattr(service, "versions", lambda _: {})
    monkeypatch.setattr(service, "raised_in", lambda _: {})
    for answer in ("none", *TITLES):
        folder = service.install_service(*([] if answer == "none" else [answer])).installed.folder
        assert f"persistence={answer}" in said[-2]
        assert answer in folder.parts


def test_each_way_has_a_program_and_stands_in_the_readme() -> None:
    readme = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    for program in filter(None, publishes.WAYS):
        assert (PROGRAMS / program).is_file()
        assert program in readme


def test_a_quick_run_measures_everything_on_real_databases() -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "durable", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = load(WORK / "results", NAME)
    assert found.keys() == {
        "deliveries",
        *(f"{what}-{kind}" for what in ("publishes", "lengths") for kind in TITLES),
    }
    for kind in TITLES:
        says = {says: met for says, _, met in found[f"lengths-{kind}"].claims}
        assert says["no statement reads all publications"]
    assert all(each.about["quick"].startswith("yes") for each in found.values())


def test_the_tables_are_those_of_the_figures_that_are_kept(tmp_path: Path) -> None:
    save(tmp_path, kept := load(RESULTS, NAME), NAME, TITLE)
    assert kept
    assert all(each.about["quick"] == "no" for each in kept.values())
    text = (tmp_path / f"{NAME}.md").read_text("utf-8")
    assert text == (RESULTS / f"{NAME}.md").read_text("utf-8")
