"""Authentication by a cookie, which a token gets over HTTP."""

from collections.abc import Mapping
from ssl import SSLContext
from urllib.parse import urlsplit

from ..connection import Connection
from ..http import post
from ..tokens import TokenAuth, TokenSource
from .base import Auth


class Cookie(TokenAuth):
    """Gets a cookie for each connection, and says from which page it comes, as browsers do."""

    def __init__(
        self, token: str | TokenSource, origin: str | None, ssl: SSLContext | None
    ) -> None:
        super().__init__(token)
        self._origin = origin
        self._ssl = ssl

    async def prepare(self, url: str) -> tuple[str, Mapping[str, str]]:
        """The headers that a browser would send."""
        answer = await post(url, "auth/session", await self.token(), self._ssl)
        given = answer.headers.get_list("Set-Cookie")
        cookies = "; ".join(each.partition(";")[0] for each in given)
        own = f"http{urlsplit(url).scheme.removeprefix('ws')}://{urlsplit(url).netloc}"
        return url, {"Cookie": cookies, "Origin": self._origin or own}

    async def refresh(self, url: str, connection: Connection) -> None:
        """Come by another connection with another cookie, if there is somebody to ask for it."""
        if self.renew():
            connection.leave_after(0.0)


def with_token(
    token: str | TokenSource, *, origin: str | None = None, ssl: SSLContext | None = None
) -> Auth:
    """Prove who connects by cookies for a token, or for what an async function gives.

    The function is called at first, before a token ends, and when the server says that it has.
    Whatever it raises is logged, and counts as a connection that failed: it is asked again.
    `origin` is one that the service allows, where its own is not among those; `ssl` is what the
    client itself was given, where that is another than usual.
    """
    return Cookie(token, origin, ssl)
