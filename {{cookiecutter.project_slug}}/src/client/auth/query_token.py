"""Authentication by a token in the URL."""

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlencode

from ..connection import Connection
from .base import Auth

TokenSource = Callable[[], Awaitable[str]]


class QueryToken:
    """Puts a token into the URL; asks its source for another when one has expired."""

    def __init__(self, token: str | None, source: TokenSource | None) -> None:
        self._token = token
        self._source = source

    async def prepare(self, url: str) -> tuple[str, Mapping[str, str]]:
        """Have a token at hand."""
        if self._token is None and self._source is not None:
            self._token = await self._source()
        return f"{url}?{urlencode({'token': self._token})}", {}

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
    return QueryToken(token, None) if isinstance(token, str) else QueryToken(None, token)
