"""What the generated service has to reach, each beside what was measured in the same run."""

from collections.abc import Iterator
from dataclasses import dataclass

from .catalogue import SERVICE
from .figures import Figure, Figures, Quantity
from .plan import Cell

LINEAR = 1.25
"""How much more a delivery may cost among the most recipients than among the usual number."""

FLAT = 1.15
"""How much more it may cost beside other channels and connections: what rounds differ by."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, and whether it is met; None where one side was not measured."""

    claim: str
    unit: str
    measured: float | None
    limit: float | None

    @property
    def met(self) -> bool | None:
        """Whether the measured figure is at or below its limit."""
        if self.measured is None or self.limit is None:
            return None
        return self.measured <= self.limit

    @property
    def outcome(self) -> str:
        """The same in words."""
        if self.measured is None or self.limit is None:
            return "not measured in this run"
        if self.met:
            return "met"
        if self.limit <= 0:
            return "falls short"
        return f"falls short by a factor of {self.measured / self.limit:.2f}"


def verdicts(figures: Figures, main: int) -> Iterator[Verdict]:
    """Every target that concerns fan-out, memory and handshakes."""
    fan_out, opening, memory = Cell("fanout", main), Cell("handshake"), Cell("memory")

    def versus(
        claim: str, unit: str, cell: Cell, quantity: Quantity, peer: str, factor: float = 1.0
    ) -> Verdict:
        own, other = figures.get(SERVICE, cell, quantity), figures.get(peer, cell, quantity)
        limit = None if other is None else factor * other.median
        return Verdict(claim, unit, _median(own), limit)

    to = f"1 → {main:,}"
    yield versus(f"{to}, one at a time: at or below Node ws", "µs", fan_out, "steady", "node-ws")
    yield versus(f"{to}, bursts: at or below Bun's publish", "µs", fan_out, "bursts", "bun")
    claim = f"{to}, bursts: at most a twentieth of ConnectionManager"
    yield versus(claim, "µs", fan_out, "bursts", "fastapi", 1 / 20)
    claim = "memory per idle connection: at or below a bare FastAPI echo"
    yield versus(claim, "KiB", memory, "memory", "fastapi-echo")
    claim = "handshake to `welcome`: at most 1.5 times a bare FastAPI echo's to 101"
    yield versus(claim, "µs", opening, "alone", "fastapi-echo", 1.5)
    yield from _growth(figures, main)


def _growth(figures: Figures, main: int) -> Iterator[Verdict]:
    modes: tuple[tuple[Quantity, str], ...] = (("steady", "one at a time"), ("bursts", "bursts"))
    most = max((c.recipients for c in figures.cells() if c.measure == "fanout"), default=main)
    beside = [cell for cell in figures.cells() if cell.measure == "flatness"]
    for quantity, mode in modes:
        base = _median(figures.get(SERVICE, Cell("fanout", main), quantity))
        limit = None if base is None else base * LINEAR
        grown = _median(figures.get(SERVICE, Cell("fanout", most), quantity))
        claim = (
            f"linear, {mode}: a delivery among {most:,} at most {LINEAR} times one among {main:,}"
        )
        yield Verdict(claim, "µs", grown, limit)
        seen = [figures.get(SERVICE, cell, quantity) for cell in beside]
        worst = max((each.median for each in seen if each is not None), default=None)
        limit = None if base is None else base * FLAT
        claim = f"flat, {mode}: beside other channels and connections at most {FLAT} times alone"
        yield Verdict(claim, "µs", worst, limit)


def _median(figure: Figure | None) -> float | None:
    return None if figure is None else figure.median
