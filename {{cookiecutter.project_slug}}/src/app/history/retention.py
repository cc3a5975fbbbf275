"""Takes from a database what is too many or too old, a little at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    exists,
    false,
    func,
    or_,
    select,
    update,
)

from ..database.models import Channel, Publication

KEY_SECONDS = 300.0
"""How long a key is remembered at least, whether or not its publication is kept."""
MOST_DELETED, MOST_CHANNELS = 500, 100
"""How much is deleted, and in how many channels, before others have their turn."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How many publications of a channel are kept, and for how many seconds; None is for ever."""

    length: int | None
    seconds: float | None

    def beyond(self, now: datetime, after: str, connection: Connection) -> Sequence[str]:
        """The next channels where something is to be done now, by name."""
        if self.length is None and self.seconds is None:
            return ()
        many = false() if self.length is None else Channel.top - Channel.floor > self.length
        old = false() if self.seconds is None else Channel.oldest_at <= self._until(now)
        waits = exists().where(
            Publication.channel == Channel.name,
            Publication.offset == Channel.emptied + 1,
            *_remembered(now),
        )
        left = and_(Channel.emptied < Channel.floor, ~waits)
        wanted = select(Channel.name).where(Channel.name > after, or_(many, old, left))
        return (
            connection.execute(wanted.order_by(Channel.name).limit(MOST_CHANNELS)).scalars().all()
        )

    def prune(self, name: str, now: datetime, most: int, connection: Connection) -> int:
        """Delete at most so many publications of one channel; gives how many it were."""
        here = Channel.name == name
        locked = select(Channel.top, Channel.floor, Channel.emptied).where(here).with_for_update()
        top, floor, emptied = connection.execute(locked).one()
        if self.length is not None:
            floor = max(floor, top - self.length)
        changes: dict[str, object] = {}
        if self.seconds is not None:
            floor, oldest_at = self._aged(name, floor, top, now, most, connection)
            changes = {"oldest_at": oldest_at}
        gone = (Publication.channel == name, Publication.offset > emptied)
        stop = min(floor, emptied + most)
        remembered = select(func.min(Publication.offset)).where(
            *gone, Publication.offset <= stop, *_remembered(now)
        )
        if (first := connection.execute(remembered).scalar_one()) is not None:
            stop = first - 1
        connection.execute(delete(Publication).where(*gone, Publication.offset <= stop))
        changes |= {"floor": floor, "emptied": stop}
        connection.execute(update(Channel).where(here).values(changes))
        return stop - emptied

    def _aged(
        self, name: str, floor: int, top: int, now: datetime, most: int, connection: Connection
    ) -> tuple[int, datetime | None]:
        """Up to where it is too old, as far as this looks, and the time of what follows."""
        wanted = (
            select(Publication.offset, Publication.stored_at)
            .where(Publication.channel == name, Publication.offset > floor)
            .order_by(Publication.offset)
            .limit(most)
        )
        rows, until = connection.execute(wanted).all(), self._until(now)
        for offset, stored_at in rows:
            if stored_at > until:
                return floor, stored_at
            floor = offset
        return floor, rows[-1].stored_at if floor < top else None

    def _until(self, now: datetime) -> datetime:
        return now - timedelta(seconds=self.seconds or 0)


def _remembered(now: datetime) -> Sequence[ColumnElement[bool]]:
    """That a publication has a key which is still good for a retry."""
    since = now - timedelta(seconds=KEY_SECONDS)
    return Publication.key.is_not(None), Publication.stored_at > since
