"""No accounts: nobody signs in, since everybody is a guest."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter

from ..commands import Commands
from ..history.base import Store
from .base import Accounts

account_routes = APIRouter()


def account_commands(open_history: object) -> Commands:
    """None, since there are no users to look after."""
    return ()


@asynccontextmanager
async def open_accounts(store: Store) -> AsyncIterator[Accounts]:
    """Nothing to add."""
    yield Accounts()
