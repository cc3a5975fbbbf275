"""What is measured, and how often: a full plan, and a quick one that only shows that it works."""

from collections.abc import Iterator
from dataclasses import dataclass

from .catalogue import Peer
from .driver.dialects import DIALECTS
from .driver.job import Job, Measure


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing to measure of one server."""

    measure: Measure
    recipients: int = 0
    channels: int = 0
    idle: int = 0

    def __str__(self) -> str:
        """The same for people."""
        if not self.recipients:
            return {"memory": "memory", "handshake": "handshakes"}[self.measure]
        beside = [
            f"{count:,} {what}"
            for count, what in ((self.channels, "other channels"), (self.idle, "idle connections"))
            if count
        ]
        to = f"1 → {self.recipients:,}"
        return f"{to} beside {' and '.join(beside)}" if beside else to


@dataclass(frozen=True, slots=True)
class Plan:
    """How large and how long."""

    recipients: tuple[int, ...]
    main: int
    """The recipients that the headline, the flatness and the targets are about."""
    others: tuple[tuple[int, int], ...]
    """Other channels and idle connections."""
    one_by_one: int
    """Deliveries in a window of single messages, which has from 50 messages to `most`."""
    most: int
    in_bursts: int
    """Deliveries in a window of bursts, which has at least 3."""
    kept: int
    """Connections whose memory is measured."""
    opened: int
    """Handshakes one after another; twice as many in batches of 50."""
    rest: float = 1.0
    burst: int = 100
    quick: bool = False
    only: tuple[str, ...] = ()
    """What to measure; everything if empty."""

    def cells(self, peer: Peer) -> Iterator[Cell]:
        """What is measured of a peer."""
        for cell in self._all_cells(peer):
            if not self.only or cell.measure in self.only:
                yield cell

    def _all_cells(self, peer: Peer) -> Iterator[Cell]:
        if peer.fans_out:
            yield from (Cell("fanout", count) for count in self.recipients)
            if DIALECTS[peer.dialect].channels:
                yield from (Cell("flatness", self.main, *other) for other in self.others)
        if peer.keeps:
            yield Cell("memory")
            yield Cell("handshake")

    def job(self, cell: Cell, peer: Peer, port: int, pid: int) -> Job:
        """The work that a cell stands for, on a server that runs."""
        return Job(
            measure=cell.measure,
            dialect=peer.dialect,
            port=port,
            pid=pid,
            recipients=cell.recipients,
            messages=self._messages(cell),
            bursts=self._bursts(cell),
            burst=self.burst,
            channels=cell.channels,
            idle=cell.idle,
            connections=self.kept if cell.measure == "memory" else self.opened,
            warm_up=self.kept // 7 if cell.measure == "memory" else self.opened // 5,
            batches=max(1, 2 * self.opened // 50),
            batch=50,
            rest=self.rest,
        )

    def seconds(self, cell: Cell) -> float:
        """About how long a cell takes, before anything is known."""
        if cell.measure == "memory":
            return 5 + self.kept / 700
        if cell.measure == "handshake":
            return 4 + self.opened * 3 / 800
        crowd = (cell.recipients + cell.idle) / 800 + cell.channels / 4000
        single = self._messages(cell) * max(0.01, cell.recipients * 20e-6)
        bursts = self._bursts(cell) * self.burst * cell.recipients * 12e-6
        return 3 + self.rest + crowd + 1.1 * (single + bursts)

    def _messages(self, cell: Cell) -> int:
        if not cell.recipients:
            return 0
        return min(self.most, max(50, self.one_by_one // cell.recipients))

    def _bursts(self, cell: Cell) -> int:
        if not cell.recipients:
            return 0
        return min(self.most // 5, max(3, self.in_bursts // (self.burst * cell.recipients)))


FULL = Plan(
    recipients=(10, 50, 200, 1000, 2000),
    main=200,
    others=((1000, 0), (5000, 0), (0, 2000), (5000, 2000)),
    one_by_one=100_000,
    most=500,
    in_bursts=200_000,
    kept=2000,
    opened=500,
)

QUICK = Plan(
    recipients=(5, 20),
    main=20,
    others=((100, 0), (100, 30)),
    one_by_one=1000,
    most=50,
    in_bursts=6000,
    kept=70,
    opened=25,
    rest=0.3,
    quick=True,
)
