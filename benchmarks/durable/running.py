"""Measures durable history on every database, and keeps what was found."""

import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ..driver.tally import MeasurementError
from ..faults.finding import load, save
from ..installing import WORK, InstallError
from ..machine import cores, description
from ..service import commit, install_service
from . import deliveries, lengths, publishes
from .bench import SHORT, Bench, Plan
from .databases import TITLES

RESULTS = Path(__file__).parent.parent / "results"
NAME, TITLE = "durable", "Durable history, measured"


def measure(driver: Path, rounds: int, *, quick: bool) -> bool:
    """Everything, by this driver; whether all of it could be measured."""
    plan = SHORT if quick else replace(Plan(), rounds=rounds)
    folder = WORK / "results" if quick else RESULTS
    findings, complete = load(folder, NAME), True
    print("Baking and installing the service with each database ...", flush=True)
    baked_at = commit()
    services = {kind: install_service(kind) for kind in ("none", *TITLES)}
    bench = Bench(plan, services, driver, cores())
    for module in (publishes, deliveries, lengths):
        print(f"{module.__doc__}", flush=True)
        begin, machine = time.monotonic(), description()
        try:
            for name, found in module.measure(bench):
                found.about = _about(baked_at, begin, machine, plan)
                findings[name] = found
                print(f"\n{found.markdown()}\n", flush=True)
                save(folder, findings, NAME, TITLE)
        except (MeasurementError, InstallError) as reason:
            print(f"FAILED: {module.__doc__} {reason}", file=sys.stderr)
            complete = False
    print(f"Written to {folder}/{NAME}.json and .md")
    return complete


def _about(baked_at: str, begin: float, machine: dict[str, str], plan: Plan) -> dict[str, object]:
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": baked_at,
        "CPU": machine["CPU"],
        "cores": f"{machine['cores']}, and the database's server there too",
        "load before": machine["load before the run"],
        "rounds": plan.rounds,
        "seconds": f"{time.monotonic() - begin:.0f}",
        "quick": "yes, these are no figures" if plan is SHORT else "no",
    }
