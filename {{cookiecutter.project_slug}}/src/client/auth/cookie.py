"""Authentication by a cookie."""

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import httpx2

from ..connection import Connection
from .base import Auth

TokenSource = Callable[[], Awaitable[str]]


class Cookie:
    """Gets a cookie for a token; asks its source for another when one has expired."""

    def __init__(self, token: str | None, source: TokenSource | None) -> None:
        self._token = token
        self._source = source

    async def prepare(self, url: str) -> tuple[str, Mapping[str, str]]:
        """Have a token at hand."""
        if self._token is None and self._source is not None:
            self._token = await self._source()
        parts = urlsplit(url)
        base = f"{parts.scheme.replace('ws', 'http')}://{parts.netloc}"
        bearer = {"Authorization": f"Bearer {self._token}"}
        async with httpx2.AsyncClient() as http:
            await http.post(f"{base}/auth/session", headers=bearer)
            cookies = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
        return url, {"Cookie": cookies, "Origin": base}

    async def prove(self, connection: Connection) -> None:
        """Be welcome."""
        await connection.greeting

    def renew(self) -> bool:
        """Forget the token, if there is somebody to ask for another."""
        if self._source is not None:
            self._token = None
        return self._source is not None


def with_token(token: str | TokenSource) -> Auth:
    """Prove who connects by a token, or by what an async function gives when one is needed."""
    return Cookie(token, None) if isinstance(token, str) else Cookie(None, token)
