"""Signs in whoever asks, in development; in production tokens come from your identity provider."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import BaseModel

from ..auth.dependencies import not_stored
from ..auth.keys import TokenSettings
from ..auth.tokens import sign
from ..commands import Commands
from ..history.base import Store
from ..settings import Section
from .base import Accounts
from .names import user_name

TOKEN_SECONDS = 3600

account_routes = APIRouter(prefix="/auth", tags=["auth"])


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


@account_routes.post("/token", dependencies=[Depends(not_stored)])
async def sign_in(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Token:
    """A token for any name, whatever the password; in development only."""
    if not SignInSettings().offered:
        raise HTTPException(404, "no sign-in here: get a token from your identity provider")
    user = user_name(form.username)
    token = sign(user, name=user, scopes=frozenset(form.scopes), seconds=TOKEN_SECONDS)
    return Token(access_token=token)


def account_commands(open_history: object) -> Commands:
    """None, since no users are kept."""
    return ()


@asynccontextmanager
async def open_accounts(store: Store) -> AsyncIterator[Accounts]:
    """Nothing that would be kept."""
    yield Accounts()
