"""Keeps the presence store in step with the sessions here, and announces who came and left."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby

import structlog

from ..broker.base import Broker, Kind, Packet
from ..presence.base import Change, Entry, Presence
from ..protocol.codec import encode
from ..protocol.errors import Unavailable
from ..protocol.events import PresencePush

log = structlog.stdlib.get_logger(__name__)

BEAT_SECONDS = 1.0
"""How often leaves that are due are looked for."""

_Step = tuple[Entry, asyncio.Future[None] | None]
"""A session that comes, and who waits for that; or one that leaves, for which nobody waits."""


@dataclass(eq=False)
class Attendance:
    """Enters and leaves in the order in which sessions did, many at a time.

    One order for both is what keeps a session that came and went at once from staying for ever.
    """

    presence: Presence
    broker: Broker
    channels: Callable[[], Collection[str]]
    _here: set[Entry] = field(default_factory=set)
    _steps: list[_Step] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def enter(self, entry: Entry) -> None:
        """Note a session in a channel; known to every node on return."""
        done = asyncio.get_running_loop().create_future()
        self._here.add(entry)
        self._steps.append((entry, done))
        self._wake.set()
        await done

    def leave(self, entry: Entry) -> None:
        """Note that a session left, soon."""
        self._here.discard(entry)
        self._steps.append((entry, None))
        self._wake.set()

    async def run(self) -> None:
        """Carry out the steps, and announce the leaves that are due, until cancelled."""
        clock = asyncio.get_running_loop().time
        due = clock() + BEAT_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._carry_out()
                if due <= clock():
                    due = clock() + BEAT_SECONDS
                    await self._beat()
            except Unavailable:
                log.warning("presence is unavailable")

    async def _carry_out(self) -> None:
        steps, self._steps = self._steps, []
        for comes, run in groupby(steps, key=lambda step: step[1] is not None):
            alike = list(run)
            try:
                if comes:
                    await self._announce(await self.presence.enter([each for each, _ in alike]))
                else:
                    # One that came back meanwhile is here.
                    gone = [entry for entry, _ in alike if entry not in self._here]
                    await self.presence.leave(gone)
            except Unavailable as error:
                _settle(alike, error)
                self._steps += [step for step in alike if not comes]
            _settle(alike, None)

    async def _beat(self) -> None:
        if not await self.presence.renew():
            await self.presence.enter(list(self._here))
        await self._announce(await self.presence.sweep(self.channels()))

    async def _announce(self, changes: Sequence[Change]) -> None:
        if changes:
            await self.broker.publish([_packet(change) for change in changes])


def _settle(steps: Sequence[_Step], failure: Unavailable | None) -> None:
    """Tell those who wait for these steps, unless they were told or are gone."""
    for _, done in steps:
        if done is not None and not done.done():
            done.set_exception(failure) if failure else done.set_result(None)


def _packet(change: Change) -> Packet:
    kind, channel = "join" if change.joined else "leave", change.channel
    event = PresencePush(type=kind, channel=channel, user=change.member, count=change.count)
    return Packet(Kind.PRESENCE, channel, encode(event).payload)
