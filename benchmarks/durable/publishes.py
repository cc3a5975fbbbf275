"""Many publish at once: what one publish costs, sharing a transaction with others and alone."""

from collections.abc import Iterable, Iterator
from typing import Any

from ..driver.job import Job
from ..faults.finding import Finding
from ..figures import Figure
from ..plan import Cell
from ..table import figure, number
from .bench import Bench
from .databases import TITLES, Kind

TIMES = 10
"""How much less a publish has to cost than with a transaction of its own."""
AS_IT_IS, SINGLE, SESSION = "", "one_per_transaction.py", "session_per_message.py"
WAYS = {
    AS_IT_IS: "the service as it is",
    SINGLE: "a transaction for each, the same statements",
    SESSION: "a transaction for each, by a session of the ORM",
}
"""The programs, and what they are."""
MEMORY = "history in memory"

Sample = tuple[float, float, float]
"""µs of CPU per publish, the same of the database's server, publishes per second."""
Seen = dict[tuple[str, int], list[Sample]]


def measure(bench: Bench) -> Iterator[tuple[str, Finding]]:
    """A finding for each database."""
    publishers = bench.plan.publishers
    cells = [Cell("durable", publishers, channels) for channels in (1, publishers)]
    floor: Seen = {}
    seen: dict[Kind, Seen] = {kind: {} for kind in TITLES}
    for turn in range(bench.plan.rounds):
        for cell in cells:
            key = (MEMORY, cell.channels)
            floor.setdefault(key, []).append(_sample(bench, "none", cell, AS_IT_IS))
            for kind in TITLES:
                for program in WAYS:
                    sample = _sample(bench, kind, cell, program)
                    seen[kind].setdefault((program, cell.channels), []).append(sample)
                    said = f"{WAYS[program]}, {cell.channels} channels, round {turn + 1}"
                    cpu, server, rate = (number(value) for value in sample)
                    print(
                        f"          {TITLES[kind]}: {said}: {cpu} µs, {server} µs in the server of"
                        f" the database, {rate}/s",
                        flush=True,
                    )
    for kind, title in TITLES.items():
        yield f"publishes-{kind}", found(title, publishers, seen[kind], floor)


def _sample(bench: Bench, kind: Kind, cell: Cell, program: str) -> Sample:
    messages = bench.plan.messages if program == AS_IT_IS else bench.plan.messages // 5
    with bench.running(kind, cell, program) as (port, pid, place):
        job = Job(
            measure="durable",
            dialect="service",
            port=port,
            pid=pid,
            database=place.pid,
            recipients=cell.recipients,
            messages=messages,
            patience=120.0,
            channels=cell.channels,
            rest=bench.plan.deliveries.rest,
        )
        return per_publish(bench.drive(job))


def per_publish(result: dict[str, Any]) -> Sample:
    """What one publish cost."""
    publishes = result["publishes"]
    own = result["cpu"] - result["idle"] * result["seconds"]
    return (
        own / publishes * 1e6,
        result["database"] / publishes * 1e6,
        publishes / result["seconds"],
    )


def found(title: str, publishers: int, seen: Seen, floor: Seen) -> Finding:
    """The figures of one database, and how much less the service takes as it is."""
    finding = Finding(f"{publishers} publish at once: {title}")
    places = {1: "in one channel", publishers: f"in {publishers} channels"}
    for program in (SESSION, SINGLE):
        for channels, where in places.items():
            ratio = _ratio(seen[program, channels], seen[AS_IT_IS, channels])
            says = f"≥ {TIMES} times less than {WAYS[program]}; {where}"
            finding.claim(says, f"{figure(ratio)} times", ratio.median >= TIMES)
    for channels, where in places.items():
        memory = floor[MEMORY, channels]
        alone, shared = (_beyond(seen[each, channels], memory) for each in (SINGLE, AS_IT_IS))
        ratio = _ratio(alone, shared)
        says = f"≥ {TIMES} times less than {WAYS[SINGLE]}, beyond what it costs in memory; {where}"
        finding.claim(says, f"{figure(ratio)} times", ratio.median >= TIMES)
    columns = ("CPU per publish, µs", "the database's server, µs", "publishes per second")
    finding.head = ["history", *(f"{where}: {c}" for where in places.values() for c in columns)]
    rows = [(MEMORY, floor, MEMORY), *((name, seen, program) for program, name in WAYS.items())]
    finding.rows = [
        [name, *(f for channels in places for f in _figures(which[key, channels]))]
        for name, which, key in rows
    ]
    return finding


def _ratio(more: Iterable[Sample], less: Iterable[Sample]) -> Figure:
    """How many times as much CPU, round by round."""
    return Figure.of(a[0] / b[0] for a, b in zip(more, less, strict=True))


def _beyond(samples: Iterable[Sample], floor: Iterable[Sample]) -> list[Sample]:
    """What of it is history's own: the rest is the protocol's, whatever keeps history."""
    return [(a[0] - b[0], a[1], a[2]) for a, b in zip(samples, floor, strict=True)]


def _figures(samples: Iterable[Sample]) -> list[str]:
    return [figure(Figure.of(column)) for column in zip(*samples, strict=True)]
