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
from .backoff import Clock
from .connection import Connection
from .connector import Connector
from .errors import Closed, ConnectionLost
from .events import Frame, Page, Position, Receipt, Roster, Welcome
from .registry import Registry
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
        self._connector = Connector(
            url,
            auth,
            options,
            receive=lambda connection, frame: self._registry.receive(connection, frame),
            changed=self._changed,
            random=random,
            clock=clock or Clock(),
        )
        self._registry = Registry(self._connector, buffer)
        self._scope = asyncio.TaskGroup()
        self._newest: Connection

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
        return self._newest.welcome

    async def subscribe(
        self, channel: str, *, last: int = 0, presence: bool = False, since: Position | None = None
    ) -> Subscription:
        """Follow a channel, from `since` or with its `last` messages.

        With `presence`, a Roster comes first, then Joined and Left. Raises CommandRefused, Closed.
        """
        self._connector.check()
        return await self._registry.subscribe(channel, last=last, presence=presence, since=since)

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
            return wire.receipt(await self._connector.ask("publish", fields))

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
        return wire.page(await self._connector.ask("history", fields))

    async def presence(self, channel: str) -> Roster:
        """Who is in a channel now."""
        return wire.roster(channel, await self._connector.ask("presence", {"channel": channel}))

    def _changed(self) -> None:
        """Follow the connector: move to its connection, or end with it."""
        if self._connector.failure is not None:
            self._registry.end(self._connector.failure)
        elif self._connector.current is not None:
            self._newest = self._connector.current
            self._registry.move(self._newest)
        if self._on_state is not None:
            self._on_state(self.state)
