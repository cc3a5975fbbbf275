"""Signing out: the token is good for nothing any more, and its connections end."""

from fastapi import APIRouter

from ..protocol.errors import CommandError, ErrorCode
from .base import Principal
from .dependencies import CurrentPrincipal, CurrentRevocations
from .revocation import Revocations


def sign_out_routes() -> APIRouter:
    """The route by which a user signs out, where a token is all there is to take back."""
    router = APIRouter(prefix="/auth", tags=["auth"])

    @router.delete("/session", status_code=204)
    async def sign_out(
        principal: CurrentPrincipal, revocations: CurrentRevocations, everywhere: bool = False
    ) -> None:
        """Revoke the token, and end every connection that it opened; or all that the user has."""
        await revoke(principal, revocations, everywhere=everywhere)

    return router


async def revoke(principal: Principal, revocations: Revocations, *, everywhere: bool) -> None:
    """Take back what proved a principal, or all of its user; servers have nothing of that kind."""
    if principal.token_id is None:
        raise CommandError(ErrorCode.FORBIDDEN, "a key is not signed in, so it cannot sign out")
    if everywhere:
        await revocations.revoke_user(principal.user)
    else:
        await revocations.revoke_token(principal)
