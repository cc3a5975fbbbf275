"""Keeps history in a database: one transaction for many publications, under the channels' locks."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from time import time

import structlog
from sqlalchemy import Connection, bindparam, select, text, update
from sqlalchemy.exc import DataError, IntegrityError

from ..database.base import Database
from ..database.failures import said
from ..database.models import Channel, Moment, Publication
from ..database.models import Room as RoomRow
from ..protocol.channels import START, Position
from ..protocol.errors import CommandError, ErrorCode, Unavailable
from ..settings import Count, Positive, Section
from .base import Draft, Health, Outcome, Page, Room
from .base import Publication as Published
from .batch import Batch, Statements, UnknownChannel, new_epoch
from .retention import MOST_DELETED, Retention

log = structlog.stdlib.get_logger(__name__)

MOST_ASKED = 500
"""How many channels one statement asks for at most."""

_WHERE = select(Channel.epoch, Channel.top, Channel.floor).where(Channel.name == bindparam("name"))
_PAGE = select(Publication.offset, Publication.body).where(
    Publication.channel == bindparam("name"),
    Publication.offset > bindparam("above"),
    Publication.offset <= bindparam("until"),
)
_UPWARDS = _PAGE.order_by(Publication.offset).limit(bindparam("limit"))
_DOWNWARDS = _PAGE.order_by(Publication.offset.desc()).limit(bindparam("limit"))
_TOPS = select(Channel.name, Channel.epoch, Channel.top).where(
    Channel.name.in_(bindparam("names", expanding=True))
)
_ROTATE = (
    update(Channel)
    .where(Channel.name == bindparam("channel"), Channel.epoch == bindparam("old"))
    .values(epoch=bindparam("new"))
)
_CREATE = text(
    "INSERT INTO rooms (channel, title, created_at, created_by)"
    " VALUES (:channel, :title, :created_at, :created_by) ON CONFLICT (channel) DO NOTHING"
).bindparams(bindparam("created_at", type_=Moment))
_ROOMS = select(RoomRow.channel, RoomRow.title, RoomRow.created_at, RoomRow.created_by)


class SqlHistorySettings(Section):
    """How much of each channel is kept: everything, unless these say less."""

    history_length: Count | None = None
    history_seconds: Positive | None = None


class SqlHistory:
    """Numbers and keeps publications, and knows the rooms, for all processes on one database."""

    carries = False

    def __init__(
        self, database: Database, statements: Statements, clock: Callable[[], float] = time
    ) -> None:
        self.database = database
        self._statements = statements
        settings = SqlHistorySettings()
        self._retention = Retention(settings.history_length, settings.history_seconds)
        self._clock = clock
        self._pruned = ""
        """Up to which channel retention has come."""

    @property
    def health(self) -> Health:
        """How the database does."""
        if not self.database.reachable:
            return Health.DOWN
        return Health.UP if self.database.migrated else Health.OUTDATED

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        """Store drafts in one transaction; only where one of them spoils it, each in its own."""
        try:
            return await self._append(drafts) if drafts else ()
        except (DataError, IntegrityError) as error:
            if len(drafts) > 1:
                return await self._append_singly(drafts)
            log.warning("a publication was refused", why=said(error))
            refused = "the database cannot keep this"
            return [CommandError(ErrorCode.INVALID_MESSAGE, refused, field="data")]

    async def _append_singly(self, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        for draft in drafts:
            try:
                outcomes += await self.append([draft])
            except Unavailable as error:
                # What is stored already was acknowledged; for the rest, one such wait is enough.
                return outcomes + [error] * (len(drafts) - len(outcomes))
        return outcomes

    async def _append(self, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        batch = Batch(drafts, self._now(), self._statements)
        try:
            return await self.database.run(batch.append, writes=True)
        except UnknownChannel:
            return await self.database.run(batch.begin_and_append, writes=True)

    async def read(
        self, channel: str, *, after: int | None = None, before: int | None = None, limit: int
    ) -> Page:
        """A page; what it has is never changed, so two statements see the same."""

        def work(connection: Connection) -> Page:
            where = connection.execute(_WHERE, {"name": channel}).one_or_none()
            if where is None:
                return Page(START.epoch, START.offset, ())
            above, until = where.floor, where.top
            upwards = after is not None
            if after is not None:
                above = max(above, after)
            elif before is not None:
                until = min(until, before - 1)
            wanted = {"name": channel, "above": above, "until": until, "limit": limit}
            rows = connection.execute(_UPWARDS if upwards else _DOWNWARDS, wanted).all()
            found = [Published(offset, body.encode()) for offset, body in rows]
            return Page(where.epoch, where.top, found if upwards else found[::-1])

        return await self.database.run(work)

    async def tops(self, channels: Collection[str]) -> Mapping[str, Position]:
        """Where each channel stands."""
        tops, names = dict.fromkeys(channels, START), list(channels)
        for start in range(0, len(names), MOST_ASKED):
            tops |= await self.database.run(partial(_tops, names[start : start + MOST_ASKED]))
        return tops

    async def rotate(self, channel: str, epoch: str) -> Position:
        """Begin a new epoch, in which what is kept stays at its offset."""

        def work(connection: Connection) -> Position:
            change = {"channel": channel, "old": epoch, "new": new_epoch()}
            connection.execute(_ROTATE, change)
            return _tops([channel], connection).get(channel, START)

        return await self.database.run(work, writes=True)

    async def prune(self) -> int:
        """Delete what is too many or too old, channel by channel: none is locked for long."""
        deleted, now = 0, self._now()
        names = await self.database.run(partial(self._retention.beyond, now, self._pruned))
        if not names and self._pruned:
            names = await self.database.run(partial(self._retention.beyond, now, ""))
        for name in names:
            prune = partial(self._retention.prune, name, now, MOST_DELETED - deleted)
            deleted += await self.database.run(prune, writes=True)
            # The next call goes on behind it: one that always has more takes no other's turn.
            self._pruned = name
            if deleted >= MOST_DELETED:
                break
        return deleted or len(names)

    async def create(self, room: Room) -> bool:
        """Keep the room, unless its channel is one."""
        wanted = asdict(room)
        created = await self.database.run(
            lambda connection: connection.execute(_CREATE, wanted).rowcount, writes=True
        )
        return created == 1

    async def rooms(self) -> Sequence[Room]:
        """All rooms, oldest first."""
        ordered = _ROOMS.order_by(RoomRow.created_at, RoomRow.channel)
        rows = await self.database.run(lambda connection: connection.execute(ordered).all())
        return [Room(*row) for row in rows]

    async def describe(self, channel: str) -> Room | None:
        """The room on this channel."""
        wanted = _ROOMS.where(RoomRow.channel == channel)
        row = await self.database.run(lambda connection: connection.execute(wanted).one_or_none())
        return None if row is None else Room(*row)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _tops(names: Sequence[str], connection: Connection) -> dict[str, Position]:
    rows = connection.execute(_TOPS, {"names": names})
    return {name: Position(epoch, top) for name, epoch, top in rows}
