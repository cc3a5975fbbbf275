"""Turns samples into figures: the median over all rounds, with the lowest and the highest."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from .plan import Cell
from .record import Record, Sample

Quantity = Literal["steady", "bursts", "bytes", "idle", "memory", "alone", "batches"]
"""Costs per delivery in µs, bytes per delivery, ms of CPU per second at rest, KiB per connection,
and costs per handshake in µs: one after another, and many at once."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A median and its spread."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Iterable[float]) -> "Figure":
        """The figure of at least one value."""
        seen = sorted(values)
        return cls(median(seen), seen[0], seen[-1], len(seen))


@dataclass(frozen=True, slots=True)
class Figures:
    """Every figure of a run, by server, cell and quantity."""

    by_key: dict[tuple[str, Cell, Quantity], Figure]

    @classmethod
    def of(cls, record: Record) -> "Figures":
        """The figures of a record. One failure and a cell has none: it was not shown to work."""
        values: dict[tuple[str, Cell, Quantity], list[float]] = {}
        failed = {(sample.peer, sample.cell) for sample in record.failures}
        for sample in record.samples:
            if (sample.peer, sample.cell) not in failed:
                for quantity, value in quantities(sample):
                    values.setdefault((sample.peer, sample.cell, quantity), []).append(value)
        return cls({key: Figure.of(seen) for key, seen in values.items()})

    def get(self, peer: str, cell: Cell, quantity: Quantity) -> Figure | None:
        """A figure, if it was measured."""
        return self.by_key.get((peer, cell, quantity))

    def cells(self) -> list[Cell]:
        """What was measured of anybody, smallest first."""
        found = {cell for _, cell, _ in self.by_key}
        return sorted(found, key=lambda c: (c.measure, c.recipients, c.channels + c.idle, c.idle))


def quantities(sample: Sample) -> Iterator[tuple[Quantity, float]]:
    """What one sample says."""
    result = sample.result or {}
    match sample.cell.measure:
        case "memory":
            yield "memory", (result["after"] - result["before"]) / result["connections"] / 1024
        case "handshake":
            yield "alone", _micros(result["one_by_one"], "connections", result["idle"])
            yield "batches", _micros(result["in_batches"], "connections", result["idle"])
        case _:
            yield "steady", _micros(result["steady"], "deliveries", result["idle"])
            yield "bursts", _micros(result["bursts"], "deliveries", result["idle"])
            yield "bytes", result["bytes"]
            yield "idle", result["idle"] * 1000


def _micros(window: dict[str, Any], count: str, idle: float) -> float:
    """CPU per piece in µs, without what the server takes anyway."""
    return float((window["cpu"] - idle * window["seconds"]) / window[count] * 1e6)
