"""Who is connected since when, and an end to it, for those who keep order."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel

from ..auth.dependencies import CurrentPrincipal, CurrentRevocations
from ..features.base import CurrentNode
from ..protocol.errors import CommandError, ErrorCode
from ..protocol.events import Member
from ..realtime.session import Session


async def _keeps_order(principal: CurrentPrincipal) -> None:
    if "admin" not in principal.scopes:
        raise CommandError(ErrorCode.FORBIDDEN, "needs X-API-Key, or the scope admin")


router = APIRouter(
    prefix="/api/connections", tags=["connections"], dependencies=[Depends(_keeps_order)]
)


class ConnectionView(BaseModel):
    """One connection; `buffered` counts the bytes that wait for its client."""

    session: str
    user: Member
    connected_at: datetime
    heard_at: datetime
    expires_at: datetime | None
    channels: Sequence[str]
    buffered: int

    @classmethod
    def of(cls, session: Session) -> "ConnectionView":
        """A session as the API shows it."""
        return cls(
            session=session.id,
            user=session.principal.member,
            connected_at=_moment(session.opened),
            heard_at=_moment(session.link.heard),
            expires_at=session.principal.expires_at,
            channels=sorted(session.subscriptions),
            buffered=session.link.buffered,
        )


class ConnectionList(BaseModel):
    """Connections to one node, oldest first; `total` counts all that fit the question."""

    node: str
    total: int
    connections: Sequence[ConnectionView]


@router.get("", response_model_exclude_none=True)
async def list_connections(
    node: CurrentNode,
    user: Annotated[str | None, Query(max_length=256)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> ConnectionList:
    """Connections to the node that answers, of everybody or of one user."""
    found = [
        session
        for session in node.hub.sessions.values()
        if user is None or session.principal.user == user
    ]
    shown = [ConnectionView.of(session) for session in islice(found, limit)]
    return ConnectionList(node=node.id, total=len(found), connections=shown)


@router.delete("", status_code=204)
async def revoke_user(
    user: Annotated[str, Query(min_length=1, max_length=256)], revocations: CurrentRevocations
) -> None:
    """End all connections of a user, on every node; what the user has to sign in with ends, too.

    Credentials that are issued from now on are good again.
    """
    await revocations.revoke_user(user)


@router.delete("/{session}", status_code=204)
async def end_connection(
    session: Annotated[str, Path(pattern="^[0-9a-f]{16}$")], revocations: CurrentRevocations
) -> None:
    """End one connection, on whichever node it is; also if it has ended already."""
    await revocations.end(session)


def _moment(then: float) -> datetime:
    """A time of the monotonic clock, as people tell it."""
    return datetime.now(UTC) - timedelta(seconds=max(monotonic() - then, 0))
