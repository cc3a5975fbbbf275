"""What arrives in one channel, in order, without hole or repeat, or with a word about it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Self

from . import wire
from .events import Event, Frame, Lagged, Message, Position, Restated, Roster


class Subscription:
    """An async iterator over the events of one channel; `subscribe` of the client makes it.

    It ends when `unsubscribe` was called, raises Unsubscribed when the server ends it,
    CommandRefused when it may not be renewed after a reconnection, and Closed with the client;
    each after what had arrived by then. One task at a time may iterate.

    An iterator that is not consumed keeps at most `buffer` events. Then it holds a Lagged and
    forgets the rest, without delaying commands or other channels; once it has been emptied, it
    subscribes again from the last message it kept, so that messages with an offset still come,
    each once, and only what is not kept is lost.
    """

    def __init__(
        self,
        channel: str,
        *,
        since: Position | None,
        last: int,
        presence: bool,
        buffer: int,
        renew: Callable[["Subscription"], None],
        leave: Callable[["Subscription"], Awaitable[None]],
    ) -> None:
        self.channel = channel
        self.position = since
        """Everything up to here was processed: it moves when the next event is asked for."""
        self.presence = presence
        """Whether it is told who is here."""
        self.source: object = None
        """The connection that is listened to."""
        self._received = since
        self._last = last
        self._buffer = buffer
        self._renew = renew
        self._leave = leave
        self._events: deque[Event] = deque()
        self._handed: Event | None = None
        self._stands = False
        self._behind = False
        self._end: Exception | None = None
        self._news = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if isinstance(self._handed, Message | Restated):
            self.position = self._handed.position or self.position
        self._handed = None
        while not self._events:
            if self._end is not None:
                raise self._end.with_traceback(None)
            if self._behind:
                self._behind = False
                self._renew(self)
            await self._wait()
        self._handed = self._events.popleft()
        return self._handed

    async def unsubscribe(self) -> None:
        """Leave the channel; nothing of it is handed out afterwards."""
        self._events.clear()
        await self._leave(self)

    async def ready(self) -> None:
        """Return once the server has said where the subscription stands; raises what ended it."""
        while not self._stands:
            if self._end is not None:
                raise self._end.with_traceback(None)
            await self._wait()

    async def _wait(self) -> None:
        self._news.clear()
        await self._news.wait()

    def request(self, connection: object) -> dict[str, Any]:
        """What to ask for on a connection, which alone is listened to from now on."""
        self.source, self._behind = connection, False
        fields = {"channel": self.channel, "last": self._last, "presence": self.presence}
        if self._received is not None:
            place = {"epoch": self._received.epoch, "offset": self._received.offset}
            fields["since"] = place
        return fields

    def take(self, frame: Frame) -> None:
        """Take what the connection says about the channel."""
        if frame["type"] == "subscribed":
            self._stand(frame)
        elif (event := wire.event(frame)) and (self.presence or not isinstance(event, Roster)):
            self._put(event)

    def end(self, reason: Exception) -> None:
        """Nothing more will come."""
        self.source, self._end = None, reason
        self._news.set()

    def _stand(self, frame: Frame) -> None:
        """Go on from where the server says: subscribed, recovered, or restated; all are one."""
        recovered = frame.get("recovered", not self._stands)
        messages = [each for each in map(wire.message, frame["messages"]) if self._is_new(each)]
        place = wire.position(frame)
        start = _before(messages[0]) if messages else place
        if not recovered:
            self._put(Restated(self.channel, frame.get("reason", "no_history"), start))
        elif "recovered" not in frame:
            self.position = start
        if "presence" in frame:
            self._put(wire.roster(self.channel, frame["presence"]))
        for each in messages:
            self._put(each)
        # After `recovered: true` all that follows is yet to come, and moves the position itself.
        if frame.get("recovered") is not True and self.source is not None:
            self._received = place or self._received
        self._stands = True
        self._news.set()

    def _put(self, event: Event) -> None:
        if self.source is None or (isinstance(event, Message) and not self._is_new(event)):
            return
        if len(self._events) >= self._buffer:
            self.source, self._behind, event = None, True, Lagged(self.channel)
        elif isinstance(event, Message | Restated):
            self._received = event.position or self._received
        self._events.append(event)
        self._news.set()

    def _is_new(self, message: Message) -> bool:
        place = message.position
        return place is None or self._received is None or not self._received.covers(place)


def _before(message: Message) -> Position | None:
    place = message.position
    return place and Position(place.epoch, place.offset - 1)
