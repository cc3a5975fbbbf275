"""A connection proves who it is by a token in its URL: `/ws?token=`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import HTTPConnection

from ..coordination.base import Coordination
from .base import Authenticator, Principal
from .bearer import ByBearer
from .sign_out import sign_out_routes
from .tokens import open_tokens

auth_routes = sign_out_routes()


class QueryToken(ByBearer):
    """The token comes with the handshake, where proxies may log it: it should be short-lived."""

    async def at_handshake(self, connection: HTTPConnection) -> Principal | None:
        """Whom `token` in the query proves."""
        return await self.by_token(connection.query_params.get("token", ""))


AMBIENT = QueryToken.ambient


@asynccontextmanager
async def open_authenticator(coordination: Coordination) -> AsyncIterator[Authenticator]:
    """The way in."""
    async with open_tokens() as tokens:
        yield QueryToken(tokens)
