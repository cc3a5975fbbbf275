"""Who asks over HTTP, for routes: `principal: CurrentPrincipal` in a signature says it all."""

import hmac
from collections.abc import Iterator
from typing import Annotated

import structlog
from fastapi import Depends, Request, Response
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from ..protocol.errors import CommandError, Disconnect, ErrorCode
from ..settings import Section
from .base import SERVER, Authenticator, Principal
from .revocation import Revocations
from .secret import guessable

log = structlog.stdlib.get_logger(__name__)

api_key = APIKeyHeader(name="X-API-Key", auto_error=False)
_bearer = HTTPBearer(auto_error=False)


class KeySettings(Section):
    """`APP_API_KEY`, with which other servers publish, list and end; without it they cannot."""

    api_key: str | None = None

    def complaints(self) -> Iterator[str]:
        """Refuse a key that can be guessed where real users are."""
        if self.in_production and self.api_key:
            yield from guessable("APP_API_KEY", self.api_key)


async def bearer_token(
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> str | None:
    """What stands in `Authorization: Bearer`."""
    return None if bearer is None else bearer.credentials


async def not_stored(response: Response) -> None:
    """Let no cache keep an answer: for routes that give credentials."""
    response.headers["Cache-Control"] = "no-store"


async def current_revocations(request: Request) -> Revocations:
    """Who is no longer let in."""
    revocations: Revocations = request.state.node.revocations
    return revocations


CurrentRevocations = Annotated[Revocations, Depends(current_revocations)]


async def current_principal(
    request: Request,
    key: Annotated[str | None, Depends(api_key)],
    bearer: Annotated[str | None, Depends(bearer_token)],
    revocations: CurrentRevocations,
) -> Principal:
    """By `X-API-Key`, by `Authorization: Bearer`, or as the authenticator takes the request."""
    if key is not None:
        return _server(key, request.state.api_key)
    authenticator: Authenticator = request.state.node.authenticator
    try:
        principal = await authenticator.at_request(request, bearer)
        if principal is None:
            raise _unauthenticated("say who you are: Authorization: Bearer, or X-API-Key")
        await revocations.check(principal)
    except Disconnect as refused:
        raise _unauthenticated(refused.reason) from None
    return principal


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]


def _server(key: str, expected: str | None) -> Principal:
    if expected is None or not hmac.compare_digest(key.encode(), expected.encode()):
        log.info("key refused")
        raise CommandError(ErrorCode.FORBIDDEN, "APP_API_KEY is not set, or is another key")
    return SERVER


def _unauthenticated(why: str) -> CommandError:
    return CommandError(ErrorCode.UNAUTHENTICATED, why)
