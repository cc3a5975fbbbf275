"""Time, and another node, where a test has all in one process."""

from typing import Any

from app.broker.memory import MemoryBroker
from app.coordination.memory import MemoryCoordination


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def another_node(one: Any) -> Any:
    """What a second node gets where several share one process."""
    if isinstance(one, MemoryBroker):
        return MemoryBroker(one.nodes)
    if isinstance(one, MemoryCoordination):
        return MemoryCoordination(one.clock, one.kept)
    return one
