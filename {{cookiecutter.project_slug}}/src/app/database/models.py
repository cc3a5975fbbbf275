"""The tables; change one here, then write its migration with `make migration`."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, ForeignKey, Index, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

NAMES = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""How constraints are called, so that a migration can name each."""


class Moment(TypeDecorator[datetime]):
    """A time in UTC, on every database; what comes back knows its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """In UTC, since a database may forget the zone."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """With its zone."""
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC)


class Base(DeclarativeBase):
    """What all tables share."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: dict[Any, Any] = {str: Text, datetime: Moment}  # noqa: RUF012


class Channel(Base):
    """Where a channel stands; its row is the lock under which positions are given."""

    __tablename__ = "channels"

    name: Mapped[str] = mapped_column(primary_key=True)
    epoch: Mapped[str]
    top: Mapped[int] = mapped_column(BigInteger)
    """The offset of the newest publication."""
    floor: Mapped[int] = mapped_column(BigInteger)
    """Retention took everything up to here."""
    emptied: Mapped[int] = mapped_column(BigInteger)
    """Rows up to here are deleted; between this and `floor` are keys that are still remembered."""
    oldest_at: Mapped[datetime | None]
    """When the publication after `floor` was stored."""


class Publication(Base):
    """What was published; `body` is the inside of its JSON object, as it goes out."""

    __tablename__ = "publications"
    __table_args__ = (
        Index("uq_publications_channel_sender_key", "channel", "sender", "key", unique=True),
    )

    channel: Mapped[str] = mapped_column(primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    message_id: Mapped[str]
    sender: Mapped[str]
    stored_at: Mapped[datetime]
    body: Mapped[str]
    key: Mapped[str | None]
    digest: Mapped[bytes | None]
    """Stands for the data, where there is a key."""


class Room(Base):
    """A channel that was created on purpose."""

    __tablename__ = "rooms"

    channel: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[str]


class User(Base):
    """Somebody who may sign in."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    """The name without its case: nobody else has one that differs in that alone."""
    password_hash: Mapped[str]
    scopes: Mapped[str] = mapped_column(default="")
    """Separated by blanks, as in a token."""
    created_at: Mapped[datetime]
    tokens_not_before: Mapped[datetime | None]
    """Every token that was issued before is refused, if it is in no row of `refresh_tokens`."""


class RefreshToken(Base):
    """What renews a token once; those that renewed each other are a family."""

    __tablename__ = "refresh_tokens"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    """SHA-256 of the token, which itself is not kept."""
    family: Mapped[str] = mapped_column(index=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"), index=True)
    access_token_id: Mapped[str] = mapped_column(index=True)
    """The token that it was given with."""
    access_expires_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    """With its whole family; so are the tokens that they were given with."""


class Notification(Base):
    """Something that a user is told, or everybody."""

    __tablename__ = "notifications"

    id: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str | None] = mapped_column(index=True)
    """None for everybody."""
    excluded: Mapped[str | None]
    """Of everybody, who is not told: ids of users, as a JSON array."""
    level: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[datetime]


class NotificationRead(Base):
    """That a user has read a notification."""

    __tablename__ = "notification_reads"

    notification: Mapped[str] = mapped_column(
        ForeignKey("notifications.id", ondelete="CASCADE"), primary_key=True
    )
    user: Mapped[str] = mapped_column(primary_key=True)
    read_at: Mapped[datetime]


class NotificationPreference(Base):
    """Whether a user wants to hear of notifications of a level."""

    __tablename__ = "notification_preferences"

    user: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[str] = mapped_column(primary_key=True)
    wanted: Mapped[bool]
