"""A connection proves who it is by its first command, `auth`, with a token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import HTTPConnection

from .base import Authenticator, Principal
from .tokens import verify


class FirstMessage:
    """Nothing in the handshake proves anything; the token comes inside the connection."""

    async def at_handshake(self, connection: HTTPConnection) -> Principal | None:
        """Nobody yet: expect an `auth` command."""
        return None

    async def by_token(self, token: str) -> Principal:
        """Whom the token proves."""
        return verify(token)


@asynccontextmanager
async def open_authenticator() -> AsyncIterator[Authenticator]:
    """The way in."""
    yield FirstMessage()
