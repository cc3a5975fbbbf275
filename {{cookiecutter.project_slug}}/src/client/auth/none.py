"""No authentication: a guest, who is the same guest on each connection."""

from collections.abc import Mapping

from ..connection import Connection
from ..errors import ConnectionLost
from .base import Auth

UNKNOWN = 4500
"""The close code for a token that proves nobody."""


class Guest:
    """Keeps the token that the server gives a guest, and shows it on the next connection."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def prepare(self, url: str) -> tuple[str, Mapping[str, str]]:
        """Anybody may connect."""
        return url, {}

    async def prove(self, connection: Connection) -> None:
        """Be welcome at once, and again as who one was before."""
        welcome = await connection.greeting
        if self._token:
            await self._show(connection)
            welcome = connection.welcome
        self._token = welcome.guest_token or self._token

    async def refresh(self, url: str, connection: Connection) -> None:
        """Nothing: guests do not expire."""

    async def _show(self, connection: Connection) -> None:
        try:
            await connection.command("auth", token=self._token)
        except ConnectionLost as lost:
            if lost.code != UNKNOWN:
                raise
            # The service has another secret than it had: to a guest, that is an expired token.
            raise ConnectionLost(4100, lost.reason) from lost

    def renew(self) -> bool:
        """Be somebody new."""
        self._token = ""
        return True


def with_token(guest_token: str = "") -> Auth:
    """Connect as a new guest, or as the one whose `welcome` brought this token, if still known."""
    return Guest(guest_token)
