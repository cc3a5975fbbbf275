"""What the wire promises of each message from the server, for every test that hears one."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

Frame = dict[str, Any]
RETRYABLE = {"rate_limited", "overloaded", "unavailable", "timeout", "internal"}
FINAL = {
    "unauthenticated",
    "forbidden",
    "unknown_channel",
    "not_subscribed",
    "already_subscribed",
    "invalid_message",
    "unknown_type",
    "too_large",
    "conflict",
    "limit_exceeded",
    "unrecoverable",
    "unsupported",
}


class _Shape(BaseModel):
    """Named fields and no others; one that may be left out has a default, and is never null."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _Member(_Shape):
    id: str
    name: str = ""


class _Heartbeat(_Shape):
    interval_ms: int
    timeout_ms: int


class _Limits(_Shape):
    message_bytes: int
    channels: int
    commands_per_second: float
    commands_burst: int


class _Roster(_Shape):
    users: list[_Member]
    count: int


class _Push(_Shape):
    """What the server says by itself has no id."""


class _Reply(_Shape):
    id: str | int = ""


class _Positioned(_Shape):
    """Where a channel is kept it has both parts of a position, else neither."""

    epoch: str = ""
    offset: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _both(self) -> Self:
        assert ("epoch" in self.model_fields_set) is ("offset" in self.model_fields_set)
        return self


class _Welcome(_Reply):
    type: Literal["welcome"]
    session: str
    user: _Member
    personal: str
    node: str
    heartbeat: _Heartbeat
    limits: _Limits
    expires_at: str = ""
    guest_token: str = ""


class _Ok(_Reply, _Positioned):
    type: Literal["ok"]
    channel: str = ""
    duplicate: bool = False
    expires_at: str = ""


class _Error(_Reply):
    type: Literal["error"]
    code: str
    message: Annotated[str, Field(min_length=1)]
    retryable: bool
    retry_after_ms: Annotated[int, Field(ge=0)] = 0
    field: str = ""

    @model_validator(mode="after")
    def _documented(self) -> Self:
        assert self.code in (RETRYABLE if self.retryable else FINAL)
        return self


class _Message(_Push, _Positioned):
    type: Literal["message"]
    channel: str
    message_id: str
    sent_at: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")]
    sender: Annotated[_Member, Field(alias="from")]
    data: Any
    key: str = ""

    @model_validator(mode="after")
    def _dated(self) -> Self:
        assert datetime.fromisoformat(self.sent_at).tzinfo is not None
        return self


class _Subscribed(_Reply, _Positioned):
    type: Literal["subscribed"]
    channel: str
    recovered: bool = False
    reason: Literal["epoch_changed", "expired", "too_far", "ahead", "no_history"] = "expired"
    messages: list[_Message]
    presence: _Roster | Literal[""] = ""

    @model_validator(mode="after")
    def _explained(self) -> Self:
        refused = "recovered" in self.model_fields_set and not self.recovered
        assert ("reason" in self.model_fields_set) is refused
        return self


class _Lag(_Push):
    type: Literal["lag"]
    channel: str
    behind: Annotated[int, Field(ge=0)]


class _Unsubscribed(_Push):
    type: Literal["unsubscribed"]
    channel: str
    reason: Annotated[str, Field(min_length=1)]


class _Expiring(_Push):
    type: Literal["expiring"]
    in_ms: Annotated[int, Field(ge=0)]


class _Signal(_Push):
    type: Literal["signal"]
    channel: str
    kind: str
    sender: Annotated[_Member, Field(alias="from")]
    data: Any = None


class _Change(_Push):
    type: Literal["join", "leave"]
    channel: str
    user: _Member
    count: Annotated[int, Field(ge=0)]


class _Presence(_Reply, _Roster):
    type: Literal["presence"]
    channel: str


class _History(_Reply):
    type: Literal["history"]
    channel: str
    epoch: str
    offset: int
    messages: list[_Message]
    has_more: bool


class _Reconnect(_Push):
    type: Literal["reconnect"]
    reason: Literal["drain"]
    after_ms: Annotated[int, Field(ge=0)]
    deadline_ms: Annotated[int, Field(ge=0)]


class _Beat(_Reply):
    type: Literal["ping", "pong"]


_frames: TypeAdapter[Any] = TypeAdapter(
    Annotated[
        _Welcome
        | _Ok
        | _Error
        | _Message
        | _Subscribed
        | _Lag
        | _Unsubscribed
        | _Expiring
        | _Signal
        | _Change
        | _Presence
        | _History
        | _Reconnect
        | _Beat,
        Field(discriminator="type"),
    ]
)


def parse(text: str | bytes) -> Frame:
    """A message from the server; raises where it is not as documented, or no JSON."""
    frame: Frame = json.loads(text, parse_constant=_refuse)
    _frames.validate_json(text)
    return frame


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
