"""Keeps the presence store in step with the sessions here, and announces who came and left."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import groupby

import structlog

from ..broker.base import Broker, Kind, Packet
from ..presence.base import Change, Entry, Presence
from ..protocol.codec import encode
from ..protocol.errors import Unavailable
from ..protocol.events import Join, Leave

log = structlog.stdlib.get_logger(__name__)

BEAT_SECONDS = 1.0
"""How often leaves that are due are looked for."""

_Step = tuple[bool, Entry, asyncio.Future[None] | None]


class Attendance:
    """Enters and leaves in the order in which sessions did, many at a time.

    One order for both is what keeps a session that came and went at once from staying for ever.
    """

    def __init__(
        self, presence: Presence, broker: Broker, channels: Callable[[], Collection[str]]
    ) -> None:
        self._presence = presence
        self._broker = broker
        self._channels = channels
        self._here: set[Entry] = set()
        self._steps: list[_Step] = []
        self._wake = asyncio.Event()

    async def enter(self, entry: Entry) -> None:
        """Note a session in a channel; known to every node on return."""
        done = asyncio.get_running_loop().create_future()
        self._here.add(entry)
        self._step(True, entry, done)
        await done

    def leave(self, entry: Entry) -> None:
        """Note that a session left, soon."""
        self._here.discard(entry)
        self._step(False, entry, None)

    async def run(self) -> None:
        """Carry out the steps, and announce the leaves that are due, until cancelled."""
        clock = asyncio.get_running_loop().time
        due = clock() + BEAT_SECONDS
        while True:
            try:
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
                await self._carry_out()
            except TimeoutError:
                due = clock() + BEAT_SECONDS
                await self._attempt(self._beat())

    def _step(self, comes: bool, entry: Entry, done: asyncio.Future[None] | None) -> None:
        self._steps.append((comes, entry, done))
        self._wake.set()

    async def _carry_out(self) -> None:
        self._wake.clear()
        steps, self._steps = self._steps, []
        for comes, run in groupby(steps, key=lambda step: step[0]):
            await self._carry_out_alike(comes, list(run))

    async def _carry_out_alike(self, comes: bool, steps: Sequence[_Step]) -> None:
        failure: Unavailable | None = None
        try:
            if comes:
                await self._announce(await self._presence.enter([entry for _, entry, _ in steps]))
            else:
                # One that came back meanwhile is here.
                await self._presence.leave([e for _, e, _ in steps if e not in self._here])
        except Unavailable as error:
            failure = error
            self._steps += [step for step in steps if not comes]
        for _, _, done in steps:
            if done is not None and not done.done():
                done.set_exception(failure) if failure else done.set_result(None)

    async def _beat(self) -> None:
        await self._carry_out()
        if not await self._presence.renew():
            await self._presence.enter(list(self._here))
        await self._announce(await self._presence.sweep(self._channels()))

    async def _attempt(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Unavailable:
            log.warning("presence is unavailable")

    async def _announce(self, changes: Sequence[Change]) -> None:
        if changes:
            await self._broker.publish([_packet(change) for change in changes])


def _packet(change: Change) -> Packet:
    event = Join if change.joined else Leave
    frame = encode(event(channel=change.channel, user=change.member, count=change.count))
    return Packet(Kind.PRESENCE, change.channel, frame)
