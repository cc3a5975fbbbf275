"""Measures the service and others on two nodes, and keeps what was found."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..catalogue import PEERS, REDIS_PEERS
from ..installing import WORK, InstallError, install
from ..keeping import RESULTS, keep
from ..machine import cores
from ..service import Service, commit, install_service
from . import deliveries, publishes
from .bench import SHORT, Bench, Contender, Plan

NAME, TITLE = "nodes", "Two nodes on one Redis, measured"
RIVALS = ("socketio-redis", "channels-redis")
"""Those that have to cost more."""


def measure(driver: Path, rounds: int, *, quick: bool) -> bool:
    """Everything, by this driver; whether all of it could be measured."""
    plan = SHORT if quick else replace(Plan(), rounds=rounds)
    print("Baking and installing the service with each broker, and its peers ...", flush=True)
    about: dict[str, object] = {
        "commit": commit(),
        "cores": f"{cores()}; the publisher's node and Redis are on the driver's",
        "rounds": plan.rounds,
        "quick": "yes, these are no figures" if quick else "no",
    }
    carried = install_service("none", "redis")
    ours = list(_ours(install_service(), install_service("sqlite", "redis"), carried))
    missing: dict[str, str] = {}
    others = list(_others(missing))
    for name, each in [("the service", ours[-1]), *((other.title, other) for other in others)]:
        about[name] = ", ".join(f"{n} {v}" for n, v in each.installed.versions.items())
    bench = Bench(plan, carried, driver, cores())
    kept = next(each for each in ours if each.name == "redis")
    measures = {
        str(deliveries.__doc__): partial(deliveries.measure, bench, [*ours, *others], missing),
        str(publishes.__doc__): partial(publishes.measure, bench, kept),
    }
    return keep(measures, about, WORK / "results" if quick else RESULTS, NAME, TITLE)


def _ours(memory: Service, sqlite: Service, redis: Service) -> Iterator[Contender]:
    """The service on one node, and on two with each kind of history."""

    def own(name: str, title: str, service: Service, dialect: str = "service") -> Contender:
        return Contender(
            name, title, replace(PEERS[0], dialect=dialect), service.installed, service
        )

    yield replace(own("memory", "on one node, history in memory", memory), nodes=1)
    loose = own("memory-ephemeral", "on one node, nothing kept", memory, "ephemeral")
    yield replace(loose, nodes=1)
    kept = own("sqlite", "on two, history in SQLite", sqlite)
    yield replace(kept, persistence="sqlite", reference="memory")
    yield replace(own("redis", "on two, history in Redis", redis), reference="memory")
    loose = own("ephemeral", "on two, nothing kept", redis, "ephemeral")
    yield replace(loose, reference="memory-ephemeral")


def _others(missing: dict[str, str]) -> Iterator[Contender]:
    """Those of the peers that can be had here; why not the others."""
    for peer in REDIS_PEERS:
        try:
            found = install(peer)
        except InstallError as reason:
            missing[peer.title] = f"not installed: {reason}"
            print(f"          {peer.name} is left out: {reason}", flush=True)
        else:
            yield Contender(peer.name, peer.title, peer, found, rival=peer.name in RIVALS)
