"""One publishes while another node follows many channels: what a publish costs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from ..durable.deliveries import MODES, Mode
from ..faults.finding import Finding
from ..figures import Figure
from ..plan import Cell
from ..table import figure, number
from .bench import Bench, Contender
from .deliveries import Cost, costs_of

FLAT = 1.15
"""How much more it may cost beside channels of another node: what rounds differ by."""

NO_SWEEP = {"APP_SWEEP_SECONDS": "3600"}
"""A node looks now and then where its channels stand: that is owed to time, not to a publish."""

Who = Literal["sender", "redis"]
CALLED: dict[Who, str] = {"sender": "the publisher's node", "redis": "Redis"}
Seen = dict[tuple[int, Mode], list[Cost]]
"""By the number of channels that the other node follows."""


def measure(bench: Bench, contender: Contender) -> Iterator[tuple[str, Finding]]:
    """One finding; one subscriber hears what is published, so that it is known to arrive."""
    seen: Seen = {}
    contender = replace(contender, settings=NO_SWEEP)
    for turn in range(bench.plan.rounds):
        for channels in bench.plan.channels:
            cell = Cell("nodes", 1, channels)
            costs = costs_of(bench.measure(contender, cell, bench.plan.publishes), cell)
            for mode, cost in costs.items():
                seen.setdefault((channels, mode), []).append(cost)
            said = ", ".join(
                f"{name} {number(costs[mode].sender)} µs and {number(costs[mode].redis)} in Redis"
                for mode, name in MODES.items()
            )
            print(f"          {channels:,} channels, round {turn + 1}: {said}", flush=True)
    yield "publishes", found(bench.plan.channels, seen)


def found(channels: Sequence[int], seen: Seen) -> Finding:
    """What a publish costs, and how much of that is owed to channels elsewhere."""
    finding = Finding("One publishes while another node follows many channels")
    alone, *others = channels
    for mode, called in MODES.items():
        for who, name in CALLED.items():
            for many in others:
                pairs = zip(seen[many, mode], seen[alone, mode], strict=True)
                ratio = Figure.of(getattr(a, who) / getattr(b, who) for a, b in pairs)
                says = f"{name}, {called}: beside {many:,} at most {FLAT} times as beside {alone:,}"
                finding.claim(says, f"{figure(ratio)} times", ratio.median <= FLAT)
    names = [f"{called}: {name}, µs" for called in MODES.values() for name in CALLED.values()]
    finding.head = ["channels that the other node follows", *names]
    finding.rows = [
        [
            f"{many:,}",
            *(
                figure(Figure.of(getattr(cost, who) for cost in seen[many, mode]))
                for mode in MODES
                for who in CALLED
            ),
        ]
        for many in channels
    ]
    finding.notes = (
        "CPU per publication; history is in Redis, and one subscriber hears all. The sweep, by"
        " which a node looks every 10 s where its channels stand, is put off."
    )
    return finding
