"""Knows who is in which channel of this process."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from itertools import islice, takewhile
from time import monotonic
from typing import Annotated

from pydantic import Field

from ..protocol.events import Member, Roster
from ..settings import Section
from .base import Change, Entry

UNWATCHED_SECONDS = 60.0
"""How long a leave waits for a sweep of its channel; later nobody is there who could be told."""


class MemoryPresenceSettings(Section):
    """How long somebody may be away without having left."""

    presence_grace_seconds: Annotated[float, Field(ge=0)] = 5


_Attendance = tuple[Member, set[str]]
"""One user in one channel, and the sessions; without one the grace runs."""


class MemoryPresence:
    """Counts each user once; the grace lasts until a sweep reports the leave: the two alternate."""

    carries = False

    def __init__(self, grace: float, clock: Callable[[], float] = monotonic) -> None:
        self._grace = grace
        self._clock = clock
        self._channels: dict[str, dict[str, _Attendance]] = {}
        self._leaving: OrderedDict[tuple[str, str], float] = OrderedDict()
        """When each leave is due, soonest first."""

    async def enter(self, entries: Sequence[Entry]) -> Sequence[Change]:
        """Note sessions; a join per user who was not there."""
        return [change for entry in entries if (change := self._enter(entry))]

    def _enter(self, entry: Entry) -> Change | None:
        users = self._channels.setdefault(entry.channel, {})
        user = entry.member.id
        self._leaving.pop((entry.channel, user), None)
        if user in users:
            users[user][1].add(entry.session)
            return None
        users[user] = entry.member, {entry.session}
        return Change(entry.channel, entry.member, len(users), joined=True)

    async def leave(self, entries: Sequence[Entry]) -> None:
        """Remove sessions; with a user's last one the grace begins."""
        for entry in entries:
            channel, user = entry.channel, entry.member.id
            _, sessions = self._channels.get(channel, {}).get(user, (None, set()))
            if entry.session in sessions:
                sessions.remove(entry.session)
                if not sessions:
                    self._leaving[channel, user] = self._clock() + self._grace

    async def roster(self, channel: str, limit: int) -> Roster:
        """Those whose join was reported, and whose leave was not."""
        users = self._channels.get(channel, {})
        return Roster(users=[who for who, _ in islice(users.values(), limit)], count=len(users))

    async def renew(self) -> bool:
        """Nothing to prolong: the entries end with the process."""
        return True

    async def sweep(self, channels: Collection[str]) -> Sequence[Change]:
        """The leaves that are due in these channels, and no trace of those that nobody watches."""
        now, watched, changes = self._clock(), frozenset(channels), []
        over = list(takewhile(lambda item: item[1] <= now, self._leaving.items()))
        for (channel, user), due in over:
            if channel in watched:
                changes.append(self._remove(channel, user))
            elif due + UNWATCHED_SECONDS <= now:
                self._remove(channel, user)
        return changes

    def _remove(self, channel: str, user: str) -> Change:
        del self._leaving[channel, user]
        users = self._channels[channel]
        member, _ = users.pop(user)
        if not users:
            del self._channels[channel]
        return Change(channel, member, len(users), joined=False)


@asynccontextmanager
async def open_presence(clock: Callable[[], float] = monotonic) -> AsyncIterator[MemoryPresence]:
    """Presence for the one process there is."""
    yield MemoryPresence(MemoryPresenceSettings().presence_grace_seconds, clock)
