"""One publishes to many: what it adds that the message is kept first."""

from collections.abc import Iterator
from typing import Literal

from ..catalogue import PEERS
from ..faults.finding import Finding
from ..figures import Figure, quantities
from ..plan import Cell
from ..record import Sample
from ..table import figure, number
from ..targets import LINEAR
from .bench import Bench
from .databases import TITLES, Kind

Mode = Literal["steady", "bursts"]
MODES: dict[Mode, str] = {"steady": "one at a time", "bursts": "in bursts of 100"}
HISTORIES: dict[Kind, str] = {"none": "in memory", **TITLES}
Seen = dict[tuple[Kind, int, Mode], list[float]]
"""µs per delivery, by recipients."""


def measure(bench: Bench) -> Iterator[tuple[str, Finding]]:
    """One finding for all."""
    seen: Seen = {}
    for turn in range(bench.plan.rounds):
        for recipients in bench.plan.recipients:
            cell = Cell("fanout", recipients)
            for kind, name in HISTORIES.items():
                with bench.running(kind, cell) as (port, pid, _):
                    result = bench.drive(bench.plan.deliveries.job(cell, PEERS[0], port, pid))
                got = dict(quantities(Sample(kind, turn, cell, result)))
                for mode in MODES:
                    seen.setdefault((kind, recipients, mode), []).append(got[mode])
                said = ", ".join(f"{name} {number(got[mode])} µs" for mode, name in MODES.items())
                print(f"          {cell}, {name}, round {turn + 1}: {said}", flush=True)
    yield "deliveries", found(bench.plan.recipients, seen)


def found(recipients: tuple[int, int], seen: Seen) -> Finding:
    """What a message adds, and what each of its recipients does."""
    few, many = recipients
    finding = Finding(f"One publishes to {few} and to {many:,}")
    finding.head = [
        *("history", "", f"1 → {few}, µs per delivery", f"1 → {many:,}, µs per delivery"),
        *("a message, µs more than in memory", "a recipient more, µs"),
    ]
    rows = []
    for mode, called in MODES.items():
        usual = _recipient(seen, "none", few, many, mode)
        for kind, name in HISTORIES.items():
            added = Figure.of(
                few * (own - memory)
                for own, memory in zip(seen[kind, few, mode], seen["none", few, mode], strict=True)
            )
            each = _recipient(seen, kind, few, many, mode)
            figures = [Figure.of(seen[kind, count, mode]) for count in recipients]
            columns = [*figures, None if kind == "none" else added, each]
            rows.append([name, called, *(figure(column) for column in columns)])
            if kind != "none":
                says = f"{name}, {called}: a recipient costs at most {LINEAR} times as in memory"
                ratio = each.median / usual.median
                finding.claim(says, f"{number(ratio)} times", ratio <= LINEAR)
    finding.rows = rows
    return finding


def _recipient(seen: Seen, kind: Kind, few: int, many: int, mode: Mode) -> Figure:
    """What one more recipient costs, by the difference between many and few."""
    pairs = zip(seen[kind, few, mode], seen[kind, many, mode], strict=True)
    return Figure.of((many * b - few * a) / (many - few) for a, b in pairs)
