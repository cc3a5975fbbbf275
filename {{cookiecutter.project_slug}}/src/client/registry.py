"""The subscriptions of one client, on whichever connection is the current one."""

import asyncio
from contextlib import suppress
from weakref import WeakValueDictionary

from .connection import Connection
from .connector import Connector
from .errors import CommandRefused, ConnectionLost, Unsubscribed
from .events import Frame, Position
from .subscription import Subscription


class Registry:
    """At most one subscription per channel; each is made again on each new connection."""

    def __init__(self, connector: Connector, buffer: int) -> None:
        self._connector = connector
        self._buffer = buffer
        self._subscriptions: dict[str, Subscription] = {}
        self._turns = WeakValueDictionary[tuple[Connection, str], asyncio.Lock]()

    async def subscribe(
        self, channel: str, *, last: int, presence: bool, since: Position | None
    ) -> Subscription:
        """A subscription, once the server has said where it stands."""
        if channel in self._subscriptions:
            raise CommandRefused("already_subscribed", "this client is subscribed already")
        subscription = Subscription(
            channel,
            since=since,
            last=last,
            presence=presence,
            buffer=self._buffer,
            renew=self._renew,
            leave=self._leave,
        )
        self._subscriptions[channel] = subscription
        if self._connector.current is not None:
            self._connector.spawn(self._join(self._connector.current, subscription))
        try:
            await subscription.ready()
        except asyncio.CancelledError:
            if self._has(subscription):
                self._connector.spawn(self._leave(subscription))
            raise
        return subscription

    def move(self, connection: Connection) -> None:
        """Subscribe to everything on another connection; the one before is not heard any more."""
        for subscription in self._subscriptions.values():
            self._connector.spawn(self._join(connection, subscription))

    def end(self, reason: Exception) -> None:
        """End every subscription."""
        for subscription in list(self._subscriptions.values()):
            self._drop(subscription, reason)

    def receive(self, connection: Connection, frame: Frame) -> None:
        """Hand what a connection says about a channel to its subscription."""
        subscription = self._subscriptions.get(frame.get("channel", ""))
        if subscription is None or subscription.source is not connection:
            return
        if frame["type"] == "unsubscribed":
            self._drop(subscription, Unsubscribed(subscription.channel, frame["reason"]))
        else:
            subscription.take(frame)
            if frame["type"] == "lag" and subscription.presence:
                # Among what is gone is who came and left.
                self._connector.spawn(self._ask_who_is_here(connection, subscription))

    async def _join(
        self, connection: Connection, subscription: Subscription, *, again: bool = False
    ) -> None:
        """Subscribe on a connection if it is still the current one; a refusal ends the matter."""
        async with self._turn(connection, subscription):
            if again and self._has(subscription):
                await self._quit(connection, subscription)
            if connection is not self._connector.current or not self._has(subscription):
                return
            try:
                fields = subscription.request(connection)
                await self._connector.insist(connection, "subscribe", fields)
            except ConnectionLost:
                pass  # on the next connection it is joined again
            except CommandRefused as refused:
                self._drop(subscription, refused)

    async def _ask_who_is_here(self, connection: Connection, subscription: Subscription) -> None:
        """Have the subscription hear who is here; on another connection it hears that anyway."""
        with suppress(CommandRefused, ConnectionLost):
            fields = {"channel": subscription.channel}
            await self._connector.insist(connection, "presence", fields)

    def _renew(self, subscription: Subscription) -> None:
        """Subscribe again where an iterator fell behind; a new connection does that by itself."""
        if self._connector.current is not None:
            self._connector.spawn(self._join(self._connector.current, subscription, again=True))

    async def _leave(self, subscription: Subscription) -> None:
        """End a subscription, here and on the server."""
        if self._has(subscription):
            self._drop(subscription, StopAsyncIteration())
            if (connection := self._connector.current) is not None:
                async with self._turn(connection, subscription):
                    await self._quit(connection, subscription)

    async def _quit(self, connection: Connection, subscription: Subscription) -> None:
        """Unsubscribe on a connection; that it is not subscribed, or gone, is as good."""
        with suppress(CommandRefused, ConnectionLost):
            fields = {"channel": subscription.channel}
            await self._connector.insist(connection, "unsubscribe", fields)

    def _turn(self, connection: Connection, subscription: Subscription) -> asyncio.Lock:
        """Held to subscribe or unsubscribe: a late try would undo what came after it."""
        return self._turns.setdefault((connection, subscription.channel), asyncio.Lock())

    def _has(self, subscription: Subscription) -> bool:
        return self._subscriptions.get(subscription.channel) is subscription

    def _drop(self, subscription: Subscription, reason: Exception) -> None:
        if self._has(subscription):
            del self._subscriptions[subscription.channel]
            subscription.end(reason)
