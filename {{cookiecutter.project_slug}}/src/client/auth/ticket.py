"""Authentication by a ticket, which a token gets over HTTP and which opens one connection."""

from collections.abc import Mapping
from ssl import SSLContext
from urllib.parse import urlencode

from ..errors import ConnectionLost
from ..http import post
from ..tokens import TokenAuth, TokenSource
from .base import Auth


class Ticket(TokenAuth):
    """Gets a ticket for each connection, and puts it into the URL."""

    def __init__(self, token: str | TokenSource, ssl: SSLContext | None) -> None:
        super().__init__(token)
        self._ssl = ssl

    async def prepare(self, url: str) -> tuple[str, Mapping[str, str]]:
        """The URL with a fresh ticket in it."""
        mark, ticket = "&" if "?" in url else "?", await self.proof(url, await self.token())
        return f"{url}{mark}{urlencode({'ticket': ticket})}", {}

    async def proof(self, url: str, token: str) -> str:
        """A ticket for whom the token proves."""
        answer = await post(url, "auth/ticket", token, self._ssl)
        try:
            return str(answer.json()["ticket"])
        except (ValueError, KeyError, TypeError):
            raise ConnectionLost(1002, "the service gave no ticket") from None


def with_token(token: str | TokenSource, *, ssl: SSLContext | None = None) -> Auth:
    """Prove who connects by tickets for a token, or for what an async function gives.

    The function is called at first, before a token ends, and when the server says that it has.
    Whatever it raises is logged, and counts as a connection that failed: it is asked again.
    `ssl` is what the client itself was given, where that is another than usual.
    """
    return Ticket(token, ssl)
