"""Measures durable history on every database, and keeps what was found."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from ..installing import WORK
from ..keeping import RESULTS, keep
from ..machine import cores
from ..service import commit, install_service
from . import deliveries, lengths, publishes
from .bench import SHORT, Bench, Plan
from .databases import TITLES

NAME, TITLE = "durable", "Durable history, measured"


def measure(driver: Path, rounds: int, *, quick: bool) -> bool:
    """Everything, by this driver; whether all of it could be measured."""
    plan = SHORT if quick else replace(Plan(), rounds=rounds)
    print("Baking and installing the service with each database ...", flush=True)
    about = {
        "commit": commit(),
        "cores": f"{cores()}, and the database's server there too",
        "rounds": plan.rounds,
        "quick": "yes, these are no figures" if quick else "no",
    }
    services = {kind: install_service(kind) for kind in ("none", *TITLES)}
    bench = Bench(plan, services, driver, cores())
    measures = {
        str(each.__doc__): partial(each.measure, bench) for each in (publishes, deliveries, lengths)
    }
    return keep(measures, about, WORK / "results" if quick else RESULTS, NAME, TITLE)
