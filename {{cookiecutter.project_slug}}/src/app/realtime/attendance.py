"""Keeps the presence store in step with the sessions here, and announces who came and left."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from ..broker.base import Broker, Kind, Packet
from ..presence.base import Change, Entry, Presence
from ..protocol.codec import encode
from ..protocol.errors import Unavailable
from ..protocol.events import PresencePush
from .channel import LocalChannel

log = structlog.stdlib.get_logger(__name__)

BEAT_SECONDS = 1.0
"""How often leaves that are due are looked for."""
ROSTER_LIMIT = 200
"""How many members an answer names; it counts all."""


@dataclass(eq=False)
class Attendance:
    """Carries out what came together together: first who comes, then who leaves and is not back.

    That order is what keeps a session that came and went at once from staying for ever.
    """

    presence: Presence
    broker: Broker
    channels: Mapping[str, LocalChannel] = field(default_factory=dict)
    """Those that are followed here."""
    gap: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where joins and leaves may have been missed."""
    _here: set[Entry] = field(default_factory=set)
    _coming: list[tuple[Entry, asyncio.Future[None]]] = field(default_factory=list)
    _leaving: list[Entry] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def enter(self, entry: Entry) -> None:
        """Note a session in a channel; known to every node on return."""
        known = asyncio.get_running_loop().create_future()
        self._here.add(entry)
        self._coming.append((entry, known))
        self._wake.set()
        await known

    def leave(self, entry: Entry) -> None:
        """Note that a session left, soon; nothing if it never came."""
        if entry in self._here:
            self._here.remove(entry)
            self._leaving.append(entry)
            self._wake.set()

    async def recount(self) -> None:
        """Tell those who watch who is here, after every gap; until cancelled."""
        while True:
            await self.gap.wait()
            self.gap.clear()
            try:
                for channel in [each for each in self.channels.values() if each.watching]:
                    await channel.recount(self.presence.roster(channel.name, ROSTER_LIMIT))
            except Unavailable:
                log.warning("presence is unavailable")
                self.gap.set()
                await asyncio.sleep(BEAT_SECONDS)

    async def run(self) -> None:
        """Carry out the steps, and announce the leaves that are due, until cancelled."""
        clock = asyncio.get_running_loop().time
        due = clock() + BEAT_SECONDS
        while True:
            try:
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            except TimeoutError:
                due = clock()  # The loop may take a moment just before it for the same.
            self._wake.clear()
            try:
                await self._carry_out()
                if due <= clock():
                    due = clock() + BEAT_SECONDS
                    await self._beat()
            except Unavailable:
                log.warning("presence is unavailable")

    async def _carry_out(self) -> None:
        coming, self._coming = self._coming, []
        leaving, gone = len(self._leaving), [e for e in self._leaving if e not in self._here]
        failure: Unavailable | None = None
        try:
            if coming:
                await self._announce(await self.presence.enter([entry for entry, _ in coming]))
        except Unavailable as error:
            failure = error
        for _, known in coming:
            if not known.done():
                known.set_exception(failure) if failure else known.set_result(None)
        try:
            if leaving:
                await self.presence.leave(gone)
            del self._leaving[:leaving]
        except Unavailable:
            # They leave with the next step or beat.
            log.warning("presence is unavailable")

    async def _beat(self) -> None:
        if not await self.presence.renew():
            await self._announce(await self.presence.enter(list(self._here)))
        await self._announce(await self.presence.sweep(self.channels.keys()))

    async def _announce(self, changes: Sequence[Change]) -> None:
        if changes and not self.presence.carries:
            await self.broker.publish([_packet(change) for change in changes])


def _packet(change: Change) -> Packet:
    kind, channel = "join" if change.joined else "leave", change.channel
    event = PresencePush(type=kind, channel=channel, user=change.member, count=change.count)
    return Packet(Kind.PRESENCE, channel, encode(event).payload)
