"""Accounts in the database: people register, sign in with a password, and stay signed in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import BaseModel, Field

from ..auth.dependencies import CurrentRevocations, not_stored
from ..auth.keys import TokenSettings
from ..budget import Want
from ..coordination.base import Coordination
from ..history.sql import SqlHistory
from ..protocol.errors import CommandError, ErrorCode
from ..protocol.events import Error
from ..tally import origin_of
from .base import Accounts, Offer
from .commands import commands as account_commands
from .families import Families, Token
from .names import key_of, user_name
from .passwords import LONGEST, SHORTEST, Passwords
from .record import UserRecord
from .settings import AccountSettings
from .users import Known, Users

__all__ = ["account_commands", "account_routes", "open_accounts"]


@dataclass(frozen=True, kw_only=True)
class PasswordAccounts(Accounts):
    """What the routes of accounts need."""

    settings: AccountSettings
    passwords: Passwords
    users: Users
    families: Families


class Registration(BaseModel):
    """Who wants an account."""

    username: Annotated[str, Field(examples=["ada"])]
    password: Annotated[str, Field(min_length=SHORTEST, max_length=LONGEST)]


class Renewal(BaseModel):
    """What came with a token, to get another one with."""

    refresh_token: Annotated[str, Field(max_length=256)]


async def current_accounts(request: Request) -> PasswordAccounts:
    """The accounts of this service; 404 where an identity provider has them."""
    accounts: Accounts = request.state.accounts
    if not isinstance(accounts, PasswordAccounts):
        raise HTTPException(404, "no accounts here: get a token from your identity provider")
    return accounts


CurrentAccounts = Annotated[PasswordAccounts, Depends(current_accounts)]


account_routes = APIRouter(
    prefix="/auth",
    tags=["auth"],
    dependencies=[Depends(not_stored)],
    responses={
        404: {"description": "Tokens come from an identity provider: there are no accounts."},
        422: {"model": Error, "description": "A field is missing, or is not as it has to be."},
        503: {"model": Error, "description": "Not now: something cannot be reached, or is busy."},
    },
)
_TOO_OFTEN: dict[int | str, dict[str, Any]] = {
    429: {"model": Error, "description": "Too often, from there or as that user: `Retry-After`."}
}


@account_routes.post(
    "/register",
    status_code=201,
    responses=_TOO_OFTEN
    | {
        403: {"model": Error, "description": "Nobody registers here: `APP_REGISTRATION` is off."},
        409: {"model": Error, "description": "The name is taken."},
    },
)
async def register(
    new: Registration, accounts: CurrentAccounts, request: Request, revocations: CurrentRevocations
) -> Token:
    """A new account, signed in."""
    if not accounts.settings.registers:
        closed = "nobody registers here: ask for an account whoever runs this service"
        raise CommandError(ErrorCode.FORBIDDEN, closed)
    name = user_name(new.username)
    await _spend(accounts.settings, revocations.coordination, request)
    password_hash = await accounts.passwords.hash(new.password)
    return await accounts.families.register(Known(name, password_hash, scopes=""))


@account_routes.post(
    "/token",
    responses=_TOO_OFTEN
    | {401: {"model": Error, "description": "The name or the password is wrong."}},
)
async def sign_in(
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    accounts: CurrentAccounts,
    request: Request,
    revocations: CurrentRevocations,
) -> Token:
    """A token for a name and its password, with the scopes that the user has."""
    name = user_name(form.username)
    await _spend(accounts.settings, revocations.coordination, request, key_of(name))
    user = await accounts.users.find(name)
    kept = user and user.password_hash
    right = await accounts.passwords.verify(form.password, kept)
    token = await accounts.families.begin(user.name, kept) if user and kept and right else None
    if token is None:
        raise CommandError(ErrorCode.UNAUTHENTICATED, "the name or the password is wrong")
    return token


@account_routes.post(
    "/refresh",
    responses={
        401: {
            "model": Error,
            "description": "Expired, revoked, or used before: then all that came of that sign-in"
            " is revoked.",
        }
    },
)
async def refresh(
    renewal: Renewal, accounts: CurrentAccounts, revocations: CurrentRevocations
) -> Token:
    """Another token, and what renews that; a refresh token is good once."""
    token = await accounts.families.renew(renewal.refresh_token)
    if not isinstance(token, Token):
        await revocations.deny(token)
        raise CommandError(ErrorCode.UNAUTHENTICATED, "this is good no more: sign in again")
    return token


async def _spend(
    settings: AccountSettings, coordination: Coordination, request: Request, name: str | None = None
) -> None:
    """Use up one attempt of where somebody comes from, then of a name there and everywhere.

    Else RATE_LIMITED; in this order, since who has none left could else use up those of others.
    """
    origin = origin_of(request.client.host) if request.client else ""
    budgets = [(f"address:{origin}", settings.sign_ins_per_address)] if origin else []
    if name is not None:
        budgets.append((f"name:{origin} {name}", settings.sign_ins_per_name))
        budgets.append((f"everywhere:{name}", settings.sign_ins_per_name_everywhere))
    for key, most in budgets:
        (wait,) = await coordination.spend((Want(f"sign-in:{key}", most / 60, most),))
        if wait:
            raise CommandError(ErrorCode.RATE_LIMITED, "too many attempts", retry_after=wait)


@asynccontextmanager
async def open_accounts(store: SqlHistory) -> AsyncIterator[Accounts]:
    """The accounts in the database that history is kept in; none beside an identity provider."""
    if TokenSettings().signed_elsewhere:
        yield Accounts()
        return
    database, settings = store.database, AccountSettings()
    opened = settings.registers
    yield PasswordAccounts(
        record=UserRecord(database),
        offer=Offer(registration=opened, made_up=opened and not settings.in_production),
        settings=settings,
        passwords=Passwords(),
        users=Users(database),
        families=Families(database, settings),
    )
