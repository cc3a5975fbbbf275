"""A client of the service: one connection, many channels, nothing lost without a word.

    async with Client("ws://127.0.0.1:8000/ws", auth=with_token(token)) as client:
        room = await client.subscribe("chat:lobby", last=50, presence=True)
        await client.publish("chat:lobby", {"text": "hello"})
        async for event in room:
            print(event)

`with_token` comes from the one module in `client.auth`.
"""

from .client import Client, State
from .errors import ClientError, Closed, CommandRefused, Unsubscribed
from .events import (
    Event,
    Joined,
    Lagged,
    Left,
    Member,
    Message,
    Page,
    Position,
    Receipt,
    Restated,
    Roster,
    Signal,
    Welcome,
)
from .subscription import Subscription

__all__ = [
    "Client",
    "ClientError",
    "Closed",
    "CommandRefused",
    "Event",
    "Joined",
    "Lagged",
    "Left",
    "Member",
    "Message",
    "Page",
    "Position",
    "Receipt",
    "Restated",
    "Roster",
    "Signal",
    "State",
    "Subscription",
    "Unsubscribed",
    "Welcome",
]
