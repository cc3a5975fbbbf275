"""Who gets in: how many connections this node, an address and a user may have at once."""

from enum import StrEnum

from ..settings import Limits
from ..tally import Tally


class Refusal(StrEnum):
    """Why a connection is not let in."""

    CLOSED = "this node is shutting down"
    FULL = "this node has as many connections as it takes"
    CROWDED = "this address has as many connections as it may"


class Gate:
    """Lets connections in while there is room: on this node, and for where they come from."""

    def __init__(self, limits: Limits) -> None:
        self.closed = False
        """Whether nobody is let in any more."""
        self.inside = 0
        """How many connections there are."""
        self._most = limits.connections_per_node
        self._origins = Tally(limits.connections_per_address)

    def enter(self, origin: str | None) -> Refusal | None:
        """Count a connection in, which `leave` counts out; or say why it has to stay outside."""
        if self.closed:
            return Refusal.CLOSED
        if self.inside >= self._most:
            return Refusal.FULL
        if origin is not None and not self._origins.enter(origin):
            return Refusal.CROWDED
        self.inside += 1
        return None

    def leave(self, origin: str | None) -> None:
        """Count out a connection that was let in."""
        self.inside -= 1
        if origin is not None:
            self._origins.leave(origin)
