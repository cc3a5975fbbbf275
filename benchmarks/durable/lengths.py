"""A channel of a million messages beside one of a thousand: `depth.py`, and what it says."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from ..driver.tally import MeasurementError
from ..faults.finding import Finding
from ..installing import ROOT
from ..machine import pinned
from ..servers import inherited
from ..table import number
from ..targets import LINEAR
from .bench import Bench
from .databases import TITLES, Kind, database

PROGRAM = Path(__file__).with_name("depth.py")
SHORT = 1000
STEP_MILLISECONDS = 10.0
"""For a step of retention, for which others wait who publish there."""


def measure(bench: Bench) -> Iterator[tuple[str, Finding]]:
    """A finding for each database."""
    for kind, title in TITLES.items():
        yield f"lengths-{kind}", found(title, bench.plan.long, _seen(bench, kind))


def _seen(bench: Bench, kind: Kind) -> dict[str, Any]:
    plan, service = bench.plan, bench.services[kind]
    with database(kind, service, bench.cores.driver) as place, pinned(bench.cores.server):
        wanted = {"short": SHORT, "long": plan.long, "turns": plan.turns, "steps": plan.steps}
        done = subprocess.run(
            [
                service.installed.command[0],
                str(PROGRAM),
                json.dumps(wanted | {"server": place.pid}),
            ],
            cwd=service.installed.folder,
            env=inherited() | place.settings | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise MeasurementError(f"depth.py failed: {' '.join(done.stderr.split())[-300:]}")
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def found(title: str, long: int, seen: dict[str, Any]) -> Finding:
    """Each act on the long channel beside the short one, and how long retention takes."""
    finding = Finding(f"A channel of {long:,} beside one of {SHORT:,}: {title}")
    finding.head = [
        *("what", f"of {SHORT:,}: CPU, µs", "the database's server, µs", "on the wall, µs"),
        *(f"of {long:,}: CPU, µs", "the database's server, µs", "on the wall, µs"),
        *("times the CPU of both", "times as long"),
    ]
    rows = []
    for act, by_length in seen["acts"].items():
        short, much = by_length[str(SHORT)], by_length[str(long)]
        cpu, wall = (much[0] + much[1]) / (short[0] + short[1]), much[2] / short[2]
        figures = [number(value * 1e6) for value in (*short, *much)]
        rows.append([act, *figures, number(cpu), number(wall)])
        finding.claim(
            f"{act}: at most {LINEAR} times the CPU", f"{number(cpu)} times", cpu <= LINEAR
        )
    finding.rows = rows
    finding.claim(
        "no statement reads all publications", "; ".join(seen["scans"]) or "none", not seen["scans"]
    )
    steps = zip(*seen["prune"]["steps"], strict=True)
    cpu, server, wall = (median(column) * 1e3 for column in steps)
    says = f"a step of retention: at most {STEP_MILLISECONDS:g} ms of CPU"
    finding.claim(says, f"{number(cpu + server)} ms", cpu + server <= STEP_MILLISECONDS)
    waits = [value * 1e3 for value in seen["prune"]["waits"]]
    finding.notes = (
        f"A step of retention took {number(wall)} ms. Somebody published there meanwhile, one"
        f" message after another: each took {number(median(waits))} ms,"
        f" the longest {number(max(waits))}. To fill both channels took {seen['seconds']:.0f} s."
    )
    return finding
