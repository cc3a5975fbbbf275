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
from .base import SERVER, Authenticator, Principal
from .dependencies import (
    CurrentPrincipal,
    CurrentRevocations,
    api_key,
    bearer_token,
    current_principal,
    not_stored,
)
from .origins import Origins, OriginSettings
from .sign_out import revoke
from .tokens import Tokens, open_tokens

AMBIENT = True
"""Whether browsers send what proves a user unasked."""

LARGEST = 4096
"""Bytes of a cookie's name and what it holds; browsers drop a larger one without a word."""


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
            yield (
                "APP_ALLOWED_ORIGINS is missing: cookies need the origins of your pages, "
                "as in https://app.example.com"
            )


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
    ambient: bool = AMBIENT

    async def at_handshake(self, connection: HTTPConnection) -> Principal | None:
        """Whom the cookie proves."""
        return await self._verify(connection)

    async def by_token(self, token: str) -> Principal:
        """Nobody: a page cannot read what proves its user."""
        raise CommandError(ErrorCode.UNSUPPORTED, "renew the cookie, then open a new connection")

    async def at_request(self, request: Request, bearer: str | None) -> Principal | None:
        """Whom a token proves; else whom the cookie does, for pages that may use it."""
        if bearer is not None:
            return await self.tokens.verify(bearer)
        if not self.held(request):
            return None
        self._distrust(request)
        return await self._verify(request)

    def held(self, connection: HTTPConnection) -> list[str]:
        """What each cookie of this name holds: who has a host beside this one may add some."""
        headers = connection.headers.getlist("cookie")
        pairs = (pair.partition("=") for header in headers for pair in header.split(";"))
        return [value.strip() for name, _, value in pairs if name.strip() == self.settings.name]

    def keep(self, response: Response, token: str, seconds: int) -> None:
        """Let the browser keep a token for so long; for no time at all, forget it."""
        response.set_cookie(
            self.settings.name,
            token,
            max_age=seconds,
            path="/",
            secure=self.settings.secure,
            httponly=True,
            samesite="strict",
        )

    async def _verify(self, connection: HTTPConnection) -> Principal:
        """Whom the one cookie proves; of several nobody knows which is the user's."""
        held = self.held(connection)
        return await self.tokens.verify(held[0] if len(held) == 1 else "")

    def _distrust(self, request: Request) -> None:
        """Refuse pages of others; where nothing says whose it is, whatever changes something."""
        site, reads = request.headers.get("sec-fetch-site"), request.method in ("GET", "HEAD")
        own = reads if site is None else site in ("same-origin", "none")
        if not self.origins.admit(request, required=not own):
            raise CommandError(ErrorCode.FORBIDDEN, "pages of other origins may not do this")


auth_routes = APIRouter(prefix="/auth", tags=["auth"], dependencies=[Depends(not_stored)])


async def _cookies(request: Request) -> Cookies:
    """What knows the cookie."""
    cookies: Cookies = request.state.node.authenticator
    return cookies


_CurrentCookies = Annotated[Cookies, Depends(_cookies)]
_Bearer = Annotated[str | None, Depends(bearer_token)]


@auth_routes.post("/session")
async def sign_in(
    response: Response, cookies: _CurrentCookies, principal: CurrentPrincipal, token: _Bearer
) -> SignedIn:
    """Keep the Bearer token in a cookie; to renew it, come with another token."""
    if principal is SERVER:
        raise CommandError(ErrorCode.FORBIDDEN, "a key is no user: come with a user's token")
    if token is None or principal.expires_at is None:
        raise CommandError(ErrorCode.UNAUTHENTICATED, "needs a token: Authorization: Bearer")
    if len(cookies.settings.name) + len(token) > LARGEST:
        what = f"a cookie holds {LARGEST} bytes with its name: have less put into the token"
        raise CommandError(ErrorCode.TOO_LARGE, what)
    left = (principal.expires_at - datetime.now(UTC)).total_seconds()
    cookies.keep(response, token, int(left))
    return SignedIn(user=principal.user, expires_at=principal.expires_at)


async def _leaving(
    request: Request,
    cookies: _CurrentCookies,
    key: Annotated[str | None, Depends(api_key)],
    bearer: _Bearer,
    revocations: CurrentRevocations,
) -> Principal | None:
    """Who signs out; None where a cookie came that is not good any more."""
    try:
        return await current_principal(request, key, bearer, revocations)
    except CommandError as refused:
        stale = refused.code is ErrorCode.UNAUTHENTICATED and bearer is None
        if stale and cookies.held(request):
            return None
        raise


@auth_routes.delete("/session", status_code=204)
async def sign_out(
    response: Response,
    cookies: _CurrentCookies,
    principal: Annotated[Principal | None, Depends(_leaving)],
    revocations: CurrentRevocations,
) -> None:
    """Revoke what the cookie holds, end every connection that it opened, and take it away."""
    if principal is not None:
        await revoke(principal, revocations)
    cookies.keep(response, "", 0)


@asynccontextmanager
async def open_authenticator(coordination: Coordination) -> AsyncIterator[Authenticator]:
    """The way in."""
    async with open_tokens() as tokens:
        yield Cookies(tokens, Origins(OriginSettings().allowed_origins), CookieSettings())
