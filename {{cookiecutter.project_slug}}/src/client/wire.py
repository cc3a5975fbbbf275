"""From frames of the wire to what the user sees; fields that we do not know are passed over."""

import math
from collections.abc import Callable
from datetime import datetime

from . import events
from .errors import CommandRefused
from .events import Event, Frame, Member, Message, Page, Position, Receipt, Roster, Welcome


def member(frame: Frame) -> Member:
    """Somebody."""
    return Member(frame["id"], frame.get("name"))


def position(frame: Frame) -> Position | None:
    """The place that a frame names, if the channel keeps any."""
    return None if frame.get("epoch") is None else Position(frame["epoch"], frame["offset"])


def end(frame: Frame) -> datetime | None:
    """When the credential ends, if it does."""
    expires = frame.get("expires_at")
    return expires and datetime.fromisoformat(expires)


def welcome(frame: Frame) -> Welcome:
    """A `welcome`."""
    return Welcome(
        session=frame["session"],
        user=member(frame["user"]),
        personal=frame["personal"],
        node=frame["node"],
        silence=sum(frame["heartbeat"].values()) / 1000,
        message_bytes=frame["limits"]["message_bytes"],
        commands_per_second=frame["limits"].get("commands_per_second", math.inf),
        commands_burst=frame["limits"].get("commands_burst", 1),
        expires_at=end(frame),
        guest_token=frame.get("guest_token"),
    )


def message(frame: Frame) -> Message:
    """A `message`, pushed or inside a list."""
    return Message(
        channel=frame["channel"],
        epoch=frame.get("epoch"),
        offset=frame.get("offset"),
        message_id=frame["message_id"],
        sent_at=datetime.fromisoformat(frame["sent_at"]),
        sender=member(frame["from"]),
        data=frame["data"],
        key=frame.get("key"),
    )


def roster(channel: str, frame: Frame) -> Roster:
    """A `presence`, or the part of `subscribed` with that name."""
    return Roster(channel, tuple(map(member, frame["users"])), frame["count"])


def receipt(frame: Frame) -> Receipt:
    """The `ok` of a `publish`."""
    return Receipt(frame["channel"], position(frame), frame.get("duplicate", False))


def page(frame: Frame) -> Page:
    """A `history`."""
    messages = tuple(map(message, frame["messages"]))
    return Page(frame["channel"], frame["epoch"], messages, frame["has_more"])


def refusal(frame: Frame) -> CommandRefused:
    """An `error`."""
    after = frame.get("retry_after_ms")
    return CommandRefused(
        frame["code"],
        frame["message"],
        retryable=frame["retryable"],
        retry_after=None if after is None else after / 1000,
    )


_PUSHES: dict[str, Callable[[str, Frame], Event]] = {
    "message": lambda channel, push: message(push),
    "signal": lambda channel, push: events.Signal(
        channel, push["kind"], member(push["from"]), push.get("data")
    ),
    "join": lambda channel, push: events.Joined(channel, member(push["user"]), push["count"]),
    "leave": lambda channel, push: events.Left(channel, member(push["user"]), push["count"]),
    "lag": lambda channel, push: events.Lagged(channel),
    "presence": roster,
}


def event(frame: Frame) -> Event | None:
    """What a push in a channel tells its reader; None for what we do not know."""
    parse = _PUSHES.get(frame["type"])
    return parse and parse(frame["channel"], frame)
