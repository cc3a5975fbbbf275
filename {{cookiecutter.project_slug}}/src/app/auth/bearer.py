"""What the ways to show a token share: whom it proves, in a command and over HTTP."""

from dataclasses import dataclass

from starlette.requests import Request

from .base import Principal
from .tokens import Tokens


@dataclass(frozen=True)
class ByBearer:
    """Believes a token in `Authorization: Bearer`, which no browser sends unasked."""

    tokens: Tokens

    ambient = False

    async def by_token(self, token: str) -> Principal:
        """Whom the token proves."""
        return await self.tokens.verify(token)

    async def at_request(self, request: Request, bearer: str | None) -> Principal | None:
        """Whom the token proves, if there is one; over HTTP it never comes in the URL."""
        return None if bearer is None else await self.tokens.verify(bearer)
