"""The contract of every presence store: a user joins once and leaves once, over all connections."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..protocol.events import Member, Roster


@dataclass(frozen=True, slots=True)
class Entry:
    """One session of a user in a channel; by whatever name, it is the same."""

    channel: str
    session: str
    member: Member = field(compare=False)


@dataclass(frozen=True, slots=True)
class Change:
    """A user who came to a channel or left it, and how many are there now."""

    channel: str
    member: Member
    count: int
    joined: bool


class Presence(Protocol):
    """Knows who is in which channel; each method raises Unavailable in bounded time."""

    carries: bool
    """Whether it tells every node of a change as the change is made: then the caller need not."""

    async def enter(self, entries: Sequence[Entry]) -> Sequence[Change]:
        """Note sessions; a join per user who was on no node, and not in the grace after leaving."""
        ...

    async def leave(self, entries: Sequence[Entry]) -> None:
        """Remove sessions; with a user's last one the grace begins."""
        ...

    async def roster(self, channel: str, limit: int) -> Roster:
        """Who is in the channel: those whose join was reported, and whose leave was not."""
        ...

    async def renew(self) -> bool:
        """Prolong this node's lease, at a cost independent of its entries.

        False: it had lapsed, and everybody here has to enter again.
        """
        ...

    async def sweep(self, channels: Collection[str]) -> Sequence[Change]:
        """The leaves that are due in these channels, each given to one caller over all nodes.

        What nodes entered whose lease ended leaves then, with the grace from there.
        """
        ...
