"""Signs users in, and keeps them signed in: with each token comes what renews it, once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from secrets import token_urlsafe
from uuid import uuid4

import structlog
from pydantic import BaseModel
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..auth.base import LEEWAY, Principal
from ..auth.tokens import sign
from ..database.base import Database
from ..database.models import RefreshToken
from .settings import AccountSettings
from .users import Known, add, hold, taken

log = structlog.stdlib.get_logger(__name__)

BITS = 256
PRUNED_AT_ONCE = 20
"""How many that have expired are removed where one is added."""


class Token(BaseModel):
    """What signs somebody in for `expires_in` seconds, and what to get another one with, once."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the name of a kind of token
    expires_in: int
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Families:
    """Refresh tokens; those that renewed each other are a family, which begins with a sign-in."""

    database: Database
    settings: AccountSettings

    async def register(self, new: Known) -> Token:
        """Sign a new user in; raises CONFLICT if the name is taken."""

        def work(connection: Connection) -> Token:
            add(new, connection)
            return self._issue(new, uuid4().hex, connection)

        try:
            return await self.database.run(work, writes=True)
        except IntegrityError:
            raise taken() from None

    async def begin(self, name: str, password_hash: str) -> Token | None:
        """Sign a user in; None if the password has been changed since it was verified."""

        def work(connection: Connection) -> Token | None:
            user = hold(name, connection)
            if user is None or user.password_hash != password_hash:
                return None
            return self._issue(user, uuid4().hex, connection)

        return await self.database.run(work, writes=True)

    async def renew(self, refresh_token: str) -> Token | Sequence[Principal]:
        """Another token, to one caller; of those who come later one at least is a thief.

        Nobody knows which, so the family ends then: gives whom its tokens prove.
        """
        digest = _digest(refresh_token)
        wanted = select(RefreshToken.user).where(RefreshToken.digest == digest)
        name = await self.database.run(lambda c: c.execute(wanted).scalar_one_or_none())
        if name is None:
            return ()
        return await self.database.run(partial(self._renew, name, digest), writes=True)

    def _renew(
        self, name: str, digest: bytes, connection: Connection
    ) -> Token | Sequence[Principal]:
        user, this = hold(name, connection), RefreshToken.digest == digest
        found = connection.execute(select(RefreshToken.__table__).where(this)).one_or_none()
        now = datetime.now(UTC)
        if user is None or found is None or found.revoked_at or found.expires_at <= now:
            return ()
        if found.used_at is not None:
            log.warning("refresh token used again: its family is revoked", user=name)
            return end_family(found.family, connection)
        connection.execute(update(RefreshToken).where(this).values(used_at=now))
        return self._issue(user, found.family, connection)

    def _issue(self, user: Known, family: str, connection: Connection) -> Token:
        now, token_id, refresh_token = datetime.now(UTC), uuid4().hex, token_urlsafe(BITS // 8)
        seconds, scopes = self.settings.access_seconds, frozenset(user.scopes.split())
        new = {
            "digest": _digest(refresh_token),
            "family": family,
            "user": user.name,
            "access_token_id": token_id,
            "access_expires_at": now + timedelta(seconds=seconds),
            "expires_at": now + timedelta(seconds=self.settings.refresh_seconds),
        }
        connection.execute(insert(RefreshToken).values(new))
        _prune(now, connection)
        token = sign(user.name, name=user.name, scopes=scopes, seconds=seconds, token_id=token_id)
        return Token(access_token=token, expires_in=seconds, refresh_token=refresh_token)


def end_family(family: str, connection: Connection) -> Sequence[Principal]:
    """Revoke a family, under the lock of its user; gives whom its tokens still prove."""
    now, here = datetime.now(UTC), RefreshToken.family == family
    connection.execute(update(RefreshToken).where(here).values(revoked_at=now))
    tokens = select(
        RefreshToken.user, RefreshToken.access_token_id, RefreshToken.access_expires_at
    ).where(here, RefreshToken.access_expires_at > now)
    return [
        Principal(user, token_id=token_id, expires_at=expires_at)
        for user, token_id, expires_at in connection.execute(tokens)
    ]


def _prune(now: datetime, connection: Connection) -> None:
    """Remove some that have expired, whoever had them; not those that another is removing."""
    # By the clock of another node the token that one was given with may be good still.
    over = RefreshToken.expires_at <= now - timedelta(seconds=LEEWAY)
    expired = select(RefreshToken.digest).where(over).limit(PRUNED_AT_ONCE)
    free = expired.order_by(RefreshToken.expires_at).with_for_update(skip_locked=True)
    connection.execute(delete(RefreshToken).where(RefreshToken.digest.in_(free)))


def _digest(refresh_token: str) -> bytes:
    """What is kept of it: who reads the database cannot use what is there."""
    return sha256(refresh_token.encode()).digest()
