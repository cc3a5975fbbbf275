"""The contract of every way to authenticate: a connection in, a principal out."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Protocol

from starlette.requests import HTTPConnection

from ..protocol.events import Member


@dataclass(frozen=True)
class Principal:
    """Who is connecting: a user, a guest, or a server."""

    user: str
    name: str | None = None
    scopes: frozenset[str] = field(default_factory=frozenset)
    expires_at: datetime | None = None
    guest_token: str | None = None
    """What proves this guest next time."""

    @cached_property
    def member(self) -> Member:
        """The principal as others see it."""
        return Member(id=self.user, name=self.name)


SERVER = Principal(user="server", scopes=frozenset({"publish", "notify", "admin"}))
"""Who knows the API key: another server of yours."""


class Authenticator(Protocol):
    """Finds out who is connecting. Every failure is one Disconnect."""

    async def at_handshake(self, connection: HTTPConnection) -> Principal | None:
        """Who connects or asks, by the request alone; None: expect a token."""
        ...

    async def by_token(self, token: str) -> Principal:
        """Whom the token of an `auth` command, or of a REST request, proves."""
        ...
