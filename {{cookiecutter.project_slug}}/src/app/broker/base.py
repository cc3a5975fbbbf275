"""The contract of every broker: at most once, in order per channel and sender."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from ..protocol.channels import Position


class Kind(StrEnum):
    """What a packet carries."""

    MESSAGE = "message"
    """A publication's body, with its position if it is kept."""
    SIGNAL = "signal"
    """A finished frame for all subscribers."""
    PRESENCE = "presence"
    """A finished frame for the subscribers that asked for presence."""
    CONTROL = "control"
    """What nodes tell each other, on a channel that no client can name."""


class Packet(NamedTuple):
    """What nodes send each other."""

    kind: Kind
    channel: str
    body: bytes
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Something may have been missed before this point."""


class Health(StrEnum):
    """How a node stands with a store or broker."""

    UP = "up"
    DEAF = "deaf"
    """It answers, but what this node says does not come back."""
    DOWN = "down"


class Broker(Protocol):
    """Carries packets to every node that follows their channel."""

    @property
    def health(self) -> Health:
        """How this node stands with it."""
        ...

    async def publish(self, packets: Sequence[Packet]) -> None:
        """Send packets to every follower, this node too. Raises Unavailable in bounded time."""
        ...

    async def follow(self, channels: Collection[str]) -> None:
        """Return once every later publish to these channels reaches this node.

        Raises Unavailable in bounded time.
        """
        ...

    async def forget(self, channels: Collection[str]) -> None:
        """Stop following; a later follow wins over an earlier forget."""
        ...

    def deliveries(self) -> AsyncIterator[Sequence[Packet] | Gap]:
        """What has arrived, all that is there at once; a Gap wherever something may be missing."""
        ...
