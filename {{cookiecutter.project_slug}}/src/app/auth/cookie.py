"""A connection proves who it is by a cookie, which no script can read and no other site may use."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from ..coordination.base import Coordination
from ..protocol.errors import CommandError, ErrorCode
from ..settings import Section
from .base import Authenticator, Principal
from .dependencies import CurrentPrincipal, CurrentRevocations, bearer_token
from .origins import Origins, OriginSettings
from .sign_out import revoke
from .tokens import Tokens, open_tokens


class CookieSettings(Section):
    """`APP_COOKIE_SECURE`: whether browsers send the cookie over TLS only."""

    cookie_secure: bool | None = None

    @property
    def secure(self) -> bool:
        """Over TLS only, unless this is development."""
        return self.in_production if self.cookie_secure is None else self.cookie_secure

    @property
    def name(self) -> str:
        """The prefix has browsers refuse what another host, or plain HTTP, tries to set."""
        return "__Host-session" if self.secure else "session"

    def complaints(self) -> Iterator[str]:
        """Refuse what would let other pages, or the network, act as a user."""
        if self.in_production and not self.secure:
            yield "APP_COOKIE_SECURE=false sends cookies in plain text: unset it in production"
        if self.in_production and not OriginSettings().allowed_origins:
            yield "APP_ALLOWED_ORIGINS is missing: cookies need the origins of your pages"


class SignedIn(BaseModel):
    """Whom the cookie stands for, and until when."""

    user: str
    expires_at: datetime


@dataclass(frozen=True)
class Cookies:
    """The cookie holds a token; browsers send it by themselves, so the page's origin counts."""

    tokens: Tokens
    origins: Origins
    settings: CookieSettings
    ambient: bool = True

    async def at_handshake(self, connection: HTTPConnection) -> Principal | None:
        """Whom the cookie proves."""
        return await self.tokens.verify(connection.cookies.get(self.settings.name, ""))

    async def by_token(self, token: str) -> Principal:
        """Nobody: a page cannot read what proves its user."""
        raise CommandError(ErrorCode.UNSUPPORTED, "renew the cookie, then open a new connection")

    async def at_request(self, request: Request, bearer: str | None) -> Principal | None:
        """Whom a token proves; else whom the cookie does, for pages that may use it."""
        if bearer is not None:
            return await self.tokens.verify(bearer)
        cookie = request.cookies.get(self.settings.name)
        if cookie is None:
            return None
        self._distrust(request)
        return await self.tokens.verify(cookie)

    def _distrust(self, request: Request) -> None:
        """Refuse pages of others; where nothing says whose it is, whatever changes something."""
        site = request.headers.get("sec-fetch-site")
        required = site is None and request.method not in ("GET", "HEAD")
        foreign = site not in (None, "same-origin", "none") and "origin" not in request.headers
        if foreign or not self.origins.admit(request, required=required):
            raise CommandError(ErrorCode.FORBIDDEN, "pages of other origins may not do this")


auth_routes = APIRouter(prefix="/auth", tags=["auth"])


@auth_routes.post("/session")
async def sign_in(
    request: Request,
    response: Response,
    principal: CurrentPrincipal,
    token: Annotated[str | None, Depends(bearer_token)],
) -> SignedIn:
    """Keep the Bearer token in a cookie; to renew it, come with another token."""
    if token is None or principal.expires_at is None:
        raise CommandError(ErrorCode.UNAUTHENTICATED, "needs a token: Authorization: Bearer")
    cookies: Cookies = request.state.node.authenticator
    left = (principal.expires_at - datetime.now(UTC)).total_seconds()
    _set(response, cookies.settings, token, int(left))
    return SignedIn(user=principal.user, expires_at=principal.expires_at)


@auth_routes.delete("/session", status_code=204)
async def sign_out(
    request: Request,
    response: Response,
    principal: CurrentPrincipal,
    revocations: CurrentRevocations,
) -> None:
    """Revoke what the cookie holds, end every connection that it opened, and take it away."""
    await revoke(principal, revocations)
    cookies: Cookies = request.state.node.authenticator
    _set(response, cookies.settings, "", 0)


def _set(response: Response, settings: CookieSettings, token: str, seconds: int) -> None:
    response.set_cookie(
        settings.name,
        token,
        max_age=seconds,
        path="/",
        secure=settings.secure,
        httponly=True,
        samesite="strict",
    )


@asynccontextmanager
async def open_authenticator(coordination: Coordination) -> AsyncIterator[Authenticator]:
    """The way in."""
    async with open_tokens() as tokens:
        yield Cookies(tokens, Origins(OriginSettings().allowed_origins), CookieSettings())
