"""Many connections to one server, opened some at a time."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from .connection import Connection
from .dialects import CHANNEL, DIALECTS
from .frames import frame
from .job import Job
from .tally import MeasurementError, Tally

AT_ONCE = 50
"""Connections that are being opened; every server's backlog takes as many."""

PER_CONNECTION = 100
"""Other channels that one connection subscribes to."""

PROBES = 20
PROBE_SECONDS = 2.0


@dataclass(eq=False)
class Crowd:
    """The clients of one job."""

    job: Job
    tally: Tally = field(default_factory=Tally)
    connections: list[Connection] = field(default_factory=list)
    published: int = 0
    """How many messages were published, by anyone; the number of the next."""

    def __post_init__(self) -> None:
        """Learn how to speak."""
        self.dialect = DIALECTS[self.job.dialect]

    async def connect(
        self,
        count: int,
        channels: Sequence[Sequence[str]] = (),
        at_once: int = AT_ONCE,
        port: int | None = None,
    ) -> list[Connection]:
        """New connections, ready; the first with the first of `channels`, and so on.

        Without a `port` they are to the server that is measured.
        """
        new = [Connection(self.dialect, self.tally, self.job.patience) for _ in range(count)]
        self.connections += new
        for begin in range(0, count, at_once):
            async with asyncio.TaskGroup() as tasks:
                for place in range(begin, min(begin + at_once, count)):
                    wanted = channels[place] if place < len(channels) else ()
                    tasks.create_task(self._ready(new[place], list(wanted), port))
        return new

    async def _ready(self, connection: Connection, channels: list[str], port: int | None) -> None:
        await connection.open(port or self.job.port)
        if channels:
            await self.dialect.subscribe(connection, channels)
        connection.set_up()

    async def subscribers(self, count: int) -> list[Connection]:
        """New connections that subscribed to the channel."""
        return await self.connect(count, [[CHANNEL]] * count)

    async def others(self) -> None:
        """The connections and channels that the job wants beside those which are measured."""
        await self.connect(self.job.idle)
        names = [f"r{number}" for number in range(self.job.channels)]
        shares = [names[at : at + PER_CONNECTION] for at in range(0, len(names), PER_CONNECTION)]
        await self.connect(len(shares), shares)

    def frames(self, count: int) -> bytes:
        """The next messages, as the publisher writes them."""
        numbers = range(self.published, self.published + count)
        self.published += count
        return b"".join(frame(self.dialect.publish(number)) for number in numbers)

    async def until_heard(self, subscribers: Sequence[Connection], publisher: Connection) -> None:
        """Publish until one message has reached all: then everybody is subscribed.

        A server may register a connection after it has answered the upgrade.
        """
        for _ in range(PROBES):
            before = [each.received for each in subscribers]
            self.tally.outstanding = len(subscribers)
            publisher.write(self.frames(1))
            with suppress(MeasurementError):
                await self.tally.all_arrived(PROBE_SECONDS)
            self.tally.check()
            if all(n + 1 == c.received for n, c in zip(before, subscribers, strict=True)):
                return
        raise MeasurementError(f"{PROBES} messages did not reach everybody")

    def leave(self) -> None:
        """End all connections."""
        for connection in self.connections:
            connection.leave()
