"""Signing in with a name and a password, where the service keeps accounts."""

import asyncio
import time
from collections.abc import Callable, Mapping
from ssl import SSLContext

from .auth import by_mode
from .auth.base import Auth
from .connection import Connection
from .errors import ConnectionLost
from .http import post
from .tokens import TokenSource

SOON_SECONDS = 30.0
"""A token that ends so soon is not shown on another connection."""

REFUSED = 401


class Account:
    """Signs in, stays signed in by one refresh token after another, and shows each token.

    A refresh token is good once; used again, as by a thief, it ends the session. So there is one
    refresh at a time, and one that was refused is followed by the password.
    """

    def __init__(
        self,
        username: str,
        password: str,
        ssl: SSLContext | None,
        with_token: Callable[[TokenSource], Auth],
    ) -> None:
        self._credentials = {"username": username, "password": password}
        self._ssl = ssl
        self._shown = with_token(self._current)
        self._turn = asyncio.Lock()
        self._token = self._refresh_token = ""
        self._ends = 0.0

    async def prepare(self, url: str) -> tuple[str, Mapping[str, str]]:
        """Be signed in, for a little while to come at least."""
        async with self._turn:
            if self._ends < time.monotonic() + SOON_SECONDS:
                await self._go_on(url)
                self._shown.renew()
        return await self._shown.prepare(url)

    async def prove(self, connection: Connection) -> None:
        """Be welcome, by the token."""
        await self._shown.prove(connection)

    async def refresh(self, url: str, connection: Connection) -> None:
        """Show another token."""
        async with self._turn:
            await self._go_on(url)
        await self._shown.refresh(url, connection)

    def renew(self) -> bool:
        """Get another token for the next connection."""
        self._ends = 0.0
        return self._shown.renew()

    async def _current(self) -> str:
        return self._token

    async def _go_on(self, url: str) -> None:
        """Have another token. Raises ConnectionLost."""
        if self._refresh_token:
            try:
                renewal = {"refresh_token": self._refresh_token}
                return await self._get(url, "auth/refresh", json=renewal)
            except ConnectionLost as refused:
                if refused.code != REFUSED:
                    raise
                self._refresh_token = ""
        await self._get(url, "auth/token", data={"grant_type": "password", **self._credentials})

    async def _get(self, url: str, path: str, **said: Mapping[str, str]) -> None:
        answer = await post(url, path, None, self._ssl, **said)
        try:
            given = answer.json()
            self._token = str(given["access_token"])
            self._refresh_token = str(given["refresh_token"])
            self._ends = time.monotonic() + float(given["expires_in"])
        except (ValueError, KeyError, TypeError):
            raise ConnectionLost(1002, "the service gave no token") from None


def with_password(
    username: str,
    password: str,
    *,
    ssl: SSLContext | None = None,
    with_token: Callable[[TokenSource], Auth] | None = None,
) -> Auth:
    """Prove who connects by a name and a password; what renews a token is kept in memory.

    `ssl` is what the client itself was given, where that is another than usual; `with_token` is
    the one in `client.auth` with options of its own, by `functools.partial`.
    """
    return Account(username, password, ssl, with_token or by_mode())
