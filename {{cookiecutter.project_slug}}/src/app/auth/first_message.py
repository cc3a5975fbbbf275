"""A connection proves who it is by its first command, `auth`, with a token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import HTTPConnection, Request

from ..coordination.base import Coordination
from .base import Authenticator, Principal
from .sign_out import sign_out_routes
from .tokens import Tokens, open_tokens

AMBIENT = False
"""Whether browsers send what proves a user unasked."""

auth_routes = sign_out_routes()


@dataclass(frozen=True)
class FirstMessage:
    """Nothing in the handshake proves anything; the token comes inside the connection."""

    tokens: Tokens
    ambient: bool = AMBIENT

    async def at_handshake(self, connection: HTTPConnection) -> Principal | None:
        """Nobody yet: expect an `auth` command."""
        return None

    async def by_token(self, token: str) -> Principal:
        """Whom the token proves."""
        return await self.tokens.verify(token)

    async def at_request(self, request: Request, bearer: str | None) -> Principal | None:
        """Whom the token proves, if there is one."""
        return None if bearer is None else await self.tokens.verify(bearer)


@asynccontextmanager
async def open_authenticator(coordination: Coordination) -> AsyncIterator[Authenticator]:
    """The way in."""
    async with open_tokens() as tokens:
        yield FirstMessage(tokens)
