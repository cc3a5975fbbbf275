"""A connection proves who it is by a cookie, which no script can read and no other site may use."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import HTTPConnection, Request

from ..coordination.base import Coordination
from ..protocol.errors import CommandError, ErrorCode
from .base import Authenticator, Principal
from .bearer import ByBearer
from .cookie_jar import CookieSettings, Jar
from .cookie_routes import auth_routes
from .origins import Origins, OriginSettings
from .tokens import open_tokens

__all__ = ["AMBIENT", "auth_routes", "open_authenticator"]


@dataclass(frozen=True)
class Cookies(ByBearer):
    """The cookie holds a token; browsers send it by themselves, so the page's origin counts."""

    origins: Origins
    jar: Jar

    ambient = True

    async def at_handshake(self, connection: HTTPConnection) -> Principal | None:
        """Whom the cookie proves."""
        return await self._verify(connection)

    async def by_token(self, token: str) -> Principal:
        """Nobody: a page cannot read what proves its user."""
        raise CommandError(ErrorCode.UNSUPPORTED, "renew the cookie, then open a new connection")

    async def at_request(self, request: Request, bearer: str | None) -> Principal | None:
        """Whom a token proves; else whom the cookie does, for pages that may use it."""
        if bearer is not None or not self.jar.held(request):
            return await super().at_request(request, bearer)
        self._distrust(request)
        return await self._verify(request)

    async def _verify(self, connection: HTTPConnection) -> Principal:
        """Whom the one cookie proves; of several nobody knows which is the user's."""
        held = self.jar.held(connection)
        return await self.tokens.verify(held[0] if len(held) == 1 else "")

    def _distrust(self, request: Request) -> None:
        """Refuse pages of others; where nothing says whose it is, whatever changes something."""
        site, reads = request.headers.get("sec-fetch-site"), request.method in ("GET", "HEAD")
        own = reads if site is None else site in ("same-origin", "none")
        if not self.origins.admit(request, required=not own):
            raise CommandError(ErrorCode.FORBIDDEN, "pages of other origins may not do this")


AMBIENT = Cookies.ambient


@asynccontextmanager
async def open_authenticator(coordination: Coordination) -> AsyncIterator[Authenticator]:
    """The way in."""
    async with open_tokens() as tokens:
        yield Cookies(tokens, Origins(OriginSettings().allowed_origins), Jar(CookieSettings()))
