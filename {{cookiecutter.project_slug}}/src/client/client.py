"""The client: commands and subscriptions that outlive the connections they travel on."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, Self
from uuid import uuid4

from . import wire
from .auth.base import Auth
from .backoff import Backoff, Clock
from .connection import Connection
from .connector import Connector
from .errors import Closed, CommandRefused, ConnectionLost, Unsubscribed
from .events import Frame, Page, Position, Receipt, Roster, Welcome
from .subscription import Subscription

State = Literal["connecting", "connected", "closed"]


class Client:
    """A client of the service, connected inside `async with`.

    Entering waits for the first connection. A lost connection is replaced after a back-off, and
    every subscription goes on where it was. Commands wait meanwhile, as long as it takes; bound
    them by `asyncio.timeout`. Once the server has said that coming back is of no use, every call
    and every iterator raises Closed.

    `on_state` is called with the state at each new connection, at a loss and at the end. `buffer`
    is how many events a subscription keeps that nobody has asked for. `random` and `clock` are
    there for tests. Further options go to `websockets.connect`, such as `ssl` or `origin`.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: Auth,
        on_state: Callable[[State], None] | None = None,
        buffer: int = 1000,
        random: Callable[[], float] = random.random,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        self._on_state = on_state
        self._buffer = buffer
        self._random = random
        self._clock = clock or Clock()
        self._connector = Connector(
            url, auth, options, self._receive, self._changed, Backoff(random), self._clock
        )
        self._subscriptions: dict[str, Subscription] = {}
        self._scope = asyncio.TaskGroup()
        self._welcome: Welcome

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self._runner = self._scope.create_task(self._connector.run())
        try:
            await self._connector.connection()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connector.end(Closed(1000, "the program left the client"))
        self._runner.cancel()
        # The program's own error passes by the group, which would wrap it.
        await self._scope.__aexit__(None, None, None)

    @property
    def state(self) -> State:
        """Whether there is a connection, and whether there will be one."""
        if self._connector.failure is not None:
            return "closed"
        return "connecting" if self._connector.current is None else "connected"

    @property
    def welcome(self) -> Welcome:
        """Whom the server takes this client for, on the newest connection."""
        return self._welcome

    async def subscribe(
        self, channel: str, *, last: int = 0, presence: bool = False, since: Position | None = None
    ) -> Subscription:
        """Follow a channel, from `since` or with its `last` messages.

        With `presence`, a Roster comes first, then Joined and Left. Raises CommandRefused, Closed.
        """
        self._connector.check()
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

    async def publish(
        self, channel: str, data: Any, *, key: str | None = None, deadline: float | None = 30.0
    ) -> Receipt:
        """Publish to a channel, subscribed or not, once: every try carries the same key.

        Raises CommandRefused, Closed, or, when the seconds of `deadline` are over, TimeoutError:
        then it is not known whether it was published, and another call with the same `key` and
        data does no harm.
        """
        fields = {"channel": channel, "data": data, "key": key or uuid4().hex}
        async with asyncio.timeout(deadline):
            return wire.receipt(await self._ask("publish", fields))

    async def signal(self, channel: str, kind: str, data: Any = None) -> None:
        """Tell the subscribers what is not kept; lost without a word where nobody is connected."""
        self._connector.check()
        if self._connector.current is not None:
            fields = {"channel": channel, "kind": kind} | ({} if data is None else {"data": data})
            with suppress(ConnectionLost):
                await self._connector.current.send("signal", **fields)

    async def history(
        self,
        channel: str,
        *,
        after: int | None = None,
        before: int | None = None,
        epoch: str | None = None,
        limit: int = 100,
    ) -> Page:
        """A page of what was said: next after, or next before, an offset; else the newest."""
        place = {"after": after, "before": before, "epoch": epoch}
        fields: Frame = {name: value for name, value in place.items() if value is not None}
        fields |= {"channel": channel, "limit": limit}
        return wire.page(await self._ask("history", fields))

    async def presence(self, channel: str) -> Roster:
        """Who is in a channel now."""
        return wire.roster(channel, await self._ask("presence", {"channel": channel}))

    async def _ask(self, type: str, fields: Frame) -> Frame:
        """The reply to a command that may be sent again, over lost connections."""
        while True:
            with suppress(ConnectionLost):
                return await self._insist(await self._connector.connection(), type, fields)

    async def _insist(self, connection: Connection, type: str, fields: Frame) -> Frame:
        """The reply to a command on one connection, sent again while the refusal may pass."""
        backoff = Backoff(self._random)
        while True:
            try:
                return await connection.command(type, **fields)
            except CommandRefused as refused:
                if not refused.retryable:
                    raise
                after = refused.retry_after
            await self._clock.sleep(backoff.next() if after is None else after)

    async def _join(self, connection: Connection, subscription: Subscription) -> None:
        """Subscribe on a connection if it is still the current one; a refusal ends the matter."""
        if connection is not self._connector.current or not self._has(subscription):
            return
        try:
            await self._insist(connection, "subscribe", subscription.request(connection))
            if subscription.channel not in self._subscriptions:
                # Given up while a refusal was waited out, when there was nothing to leave yet.
                await connection.command("unsubscribe", channel=subscription.channel)
        except ConnectionLost:
            pass  # on the next connection it is joined again
        except CommandRefused as refused:
            self._drop(subscription, refused)

    def _renew(self, subscription: Subscription) -> None:
        """Subscribe again where an iterator fell behind; a new connection does that by itself."""
        if self._connector.current is not None:
            self._connector.spawn(self._rejoin(self._connector.current, subscription))

    async def _rejoin(self, connection: Connection, subscription: Subscription) -> None:
        with suppress(CommandRefused, ConnectionLost):
            await self._insist(connection, "unsubscribe", {"channel": subscription.channel})
        await self._join(connection, subscription)

    async def _leave(self, subscription: Subscription) -> None:
        """End a subscription, here and on the server."""
        if self._has(subscription):
            self._drop(subscription, StopAsyncIteration())
            if self._connector.current is not None:
                with suppress(CommandRefused, ConnectionLost):
                    await self._connector.current.command(
                        "unsubscribe", channel=subscription.channel
                    )

    def _receive(self, connection: Connection, frame: Frame) -> None:
        subscription = self._subscriptions.get(frame.get("channel", ""))
        if subscription is None or subscription.source is not connection:
            return
        if frame["type"] == "unsubscribed":
            self._drop(subscription, Unsubscribed(subscription.channel, frame["reason"]))
        else:
            subscription.take(frame)

    def _changed(self) -> None:
        """Follow the connector: move to its connection, or end with it."""
        current, failure = self._connector.current, self._connector.failure
        for subscription in list(self._subscriptions.values()):
            if failure is not None:
                self._drop(subscription, failure)
            elif current is not None:
                self._connector.spawn(self._join(current, subscription))
        if current is not None:
            self._welcome = current.welcome
        if self._on_state is not None:
            self._on_state(self.state)

    def _has(self, subscription: Subscription) -> bool:
        return self._subscriptions.get(subscription.channel) is subscription

    def _drop(self, subscription: Subscription, reason: Exception) -> None:
        if self._has(subscription):
            del self._subscriptions[subscription.channel]
            subscription.end(reason)
