"""What all that show a token share: they hold one, and ask a source for another."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from . import wire
from .connection import Connection
from .errors import ConnectionLost

TokenSource = Callable[[], Awaitable[str]]
"""Gives a token that is good now: it is asked at first, before one ends, and after that."""

log = logging.getLogger(__name__)


class TokenAuth:
    """Shows a token, or what its source gives; each way to show it is a subclass."""

    def __init__(self, token: str | TokenSource) -> None:
        self._token = token if isinstance(token, str) else None
        self._source = None if isinstance(token, str) else token

    async def token(self) -> str:
        """The token at hand; where there is none, the source is asked."""
        if self._token is None and self._source is not None:
            self._token = await _ask(self._source)
        return self._token or ""

    async def prepare(self, url: str) -> tuple[str, Mapping[str, str]]:
        """Have a token at hand."""
        await self.token()
        return url, {}

    async def prove(self, connection: Connection) -> None:
        """Be welcome, by what the handshake showed."""
        await connection.greeting

    async def refresh(self, url: str, connection: Connection) -> None:
        """Show another token, if there is somebody to ask; keep it once it was accepted."""
        if self._source is not None:
            token = await _ask(self._source)
            reply = await connection.command("refresh", token=await self.proof(url, token))
            self._token = token
            connection.welcome = replace(connection.welcome, expires_at=wire.end(reply))

    async def proof(self, url: str, token: str) -> str:
        """What proves the user of a token on the wire."""
        return token

    def renew(self) -> bool:
        """Forget the token, if there is somebody to ask for another."""
        if self._source is not None:
            self._token = None
        return self._source is not None


async def _ask(source: TokenSource) -> str:
    """What the source gives; whatever it raises is a connection that failed, as ConnectionLost."""
    try:
        return await source()
    except Exception as error:
        log.warning("no token from its source", exc_info=True)
        raise ConnectionLost(1006, f"no credential: {type(error).__name__}") from error
