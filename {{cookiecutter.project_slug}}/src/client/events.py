"""What the user of the client sees: events in a channel, and answers; all of it frozen."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

Frame = dict[str, Any]
"""One message of the wire."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in one channel's history: everything up to `offset` in this `epoch`."""

    epoch: str
    offset: int

    def covers(self, other: "Position") -> bool:
        """Whether what stands at `other` was seen by who has read to here."""
        return self.epoch == other.epoch and other.offset <= self.offset


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody, as others see them."""

    id: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Welcome:
    """Whom the server takes this client for, on one connection."""

    session: str
    user: Member
    personal: str
    """The channel of this user."""
    node: str
    silence: float
    """The seconds of silence after which the server is taken for dead."""
    message_bytes: int
    """The largest message that the server takes."""
    commands_per_second: float
    commands_burst: int
    """How many commands it takes at once; beyond that, so many a second."""
    expires_at: datetime | None = None
    """When what proved it ends; it moves when that is refreshed."""
    guest_token: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A publication; without `epoch` and `offset` where the channel keeps none."""

    channel: str
    epoch: str | None
    offset: int | None
    message_id: str
    sent_at: datetime
    sender: Member
    data: Any
    key: str | None = None

    @property
    def position(self) -> Position | None:
        """Its place in the channel's history."""
        if self.epoch is None or self.offset is None:
            return None
        return Position(self.epoch, self.offset)


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that is not kept, such as that somebody types."""

    channel: str
    kind: str
    sender: Member
    data: Any = None


@dataclass(frozen=True, slots=True)
class Joined:
    """A user came; `count` is informative."""

    channel: str
    user: Member
    count: int


@dataclass(frozen=True, slots=True)
class Left:
    """A user left with the last connection; `count` is informative."""

    channel: str
    user: Member
    count: int


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is in a channel now; `users` may be cut short, `count` is not.

    It answers `presence`. A subscription with presence has it whenever joins and leaves may have
    been missed: after every subscribing, every Lagged, and where the service missed some itself.
    """

    channel: str
    users: tuple[Member, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Restated:
    """Continuity was lost: messages may be missing before `position`, where the channel goes on."""

    channel: str
    reason: str
    position: Position | None


@dataclass(frozen=True, slots=True)
class Lagged:
    """Reading was too slow: what is not kept was lost here; messages that are kept follow."""

    channel: str


Event = Message | Signal | Joined | Left | Roster | Restated | Lagged


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a publication stands, unless the channel keeps none; `duplicate`: by an earlier try."""

    channel: str
    position: Position | None
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a channel's history, ascending."""

    channel: str
    epoch: str
    messages: tuple[Message, ...]
    has_more: bool
