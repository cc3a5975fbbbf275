"""What was revoked of the tokens of users, as the database remembers it over a restart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, and_, select

from ..auth.base import Principal
from ..auth.revocation import issued_until
from ..database.base import Database
from ..database.models import RefreshToken, User
from .families import end_family
from .users import hold, revoke_all


@dataclass(frozen=True, slots=True)
class UserRecord:
    """Of who has no account, and signs in with tokens that others sign, nothing is on record."""

    database: Database

    async def revoked(self, principals: Sequence[Principal]) -> Sequence[bool]:
        """For each what its row says; if it has none, whether the user signed out everywhere since.

        So clocks matter only for what was not issued here, or so long ago that its row is gone.
        """
        token_id, revoked_at = RefreshToken.access_token_id, RefreshToken.revoked_at
        theirs = and_(
            RefreshToken.user == User.name,
            token_id.in_({each.token_id for each in principals if each.token_id}),
        )
        wanted = (
            select(User.name, User.tokens_not_before, token_id, revoked_at)
            .outerjoin(RefreshToken, theirs)
            .where(User.name.in_({each.user for each in principals}))
        )
        rows = await self.database.run(lambda c: c.execute(wanted).all())
        moments = {name: moment for name, moment, _, _ in rows}
        known = {(name, token): revoked is not None for name, _, token, revoked in rows}

        def is_over(principal: Principal) -> bool:
            moment = moments.get(principal.user)
            left = moment is not None and issued_until(principal, moment)
            return known.get((principal.user, principal.token_id or ""), left)

        return [is_over(each) for each in principals]

    async def revoke_token(self, principal: Principal) -> Sequence[Principal]:
        """Revoke the token's family."""

        def work(connection: Connection) -> Sequence[Principal]:
            hold(principal.user, connection)
            wanted = select(RefreshToken.family).where(
                RefreshToken.user == principal.user,
                RefreshToken.access_token_id == principal.token_id,
            )
            family = connection.execute(wanted).scalar_one_or_none()
            members = () if family is None else end_family(family, connection)
            return [each for each in members if each.token_id != principal.token_id]

        return await self.database.run(work, writes=True)

    async def revoke_user(self, user: str) -> datetime | None:
        """Revoke all tokens of the user, and what renews them; None if there is no such user."""
        return await self.database.run(partial(revoke_all, user), writes=True)
