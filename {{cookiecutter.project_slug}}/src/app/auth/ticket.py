"""A connection proves who it is by a ticket in its URL: fetched over HTTP, good for one use."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_urlsafe

from fastapi import Depends, Request
from pydantic import BaseModel, TypeAdapter
from starlette.requests import HTTPConnection

from ..budget import Want
from ..coordination.base import Coordination
from ..protocol.errors import CloseCode, CommandError, Disconnect, ErrorCode
from .base import SERVER, Authenticator, Principal
from .bearer import ByBearer
from .dependencies import CurrentPrincipal, not_stored
from .sign_out import sign_out_routes
from .tokens import open_tokens

TICKET_SECONDS = 30
LONGEST = 64
"""Characters of a ticket; it is not even looked up beyond that."""

_PRINCIPAL = TypeAdapter(Principal)

auth_routes = sign_out_routes()


class Ticket(BaseModel):
    """What opens one connection within `expires_in` seconds: `/ws?ticket=`."""

    ticket: str
    expires_in: int = TICKET_SECONDS


@dataclass(frozen=True)
class Tickets(ByBearer):
    """Gives out tickets over HTTP, and takes each back once, on whichever node it comes to."""

    coordination: Coordination

    async def issue(self, principal: Principal) -> Ticket:
        """A ticket with which a principal connects; good for no longer than what proved it."""
        ticket = token_urlsafe(24)
        value = _PRINCIPAL.dump_json(principal).decode()
        await self.coordination.put(_key(ticket), value, TICKET_SECONDS)
        return Ticket(ticket=ticket)

    async def at_handshake(self, connection: HTTPConnection) -> Principal | None:
        """Whom `ticket` in the query was given to."""
        return await self.by_token(connection.query_params.get("ticket", ""))

    async def by_token(self, token: str) -> Principal:
        """Whom the ticket was given to; it is spent by that."""
        if not token:
            raise Disconnect(CloseCode.UNAUTHENTICATED)
        value = await self.coordination.take(_key(token)) if len(token) <= LONGEST else None
        if value is None:
            raise Disconnect(CloseCode.TICKET_SPENT)
        principal = _PRINCIPAL.validate_json(value)
        if principal.expires_at is not None and principal.expires_at <= datetime.now(UTC):
            raise Disconnect(CloseCode.CREDENTIAL_EXPIRED)
        return principal


AMBIENT = Tickets.ambient


def _key(ticket: str) -> str:
    """Who reads the store cannot connect with what is there."""
    return f"ticket:{sha256(ticket.encode(errors='replace')).hexdigest()}"


@auth_routes.post("/ticket", status_code=201, dependencies=[Depends(not_stored)])
async def fetch_ticket(request: Request, principal: CurrentPrincipal) -> Ticket:
    """A ticket for whom the token proves, good for one connection; as often as one may command."""
    if principal is SERVER:
        raise CommandError(ErrorCode.FORBIDDEN, "a key is no user: come with a user's token")
    node = request.state.node
    rate, burst = node.limits.commands_per_second, node.limits.commands_burst
    tickets: Tickets = node.authenticator
    (wait,) = await tickets.coordination.spend((Want(f"ticket:{principal.user}", rate, burst),))
    if wait:
        raise CommandError(ErrorCode.RATE_LIMITED, "you ask for too many", retry_after=wait)
    return await tickets.issue(principal)


@asynccontextmanager
async def open_authenticator(coordination: Coordination) -> AsyncIterator[Authenticator]:
    """The way in."""
    async with open_tokens() as tokens:
        yield Tickets(tokens, coordination)
