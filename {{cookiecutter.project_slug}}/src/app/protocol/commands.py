"""What a client may say: one Pydantic union, told apart by `type`."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from .channels import LARGEST_INTEGER, ChannelName, Epoch, Offset, Position

DEEPEST = 64
"""How far JSON may nest; a reader such as serde stops at 128, and we wrap what we pass on."""


def _portable(value: JsonValue) -> JsonValue:
    """Refuse what JSON, PostgreSQL or another parser cannot carry; level by level, not deep."""
    level: list[JsonValue] = [value]
    for _ in range(DEEPEST):
        below: list[JsonValue] = []
        for item in level:
            if isinstance(item, str):
                _plain(item)
            elif isinstance(item, float) and not math.isfinite(item):
                raise ValueError("contains a number that JSON cannot express")
            elif isinstance(item, dict):
                below += (*item, *item.values())
            elif isinstance(item, list):
                below += item
        if not below:
            return value
        level = below
    raise ValueError(f"nests deeper than {DEEPEST} levels")


def _plain(text: str) -> None:
    if "\0" in text:
        raise ValueError("contains the character NUL")
    text.encode()  # a ValueError for half a character


Json = Annotated[JsonValue, AfterValidator(_portable)]
"""Any JSON value that every reader can take."""

Id = (
    Annotated[str, Field(max_length=64)]
    | Annotated[int, Field(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
)
Key = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]*$")]


class Command(BaseModel):
    """One message from a client; an `id` is given back in its one reply."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: Id | None = None


class Auth(Command):
    """Prove who is connecting."""

    type: Literal["auth"]
    token: Annotated[str, Field(min_length=1, max_length=8192)]


class Subscribe(Command):
    """Join a channel, from where the client left off (`since`) or with its `last` messages."""

    type: Literal["subscribe"]
    channel: ChannelName
    since: Position | None = None
    last: Annotated[int, Field(ge=0, le=100)] = 0
    presence: bool = False


class Unsubscribe(Command):
    """Leave a channel."""

    type: Literal["unsubscribe"]
    channel: ChannelName


class Publish(Command):
    """Publish to a channel; a `key` makes a retry safe."""

    type: Literal["publish"]
    channel: ChannelName
    data: Json
    key: Key | None = None


class Signal(Command):
    """Tell the subscribers something that is not kept, such as that somebody types."""

    type: Literal["signal"]
    channel: ChannelName
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    data: Json | None = None


class History(Command):
    """Read a page of what was said: next after, or next before, an offset; else the newest."""

    type: Literal["history"]
    channel: ChannelName
    after: Offset | None = None
    before: Offset | None = None
    epoch: Epoch | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 100


class Presence(Command):
    """Ask who is in a channel."""

    type: Literal["presence"]
    channel: ChannelName


class Refresh(Command):
    """Go on with another credential of the same user, before the one in use expires."""

    type: Literal["refresh"]
    token: Annotated[str, Field(min_length=1, max_length=8192)]


class Ping(Command):
    """Ask for a sign of life."""

    type: Literal["ping"]


class Pong(Command):
    """Answer the server's `ping`; optional, since any inbound byte is a sign of life."""

    type: Literal["pong"]


AnyCommand = Annotated[
    Auth | Subscribe | Unsubscribe | Publish | Signal | History | Presence | Refresh | Ping | Pong,
    Field(discriminator="type"),
]
