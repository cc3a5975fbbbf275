"""Authentication by a token in the first message."""

from collections.abc import Awaitable, Callable, Mapping

from ..connection import Connection
from .base import Auth

TokenSource = Callable[[], Awaitable[str]]


class FirstMessage:
    """Sends a token before anything else; asks its source for another when one has expired."""

    def __init__(self, token: str | None, source: TokenSource | None) -> None:
        self._token = token
        self._source = source

    async def prepare(self, url: str) -> tuple[str, Mapping[str, str]]:
        """Have a token at hand."""
        if self._token is None and self._source is not None:
            self._token = await self._source()
        return url, {}

    async def prove(self, connection: Connection) -> None:
        """Send the token; the answer is the welcome."""
        await connection.command("auth", token=self._token)

    def renew(self) -> bool:
        """Forget the token, if there is somebody to ask for another."""
        if self._source is not None:
            self._token = None
        return self._source is not None


def with_token(token: str | TokenSource) -> Auth:
    """Prove who connects by a token, or by what an async function gives when one is needed.

    The function is called at first and whenever the server says that the token has expired.
    """
    return FirstMessage(token, None) if isinstance(token, str) else FirstMessage(None, token)
