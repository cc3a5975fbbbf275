"""The contract of every history: one order per channel, without holes; and of its rooms."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from ..budget import Want
from ..protocol.channels import Position
from ..protocol.errors import CommandError


class Draft(NamedTuple):
    """A publication before it has a position.

    `body` is what `codec.encode_body` made; `digest` stands for the data where there is a `key`;
    `cost` is what publishing it uses up, if it does.
    """

    channel: str
    sender: str
    message_id: str
    body: bytes
    key: str | None = None
    digest: bytes | None = None
    cost: Want | None = None


class Receipt(NamedTuple):
    """Where a draft stands, and the body that is stored there: an earlier one if `duplicate`."""

    position: Position
    body: bytes
    duplicate: bool = False


Outcome = Receipt | CommandError
"""What becomes of a draft."""


class Publication(NamedTuple):
    """What is stored at one offset."""

    offset: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a channel's history as of one moment, ascending and contiguous."""

    epoch: str
    top: int
    publications: Sequence[Publication]


@dataclass(frozen=True, slots=True)
class Room:
    """A channel that was created on purpose, with the title people see."""

    channel: str
    title: str
    created_at: datetime
    created_by: str


class Health(StrEnum):
    """Whether history can be used now."""

    UP = "up"
    DOWN = "down"
    """It does not answer."""
    OUTDATED = "outdated"
    """It answers, and has yet to be brought up to date before it can be used."""


class History(Protocol):
    """Numbers and keeps publications."""

    @property
    def health(self) -> Health:
        """How it does."""
        ...

    carries: bool
    """Whether `append` also uses up what each draft costs, and hands it to every node, at once.

    Where it does not, the committer does: the one before, the other afterwards.
    """

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        """Store drafts in order; each is durable on return, at the level chosen.

        Offsets rise by one per new draft and channel. A known (channel, sender, key) takes no
        offset and gives what is stored, or CONFLICT if the data differs. A draft that is refused
        spares the others. Raises Unavailable in bounded time.
        """
        ...

    async def read(
        self, channel: str, *, after: int | None = None, before: int | None = None, limit: int
    ) -> Page:
        """One snapshot of at most `limit` publications, none above its `top`.

        They follow `after`, or end before `before`, or are the newest. Retention may have taken
        those next to `after`: the caller checks that the first is `after + 1`.
        """
        ...

    async def tops(self, channels: Collection[str]) -> Mapping[str, Position]:
        """Where each channel stands, never behind an append that returned."""
        ...

    async def rotate(self, channel: str, epoch: str) -> Position:
        """Begin a new epoch if `epoch` is still current: one rotation, however many callers."""
        ...

    async def prune(self) -> int:
        """Do a bounded part of what retention has left to do; gives how much, 0 for nothing.

        Publications are deleted, and never a counter; one whose key is remembered has to wait.
        """
        ...


class Rooms(Protocol):
    """Knows the rooms; satisfied by the same class as History."""

    async def create(self, room: Room) -> bool:
        """Keep the room; False if its channel is a room already, which stays as it is."""
        ...

    async def rooms(self) -> Sequence[Room]:
        """All rooms, oldest first."""
        ...

    async def describe(self, channel: str) -> Room | None:
        """The room on this channel."""
        ...


class Store(History, Rooms, Protocol):
    """What `open_history` gives."""
