"""The routes that put a token into the cookie, and take it away: `/auth/session`."""

from datetime import UTC, datetime
from math import ceil
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from ..protocol.errors import CommandError, ErrorCode
from .base import SERVER, Principal
from .cookie_jar import LARGEST, Jar
from .dependencies import (
    CurrentPrincipal,
    CurrentRevocations,
    api_key,
    bearer_token,
    current_principal,
    not_stored,
)
from .sign_out import revoke

auth_routes = APIRouter(prefix="/auth", tags=["auth"], dependencies=[Depends(not_stored)])


class SignedIn(BaseModel):
    """Whom the cookie stands for, and until when."""

    user: str
    expires_at: datetime


async def _jar(request: Request) -> Jar:
    """What knows the cookie."""
    jar: Jar = request.state.node.authenticator.jar
    return jar


_CurrentJar = Annotated[Jar, Depends(_jar)]
_Bearer = Annotated[str | None, Depends(bearer_token)]


@auth_routes.post("/session")
async def sign_in(
    response: Response, jar: _CurrentJar, principal: CurrentPrincipal, token: _Bearer
) -> SignedIn:
    """Keep the Bearer token in a cookie; to renew it, come with another token."""
    if principal is SERVER:
        raise CommandError(ErrorCode.FORBIDDEN, "a key is no user: come with a user's token")
    if token is None or principal.expires_at is None:
        raise CommandError(ErrorCode.UNAUTHENTICATED, "needs a token: Authorization: Bearer")
    if not jar.fits(token):
        what = f"a cookie holds {LARGEST} bytes with its name: have less put into the token"
        raise CommandError(ErrorCode.TOO_LARGE, what)
    left = (principal.expires_at - datetime.now(UTC)).total_seconds()
    jar.keep(response, token, ceil(left))
    return SignedIn(user=principal.user, expires_at=principal.expires_at)


async def _leaving(
    request: Request,
    jar: _CurrentJar,
    key: Annotated[str | None, Depends(api_key)],
    bearer: _Bearer,
    revocations: CurrentRevocations,
) -> Principal | None:
    """Who signs out; None where a cookie came that is not good any more."""
    try:
        return await current_principal(request, key, bearer, revocations)
    except CommandError as refused:
        stale = refused.code is ErrorCode.UNAUTHENTICATED and bearer is None
        if stale and jar.held(request):
            return None
        raise


@auth_routes.delete("/session", status_code=204)
async def sign_out(
    response: Response,
    jar: _CurrentJar,
    principal: Annotated[Principal | None, Depends(_leaving)],
    revocations: CurrentRevocations,
    everywhere: bool = False,
) -> None:
    """Revoke what the cookie holds, end every connection that it opened, and take it away.

    Or revoke and end all that the user has, `everywhere`.
    """
    if principal is not None:
        await revoke(principal, revocations, everywhere=everywhere)
    jar.keep(response, "", 0)
