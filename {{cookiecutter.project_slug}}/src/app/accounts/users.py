"""The users in the database: their passwords, and what they may do."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..database.base import Database
from ..database.models import RefreshToken, User
from ..protocol.errors import CommandError, ErrorCode
from .names import key_of


class Known(NamedTuple):
    """Somebody who has an account."""

    name: str
    password_hash: str
    scopes: str


_KNOWN = select(User.name, User.password_hash, User.scopes)


@dataclass(frozen=True, slots=True)
class Users:
    """Knows who has an account; raises Unavailable as the database does."""

    database: Database

    async def find(self, name: str) -> Known | None:
        """Who has this name, in whatever case; None if there is no such user."""
        wanted = _KNOWN.where(User.key == key_of(name))
        row = await self.database.run(lambda c: c.execute(wanted).one_or_none())
        return None if row is None else Known(*row)

    async def add(self, name: str, password_hash: str, scopes: str) -> None:
        """Have another user; raises CONFLICT if the name is taken."""
        new = Known(name, password_hash, scopes)
        try:
            await self.database.run(lambda c: add(new, c), writes=True)
        except IntegrityError:
            raise taken() from None

    async def change_password(self, name: str, password_hash: str) -> bool:
        """Have another password, and sign out everywhere; False if there is no such user."""

        def work(connection: Connection) -> bool:
            change = (
                update(User).where(User.key == key_of(name)).values(password_hash=password_hash)
            )
            changed = connection.execute(change.returning(User.name)).scalar_one_or_none()
            return changed is not None and revoke_all(changed, connection) is not None

        return await self.database.run(work, writes=True)


def add(new: Known, connection: Connection) -> None:
    """Store another user; IntegrityError if the name is taken."""
    row = new._asdict() | {"key": key_of(new.name), "created_at": datetime.now(UTC)}
    connection.execute(insert(User).values(row))


def hold(name: str, connection: Connection) -> Known | None:
    """Lock a user's row: under it, and not else, what signs the user in changes."""
    row = connection.execute(_KNOWN.where(User.name == name).with_for_update()).one_or_none()
    return None if row is None else Known(*row)


def revoke_all(name: str, connection: Connection) -> datetime | None:
    """Revoke all that a user has until the moment that this gives; None if there is no such user.

    The tokens that are on record are marked, so that no clock decides whether one was before.
    """
    if hold(name, connection) is None:
        return None
    # Not sooner: until now another may have been issuing.
    moment = datetime.now(UTC)
    connection.execute(update(User).where(User.name == name).values(tokens_not_before=moment))
    theirs = RefreshToken.user == name, RefreshToken.revoked_at.is_(None)
    connection.execute(update(RefreshToken).where(*theirs).values(revoked_at=moment))
    return moment


def taken() -> CommandError:
    """The name belongs to somebody."""
    return CommandError(ErrorCode.CONFLICT, "this name is taken", field="username")
