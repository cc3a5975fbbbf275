"""A connection proves who it is by its first command, `auth`, with a token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import HTTPConnection

from ..coordination.base import Coordination
from .base import Authenticator, Principal
from .bearer import ByBearer
from .sign_out import sign_out_routes
from .tokens import open_tokens

auth_routes = sign_out_routes()


class FirstMessage(ByBearer):
    """Nothing in the handshake proves anything; the token comes inside the connection."""

    async def at_handshake(self, connection: HTTPConnection) -> Principal | None:
        """Nobody yet: expect an `auth` command."""
        return None


AMBIENT = FirstMessage.ambient


@asynccontextmanager
async def open_authenticator(coordination: Coordination) -> AsyncIterator[Authenticator]:
    """The way in."""
    async with open_tokens() as tokens:
        yield FirstMessage(tokens)
