"""One publishes on one node to many on another: what a delivery costs there."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from ..driver.tally import MeasurementError
from ..durable.deliveries import MODES, Mode
from ..faults.finding import Finding
from ..figures import Figure
from ..plan import Cell
from ..table import figure, number
from .bench import REDIS, SENDER, Bench, Contender

TIMES = 1.3
"""How much more a delivery may cost than where publisher and recipients are on one node."""

NONE = "no figure"


class Cost(NamedTuple):
    """CPU in µs."""

    delivery: float
    """Of the node with the recipients, per delivery."""
    sender: float = 0.0
    """Of the node with the publisher, per publication."""
    redis: float = 0.0


Seen = dict[tuple[str, Mode], list[Cost]]
"""By contender."""


def measure(
    bench: Bench, contenders: Sequence[Contender], missing: Mapping[str, str]
) -> Iterator[tuple[str, Finding]]:
    """One finding for all; `missing` says who is not among them, by title, and why.

    Raises MeasurementError in the end if anybody failed.
    """
    seen: Seen = {}
    failures: dict[str, str] = {}
    cell = Cell("nodes", bench.plan.recipients)
    for turn in range(bench.plan.rounds):
        for each in contenders:
            if each.title in failures:
                continue
            try:
                costs = costs_of(bench.measure(each, cell, bench.plan.load), cell)
            except MeasurementError as failure:
                failures[each.title] = f"round {turn + 1}: {failure}"
                print(f"          {each.title}: FAILED: {failure}", flush=True)
                continue
            for mode, cost in costs.items():
                seen.setdefault((each.name, mode), []).append(cost)
            said = ", ".join(
                f"{name} {number(costs[mode].delivery)} µs" for mode, name in MODES.items()
            )
            print(f"          {each.title}, round {turn + 1}: {said}", flush=True)
    yield "deliveries", found(bench.plan.recipients, contenders, seen, {**missing, **failures})
    if failures:
        raise MeasurementError(f"no figure for {', '.join(failures)}")


def costs_of(result: Mapping[str, Any], cell: Cell) -> dict[Mode, Cost]:
    """What one run says, without what each takes at rest."""

    def cost(window: Mapping[str, Any]) -> Cost:
        seconds, deliveries = window["seconds"], window["deliveries"]
        own = (window["cpu"] - result["idle"] * seconds) / deliveries
        beside = {
            name: (spent - result["beside"][name] * seconds) / deliveries * cell.recipients * 1e6
            for name, spent in window["beside"].items()
        }
        return Cost(own * 1e6, beside.get(SENDER, 0.0), beside.get(REDIS, 0.0))

    return {mode: cost(result[mode]) for mode in MODES}


def found(
    recipients: int, contenders: Sequence[Contender], seen: Seen, failures: Mapping[str, str]
) -> Finding:
    """What it costs more than on one node, and whether it costs less than elsewhere."""
    finding = Finding(f"One publishes on one node to {recipients:,} on another")
    # One failure, and there is no figure: it was not shown to work.
    failed = {each.name for each in contenders if each.title in failures}
    seen = {key: costs for key, costs in seen.items() if key[0] not in failed}
    ours = [each for each in contenders if each.reference is not None]
    for each in ours:
        for mode in MODES:
            _beside_one_node(finding, seen, each, mode)
    for rival in (each for each in contenders if each.rival):
        for mode in MODES:
            _beside_rival(finding, seen, ours, rival, mode)
    columns = ("µs per delivery", "times one node's", "the publisher's node, µs", "Redis, µs")
    finding.head = ["server", *(f"{called}: {c}" for called in MODES.values() for c in columns)]
    finding.rows = [
        [each.title, *(text for mode in MODES for text in _columns(seen, each, mode))]
        for each in contenders
    ]
    finding.notes = (
        "CPU of the node with the recipients per delivery; of the publisher's node and of Redis"
        " per publication."
    )
    for title, reason in failures.items():
        finding.notes += f"\n\n- {title} has no figure: {reason}"
    return finding


def _beside_one_node(finding: Finding, seen: Seen, own: Contender, mode: Mode) -> None:
    ratio = _ratio(seen, own, mode)
    says = f"{own.title}, {MODES[mode]}: at most {TIMES} times as by the memory broker"
    if ratio is None:
        finding.claim(says, NONE, met=False)
    else:
        finding.claim(says, f"{figure(ratio)} times", ratio.median <= TIMES)


def _beside_rival(
    finding: Finding, seen: Seen, ours: Sequence[Contender], rival: Contender, mode: Mode
) -> None:
    theirs, own = _figure(seen, rival, mode), [_figure(seen, each, mode) for each in ours]
    known = [each.median for each in own if each is not None]
    says = f"{MODES[mode]}: each of ours on two costs less than {rival.title}"
    if theirs is None or len(known) < len(ours):
        finding.claim(says, NONE, met=False)
    else:
        most, least = max(known), theirs.median
        finding.claim(says, f"{number(most)} µs at most, there {number(least)} µs", most < least)


def _figure(seen: Seen, of: Contender, mode: Mode) -> Figure | None:
    costs = seen.get((of.name, mode))
    return Figure.of(cost.delivery for cost in costs) if costs else None


def _ratio(seen: Seen, of: Contender, mode: Mode) -> Figure | None:
    """Round by round: a machine that is slow in one of them is slow for both."""
    own, usual = seen.get((of.name, mode)), seen.get((of.reference or "", mode))
    if not own or not usual:
        return None
    return Figure.of(a.delivery / b.delivery for a, b in zip(own, usual, strict=True))


def _columns(seen: Seen, of: Contender, mode: Mode) -> list[str]:
    costs = seen.get((of.name, mode), [])
    beside = [median(each) for each in zip(*(cost[1:] for cost in costs), strict=True)] or [0, 0]
    return [
        figure(_figure(seen, of, mode)),
        figure(_ratio(seen, of, mode)),
        *(number(each) if each else "-" for each in beside),
    ]
