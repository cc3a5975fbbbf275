"""Authentication by a token in the first message."""

from ..connection import Connection
from ..tokens import TokenAuth, TokenSource
from .base import Auth


class FirstMessage(TokenAuth):
    """Sends the token before anything else."""

    async def prove(self, connection: Connection) -> None:
        """Send the token; the answer is the welcome."""
        await connection.command("auth", token=await self.token())


def with_token(token: str | TokenSource) -> Auth:
    """Prove who connects by a token, or by what an async function gives.

    The function is called at first, before a token ends, and when the server says that it has.
    Whatever it raises is logged, and counts as a connection that failed: it is asked again.
    """
    return FirstMessage(token)
