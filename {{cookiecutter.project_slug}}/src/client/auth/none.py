"""No authentication: a guest, who is the same guest on each connection."""

from collections.abc import Mapping

from ..connection import Connection
from .base import Auth


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
            await connection.command("auth", token=self._token)
            welcome = connection.welcome
        self._token = welcome.guest_token or self._token

    async def refresh(self, url: str, connection: Connection) -> None:
        """Nothing: guests do not expire."""

    def renew(self) -> bool:
        """Be somebody new."""
        self._token = ""
        return True


def with_token(guest_token: str = "") -> Auth:
    """Connect as a new guest, or as the one whose `welcome` brought this token."""
    return Guest(guest_token)
