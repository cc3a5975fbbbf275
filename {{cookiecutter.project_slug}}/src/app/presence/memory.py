"""Knows who is in which channel of this process."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class _Attendance:
    """One user in one channel; without a session the grace runs."""

    member: Member
    sessions: set[str] = field(default_factory=set)


class MemoryPresence:
    """Counts each user once; the grace lasts until a sweep reports the leave: the two alternate."""

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
            users[user].sessions.add(entry.session)
            return None
        users[user] = _Attendance(entry.member, {entry.session})
        return Change(entry.channel, entry.member, len(users), joined=True)

    async def leave(self, entries: Sequence[Entry]) -> None:
        """Remove sessions; with a user's last one the grace begins."""
        for channel, user, session in ((e.channel, e.member.id, e.session) for e in entries):
            attendance = self._channels.get(channel, {}).get(user)
            if attendance and session in attendance.sessions:
                attendance.sessions.remove(session)
                if not attendance.sessions:
                    self._leaving[channel, user] = self._clock() + self._grace

    async def roster(self, channel: str, limit: int) -> Roster:
        """Those whose join was reported, and whose leave was not."""
        users = self._channels.get(channel, {})
        return Roster(users=[a.member for a in islice(users.values(), limit)], count=len(users))

    async def renew(self) -> bool:
        """Nothing to prolong: the entries end with the process."""
        return True

    async def sweep(self, channels: Collection[str]) -> Sequence[Change]:
        """The leaves that are due in these channels, and no trace of those that nobody watches."""
        now = self._clock()
        watched = frozenset(channels)
        changes = []
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
        member = users.pop(user).member
        if not users:
            del self._channels[channel]
        return Change(channel, member, len(users), joined=False)


@asynccontextmanager
async def open_presence(clock: Callable[[], float] = monotonic) -> AsyncIterator[MemoryPresence]:
    """Presence for the one process there is."""
    yield MemoryPresence(MemoryPresenceSettings().presence_grace_seconds, clock)
