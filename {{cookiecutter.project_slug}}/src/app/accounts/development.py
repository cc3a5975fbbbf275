"""Signs in whoever asks, in development; in production tokens come from your identity provider."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import BaseModel

from ..auth.base import SERVER
from ..auth.dependencies import not_stored
from ..auth.keys import TokenSettings
from ..auth.tokens import sign
from ..settings import Section
from .base import Accounts

TOKEN_SECONDS = 3600

router = APIRouter(prefix="/auth", tags=["auth"])


class SignInSettings(Section):
    """`APP_DEVELOPMENT_SIGN_IN`: anybody is anybody."""

    development_sign_in: bool | None = None

    @property
    def offered(self) -> bool:
        """Whether any name signs in with any password: never beside an identity provider."""
        if TokenSettings().signed_elsewhere:
            return False
        if self.development_sign_in is None:
            return not self.in_production
        return self.development_sign_in

    def complaints(self) -> Iterator[str]:
        """Refuse to let anybody be anybody among real users."""
        if self.in_production and self.development_sign_in:
            yield "APP_DEVELOPMENT_SIGN_IN lets anybody be anybody: unset it in production"
        if self.development_sign_in and TokenSettings().signed_elsewhere:
            yield (
                "APP_DEVELOPMENT_SIGN_IN needs a secret to sign with, and tokens come from your "
                "identity provider: unset it, or APP_JWT_PUBLIC_KEY and APP_JWT_JWKS_URL"
            )


class Token(BaseModel):
    """What signs somebody in, good for `expires_in` seconds."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the name of a kind of token
    expires_in: int = TOKEN_SECONDS


@router.post("/token", dependencies=[Depends(not_stored)])
async def sign_in(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Token:
    """A token for any name, whatever the password; in development only."""
    if not SignInSettings().offered:
        raise HTTPException(404, "no sign-in here: get a token from your identity provider")
    user = form.username.strip()
    if not 0 < len(user) <= 64 or not user.isprintable() or user == SERVER.user:
        raise HTTPException(422, "a username has 1 to 64 printable characters, and is not server")
    token = sign(user, name=user, scopes=frozenset(form.scopes), seconds=TOKEN_SECONDS)
    return Token(access_token=token)


def open_accounts() -> Accounts:
    """The one route."""
    return Accounts(router)
