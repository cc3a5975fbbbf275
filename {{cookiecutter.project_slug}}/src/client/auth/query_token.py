"""Authentication by a token in the URL."""

from collections.abc import Mapping
from urllib.parse import urlencode

from ..tokens import TokenAuth, TokenSource
from .base import Auth


class QueryToken(TokenAuth):
    """Puts the token into the URL."""

    async def prepare(self, url: str) -> tuple[str, Mapping[str, str]]:
        """The URL with the token in it."""
        mark = "&" if "?" in url else "?"
        return f"{url}{mark}{urlencode({'token': await self.token()})}", {}


def with_token(token: str | TokenSource) -> Auth:
    """Prove who connects by a token, or by what an async function gives.

    The function is called at first, before a token ends, and when the server says that it has.
    Whatever it raises is logged, and counts as a connection that failed: it is asked again.
    """
    return QueryToken(token)
