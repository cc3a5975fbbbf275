"""`python -m benchmarks`: install everybody, measure everybody, write down what was seen."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from .catalogue import PEERS, SERVICE, Peer, chosen
from .chart import chart
from .driver.job import Measure
from .durable import running as durable
from .installing import WORK, Installed, InstallError, environment, install
from .machine import allow_descriptors, cores, description
from .nodes import running as nodes
from .plan import FULL, QUICK, Plan
from .readme import README, update
from .record import Record, Server
from .running import Run
from .service import commit, install_service
from .table import markdown

RESULTS = Path(__file__).parent / "results"
NAME = "fan-out"
APART = {"durable": durable, "nodes": nodes}
"""What has tables of its own, and other servers to compare with."""
BUSY = 0.5
"""The load from which others are noticed."""
UNFINISHED = WORK / "unfinished.json"
"""What was seen so far, should a run not come to its end."""


def arguments() -> argparse.Namespace:
    """What is asked for on the command line."""
    names = ", ".join(peer.name for peer in PEERS if peer.name != SERVICE)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peers", default="", help=f"some of {names}; all by default")
    parser.add_argument("--only", default="", help=f"some of {', '.join(get_args(Measure))}")
    parser.add_argument("--rounds", type=int, help="how often everything is measured; 5 by default")
    parser.add_argument("--quick", action="store_true", help="only show that everything works")
    parser.add_argument("--draw", type=Path, metavar="JSON", help="draw a saved run again")
    return parser.parse_args()


def installed(peers: Iterable[Peer], record: Record) -> dict[str, Installed]:
    """Those of the peers that can be had here; the record names the others with the reason."""
    there = {}
    for peer in peers:
        print(f"Installing {peer.name} ...", flush=True)
        try:
            there[peer.name] = found = install(peer)
            server = Server(peer.name, peer.title, peer.ready, dict(found.versions))
        except InstallError as reason:
            print(f"          left out: {reason}")
            server = Server(peer.name, peer.title, peer.ready, missing=str(reason))
        record.servers.append(server)
    return there


def write(record: Record, folder: Path) -> None:
    """The record, its tables and its chart."""
    folder.mkdir(parents=True, exist_ok=True)
    record.save(folder / f"{NAME}.json")
    (folder / f"{NAME}.md").write_text(markdown(record), encoding="utf-8")
    (folder / f"{NAME}.svg").write_text(chart(record), encoding="utf-8")
    if folder == RESULTS:
        update(README, record)
    print(f"\n{markdown(record)}\nWritten to {folder}/{NAME}.json, .md and .svg")


def measure(peers: tuple[Peer, ...], plan: Plan, rounds: int) -> int:
    """A run from beginning to end; the status to end with."""
    begin = time.monotonic()
    record = Record(
        started=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=commit(),
        machine=description(),
        rounds=rounds,
        main=plan.main,
        quick=plan.quick,
        partial=None if peers == PEERS and not plan.only else "not everything was asked for",
    )
    print(f"{record.machine['CPU']}; {record.machine['cores']}", flush=True)
    if os.getloadavg()[0] > BUSY:
        print("Others use this machine now: figures will differ from round to round.", flush=True)
    print("Baking and installing the service ...", flush=True)
    own = install_service()
    record.raised = dict(own.raised)
    first = peers[0]
    record.servers.append(
        Server(first.name, first.title, first.ready, dict(own.installed.versions))
    )
    there = installed(peers[1:], record) | {SERVICE: own.installed}
    run = Run(plan, cores(), _driver(), there, own)
    try:
        run.measure_all([peer for peer in peers if peer.name in there], record, UNFINISHED)
        status = 1 if record.failures else 0
    except KeyboardInterrupt:
        record.partial, status = "it was interrupted", 130
    record.minutes = (time.monotonic() - begin) / 60
    write(record, WORK / "results" if plan.quick or record.partial else RESULTS)
    for sample in record.failures:
        print(f"FAILED: {sample.peer}, {sample.cell}: {sample.failure}", file=sys.stderr)
    return status


def main() -> int:
    """Do what the command line asks for."""
    asked = arguments()
    if asked.draw is not None:
        write(Record.load(asked.draw), asked.draw.parent.resolve())
        return 0
    if not Path("/proc/self/smaps_rollup").exists():
        print("This needs Linux, which tells what a process has cost.", file=sys.stderr)
        return 2
    try:
        peers = chosen(_words(asked.peers))
    except KeyError as unknown:
        print(f"There is no peer {unknown}; there are: {', '.join(p.name for p in PEERS)}")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    allow_descriptors()
    plan = replace(QUICK if asked.quick else FULL, only=tuple(_words(asked.only)))
    rounds = asked.rounds or (1 if asked.quick else 5)
    try:
        only_apart = plan.only and APART.keys() >= set(plan.only)
        status = 0 if only_apart else measure(peers, plan, rounds)
        for name, running in APART.items():
            if name in plan.only or (peers == PEERS and not plan.only):
                status |= not running.measure(_driver(), rounds, quick=asked.quick)
        return status
    except KeyboardInterrupt:
        return 130


def _driver() -> Path:
    return environment("driver", ["uvloop"])


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


if __name__ == "__main__":
    sys.exit(main())
