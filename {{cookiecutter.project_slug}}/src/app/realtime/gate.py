"""Who gets in: how many connections this node, an address and a user may have at once."""

from enum import StrEnum
from ipaddress import IPv6Address

from ..settings import Limits


class Refusal(StrEnum):
    """Why a connection is not let in."""

    CLOSED = "this node is shutting down"
    FULL = "this node has as many connections as it takes"
    CROWDED = "this address has as many connections as it may"


class Tally:
    """Counts those who are inside by name, and lets in at most so many of each."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[str, int] = {}

    def enter(self, name: str) -> bool:
        """Count one more; false if that were too many."""
        count = self._counts.get(name, 0)
        if count < self._most:
            self._counts[name] = count + 1
        return count < self._most

    def leave(self, name: str) -> None:
        """Count one less; nothing is kept of those who are gone."""
        self._counts[name] -= 1
        if not self._counts[name]:
            del self._counts[name]


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


def origin_of(address: str) -> str:
    """What an address counts as: of IPv6 its first 64 bits, since one customer has all of those."""
    if ":" not in address:
        return address
    try:
        ip = IPv6Address(address)
    except ValueError:
        return address
    # A listener of both kinds sees IPv4 inside IPv6: all of it would be one network.
    return str(ip.ipv4_mapped or ip.packed[:8].hex(":", 2))
