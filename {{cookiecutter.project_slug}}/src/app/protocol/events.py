"""What the server says: replies carry the `id` of their command, pushes none."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .commands import Id
from .errors import ErrorCode


class Event(BaseModel):
    """One message from the server; what is None is left out on the wire."""

    model_config = ConfigDict(frozen=True, serialize_by_alias=True, validate_by_name=True)

    id: Id | None = None


class Member(BaseModel):
    """Somebody, as others see them."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str | None = None


class Beats(BaseModel):
    """How often the server speaks, and how long silence may last after that, in milliseconds."""

    interval_ms: int
    timeout_ms: int


class Limits(BaseModel):
    """What one connection may do."""

    message_bytes: int
    channels: int
    commands_per_second: float
    commands_burst: int


class Welcome(Event):
    """The connection is ready, and this is who the server takes the client for."""

    type: Literal["welcome"] = "welcome"
    session: str
    user: Member
    personal: str
    node: str
    heartbeat: Beats
    limits: Limits
    expires_at: str | None = None
    guest_token: str | None = None


class Ok(Event):
    """The command was carried out; what was published stands at this position.

    After a `refresh` the credential is good until `expires_at`.
    """

    type: Literal["ok"] = "ok"
    channel: str | None = None
    epoch: str | None = None
    offset: int | None = None
    duplicate: bool | None = None
    expires_at: str | None = None


class Error(Event):
    """The command was refused."""

    type: Literal["error"] = "error"
    code: ErrorCode
    message: str
    retryable: bool
    retry_after_ms: int | None = None
    field: str | None = None


class Message(Event):
    """One publication; without `epoch` and `offset` where the channel keeps none."""

    type: Literal["message"] = "message"
    channel: str
    epoch: str | None = None
    offset: int | None = None
    message_id: str
    sent_at: str
    sender: Member = Field(alias="from")
    data: Any
    key: str | None = None


class Roster(BaseModel):
    """Who is in a channel; `users` may be cut short, `count` is not."""

    users: Sequence[Member]
    count: int


LostBecause = Literal["epoch_changed", "expired", "too_far", "ahead", "no_history"]
"""Why what came after a position cannot be given."""


class Subscribed(Event):
    """Where a subscription stands: pushes continue after `offset`.

    Without an `id` it restates this, because continuity was lost.
    """

    type: Literal["subscribed"] = "subscribed"
    channel: str
    epoch: str | None = None
    offset: int | None = None
    recovered: bool | None = None
    reason: LostBecause | None = None
    presence: Roster | None = None


class Lag(Event):
    """The client was too slow: `behind` kept messages follow; what is not kept is gone."""

    type: Literal["lag"] = "lag"
    channel: str
    behind: int


class PresencePush(Event):
    """Somebody came or left: once over all connections and nodes."""

    type: Literal["join", "leave"]
    channel: str
    user: Member
    count: int


class PresenceReply(Event, Roster):
    """Who is in a channel now.

    Without an `id` it restates this, because joins and leaves may have been missed.
    """

    type: Literal["presence"] = "presence"
    channel: str


class HistoryPage(Event):
    """A page of what was said, in order; the channel stood at `offset` when it was read."""

    type: Literal["history"] = "history"
    channel: str
    epoch: str
    offset: int
    has_more: bool


class Unsubscribed(Event):
    """The server ended a subscription."""

    type: Literal["unsubscribed"] = "unsubscribed"
    channel: str
    reason: str


class Expiring(Event):
    """The credential ends soon, and the connection with it, unless the client refreshes it."""

    type: Literal["expiring"] = "expiring"
    in_ms: int


class Reconnect(Event):
    """Open another connection after a delay; this one serves until its end, at the deadline."""

    type: Literal["reconnect"] = "reconnect"
    reason: Literal["drain"] = "drain"
    after_ms: int
    deadline_ms: int


class Ping(Event):
    """The server is alive."""

    type: Literal["ping"] = "ping"


class Pong(Event):
    """The answer to a client's `ping`."""

    type: Literal["pong"] = "pong"
