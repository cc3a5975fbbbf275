"""Keeps history in Redis: bounded by number and age, and carried to every node as it is stored."""

import json
import math
from asyncio import gather
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from secrets import token_hex
from typing import Any

import structlog

from ..budget import too_much
from ..commands import Commands
from ..protocol.channels import Position
from ..protocol.errors import CommandError, ErrorCode, Unavailable
from ..redis import Argument, RedisClient, RedisSettings, open_redis, topic
from ..settings import Count, Positive, Section
from .base import Draft, Health, Outcome, Page, Publication, Receipt, Room
from .scripts import APPEND, READ, ROTATE, TOPS

log = structlog.stdlib.get_logger(__name__)

KEY_SECONDS = 300
"""How long a key is remembered, whether or not its publication is."""
FORGOTTEN_SECONDS = 30 * 86_400
"""How long a channel that keeps nothing may be silent, and followed by nobody, before it is new."""
LONGEST = 10**15
"""Milliseconds that Redis still takes for a duration."""
MOST_TOPS = 100
"""Of how many channels one script tells, so that others need not wait for long."""

history_commands: Commands = ()
"""Redis needs no looking after by commands."""


class RedisHistorySettings(Section):
    """How much of each channel is kept."""

    history_length: Count = 1_000
    history_seconds: Positive = 3_600


@dataclass
class RedisHistory:
    """Numbers, keeps and announces publications, each by one script, and knows the rooms.

    What may have lost something begins a new epoch: a server that was started or promoted since,
    unless it is `lossless`, and a channel that is gone. It does so once, whoever comes first.
    """

    client: RedisClient
    length: int
    seconds: float
    lossless: bool
    carries: bool = True

    @property
    def health(self) -> Health:
        """How Redis does."""
        return Health.DOWN if self.client.away else Health.UP

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        """Store and announce drafts, in one round trip; what nobody heard of is Unavailable."""
        answers = await gather(*map(self._append, drafts), return_exceptions=True)
        return [_outcome(*each) for each in zip(drafts, answers, strict=True)]

    def _append(self, draft: Draft) -> Any:
        channel, cost = draft.channel, draft.cost
        keys = [self._key(channel, "meta"), self._key(channel, "log")]
        if draft.key is not None:
            keys.append(self._key(channel, f"key:{len(draft.sender)}:{draft.sender}:{draft.key}"))
        if cost is not None:
            keys.append(f"{self.client.prefix}:budget:{cost.key}")
        return self.client.run(
            APPEND,
            tuple(keys),
            *self._standing(),
            topic(self.client.prefix, channel),
            draft.body,
            draft.digest or b"",
            *((cost.rate, cost.burst) if cost else ("", "")),
            self.length,
            self._kept,
            KEY_SECONDS * 1000,
        )

    async def read(
        self, channel: str, *, after: int | None = None, before: int | None = None, limit: int
    ) -> Page:
        """A page as of now."""
        keys = self._key(channel, "meta"), self._key(channel, "log")
        first: Argument = "" if after is None else after + 1
        last: Argument = "" if before is None else max(before - 1, 0)
        asked = self.client.run(READ, keys, *self._standing(), self._kept, first, last, limit)
        epoch, top, *found = await asked
        pairs = zip(found[::2], found[1::2], strict=True)
        page = [Publication(int(name.partition(b"-")[0]), body) for name, body in pairs]
        return Page(epoch.decode(), top, sorted(page))

    async def tops(self, channels: Collection[str]) -> Mapping[str, Position]:
        """Where each channel stands, in one round trip."""
        keys = [self._key(channel, "meta") for channel in channels]
        steps = range(0, len(keys), MOST_TOPS)
        asked = [
            self.client.run(TOPS, tuple(keys[at : at + MOST_TOPS]), *self._standing())
            for at in steps
        ]
        told = [each for answer in await gather(*asked) for each in answer]
        places = zip(told[::2], told[1::2], strict=True)
        return dict(zip(channels, map(_position, places), strict=True))

    async def rotate(self, channel: str, epoch: str) -> Position:
        """Begin a new epoch, in which what is kept stays at its offset."""
        keys = (self._key(channel, "meta"),)
        return _position(await self.client.run(ROTATE, keys, *self._standing(), epoch))

    async def prune(self) -> int:
        """Each append and each read prune their channel, and Redis what nobody writes to."""
        return 0

    async def create(self, room: Room) -> bool:
        """Keep the room, unless its channel is one."""
        said = [room.title, room.created_at.isoformat(), room.created_by]
        return bool(await self.client.ask("HSETNX", self._rooms, room.channel, json.dumps(said)))

    async def rooms(self) -> Sequence[Room]:
        """All rooms, oldest first."""
        found = await self.client.ask("HGETALL", self._rooms)
        rooms = map(_room, found[::2], found[1::2])
        return sorted(rooms, key=lambda room: room.created_at)

    async def describe(self, channel: str) -> Room | None:
        """The room on this channel."""
        said = await self.client.ask("HGET", self._rooms, channel)
        return None if said is None else _room(channel.encode(), said)

    @property
    def _rooms(self) -> str:
        return f"{self.client.prefix}:rooms"

    def _key(self, channel: str, what: str) -> str:
        """All keys of a channel share the part in braces, which says where a cluster has them."""
        return self.client.prefix + ":{" + channel + "}:" + what

    @cached_property
    def _kept(self) -> int:
        """Milliseconds."""
        return math.ceil(min(self.seconds * 1000, LONGEST))

    def _standing(self) -> tuple[Argument, ...]:
        """What every script begins with."""
        return token_hex(8), int(self.lossless), self._kept + FORGOTTEN_SECONDS * 1000


def _outcome(draft: Draft, answer: Any) -> Outcome:
    if isinstance(answer, Unavailable):
        return answer
    if isinstance(answer, Exception):
        log.error("append failed", error=str(answer))
        return CommandError(ErrorCode.INTERNAL, "the message could not be stored")
    if isinstance(answer, BaseException):
        raise answer
    if answer[0] == b"wait":
        return too_much(float(answer[1]))
    if answer[0] == b"conflict":
        return CommandError(ErrorCode.CONFLICT, "this key stands for other data", field="key")
    known = answer[2]
    return Receipt(_position(answer), known or draft.body, duplicate=known is not None)


def _position(answer: Sequence[Any]) -> Position:
    return Position(answer[0].decode(), answer[1])


def _room(channel: bytes, said: bytes) -> Room:
    title, created_at, created_by = json.loads(said)
    return Room(channel.decode(), title, datetime.fromisoformat(created_at), created_by)


@asynccontextmanager
async def open_history() -> AsyncIterator[RedisHistory]:
    """The history that the nodes on one Redis share."""
    bounds, settings = RedisHistorySettings(), RedisSettings()
    async with open_redis(settings) as client:
        yield RedisHistory(
            client, bounds.history_length, bounds.history_seconds, settings.redis_lossless
        )
