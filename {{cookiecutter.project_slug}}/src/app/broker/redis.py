"""Carries packets between nodes by Redis: one connection per node on which it hears the others."""

import asyncio
import math
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from secrets import token_hex
from time import monotonic

import structlog
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from ..background import open_background
from ..protocol.errors import Unavailable
from ..redis import Attempts, Connect, RedisClient, RedisSettings, connector, open_redis, topic
from .base import Gap, Health, Packet
from .hearing import BEAT_SECONDS, Hearing
from .packets import Arrivals, decode, encode

log = structlog.stdlib.get_logger(__name__)

MOST_AT_ONCE = 512
"""How many channels one round follows and forgets."""


class RedisBroker:
    """Publishes by one connection and listens on another, which is opened again when it ends.

    What is wanted and what Redis confirmed are brought together by one task, one round at a time:
    so a later follow wins over an earlier forget. Time in which nothing could be heard ends in a
    Gap, once all that is wanted is confirmed again.
    """

    def __init__(self, client: RedisClient, connect: Connect, seconds: float) -> None:
        self._client = client
        self._connect = connect
        self._seconds = seconds
        self._own = topic(client.prefix, f"node {token_hex(8)}")
        """What only this node follows; it is no name of a channel."""
        self._wanted = {self._own}
        self._due: set[str] = set()
        """Of which it has to be seen whether what is wanted is so."""
        self._confirmed: set[str] = set()
        """What reaches this node, as Redis said."""
        self._unanswered: set[bytes] = set()
        """What the round still waits for."""
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self._settled = asyncio.Condition()
        self._arrivals = Arrivals()
        self._hearing = Hearing()
        self._puzzled = False
        self._attempts = Attempts("the broker")

    @property
    def health(self) -> Health:
        """Deaf is who can speak, and does not hear itself."""
        if self._client.away:
            return Health.DOWN
        return Health.DEAF if self._hearing.is_deaf else Health.UP

    async def publish(self, packets: Sequence[Packet]) -> None:
        """Send all in one round trip."""
        prefix = self._client.prefix
        sent = [
            self._client.ask("PUBLISH", topic(prefix, packet.channel), encode(packet))
            for packet in packets
        ]
        for each in sent:
            await each

    async def follow(self, channels: Collection[str]) -> None:
        """Return once Redis confirmed them."""
        if self._client.away:
            raise Unavailable
        topics = {topic(self._client.prefix, channel) for channel in channels}
        self._wanted |= topics
        self._see_to(topics)
        try:
            async with asyncio.timeout(self._seconds), self._settled:
                await self._settled.wait_for(lambda: topics <= self._confirmed)
        except TimeoutError:
            raise Unavailable from None

    async def forget(self, channels: Collection[str]) -> None:
        """Tell Redis, soon."""
        topics = self._wanted & {topic(self._client.prefix, channel) for channel in channels}
        self._wanted -= topics
        self._see_to(topics)

    def deliveries(self) -> AsyncIterator[Sequence[Packet] | Gap]:
        """All that has arrived, whenever something has; a Gap comes first."""
        return self._arrivals.taken()

    async def listen(self) -> None:
        """Be connected, again and again, until cancelled."""
        while True:
            await self._attempts.pause()
            try:
                await self._stay_connected()
            except* (RedisError, OSError) as errors:
                self._attempts.failed(errors.exceptions[0])

    async def beat(self) -> None:
        """Say something to oneself, again and again, until cancelled."""
        while True:
            at = monotonic()
            with suppress(Unavailable):
                await self._client.ask("PUBLISH", self._own, b"")
            if self._client.away:
                self._hearing.cut_off()
            else:
                self._hearing.said(at)
            await asyncio.sleep(BEAT_SECONDS)

    async def _stay_connected(self) -> None:
        """Connect, follow what is wanted, hear what comes; raises when that ends."""
        self._due = set(self._wanted)
        async with asyncio.timeout(self._seconds):
            connection = await self._connect()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_what_is_wanted(connection))
                tasks.create_task(self._doubt())
                await self._hear(connection)
        finally:
            self._confirmed.clear()
            await connection.disconnect(nowait=True)

    async def _follow_what_is_wanted(self, connection: AbstractConnection) -> None:
        """Bring what Redis sends in line with what is wanted, one round after another."""
        complete = False
        while True:
            self._changed.clear()
            while self._due:
                some = {self._due.pop() for _ in range(min(len(self._due), MOST_AT_ONCE))}
                async with asyncio.timeout(self._seconds):
                    await self._round(connection, some)
            if not complete:
                # Whatever was said while nobody listened, has to be looked for.
                self._arrivals.add(Gap())
                self._attempts.worked()
                complete = True
            await self._changed.wait()

    async def _round(self, connection: AbstractConnection, topics: set[str]) -> None:
        more = topics & self._wanted - self._confirmed
        less = topics & self._confirmed - self._wanted
        # From here on somebody who follows one of these again waits for the next round.
        self._confirmed -= less
        self._unanswered = {each.encode() for each in more | less}
        commands = [("UNSUBSCRIBE", *less), ("SUBSCRIBE", *more)]
        packed = connection.pack_commands([each for each in commands if len(each) > 1])
        if not packed:
            return
        self._answered.clear()
        await connection.send_packed_command(packed, check_health=False)
        await self._answered.wait()
        self._confirmed |= more
        async with self._settled:
            self._settled.notify_all()

    async def _hear(self, connection: AbstractConnection) -> None:
        own, start = self._own.encode(), len(topic(self._client.prefix, ""))
        while True:
            kind, where, said = await connection.read_response(timeout=math.inf)
            if kind != b"message":
                self._unanswered.discard(where)
                if not self._unanswered:
                    self._answered.set()
            elif where == own:
                self._hearing.heard()
            else:
                try:
                    self._arrivals.add(decode(where[start:].decode(), said))
                except (ValueError, KeyError):
                    self._puzzle(where)

    async def _doubt(self) -> None:
        """Raise if what was said since this connection is there should have been heard by it."""
        began = monotonic()
        while not self._hearing.doubts(began):
            await asyncio.sleep(BEAT_SECONDS / 2)
        raise TimeoutError("it does not deliver")

    def _see_to(self, topics: set[str]) -> None:
        self._due |= topics
        self._changed.set()

    def _puzzle(self, where: bytes) -> None:
        """Say once that somebody else speaks here, perhaps a newer node."""
        if not self._puzzled:
            self._puzzled = True
            log.warning("what arrived cannot be understood", topic=where.decode(errors="replace"))


@asynccontextmanager
async def open_broker() -> AsyncIterator[RedisBroker]:
    """A broker for one of the nodes that share a Redis."""
    settings = RedisSettings()
    async with open_redis(settings) as client, open_background() as background:
        broker = RedisBroker(client, connector(settings), settings.redis_seconds)
        background.keep("broker", broker.listen)
        background.keep("beat", broker.beat)
        yield broker
