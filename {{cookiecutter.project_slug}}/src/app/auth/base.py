"""The contract of every way to authenticate: a connection in, a principal out."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Protocol

from starlette.requests import HTTPConnection, Request

from ..protocol.events import Member

LEEWAY = 30
"""Seconds by which clocks may differ: of who signs from those of nodes, and those from another."""


@dataclass(frozen=True)
class Principal:
    """Who is connecting: a user, a guest, or a server."""

    user: str
    name: str | None = None
    scopes: frozenset[str] = field(default_factory=frozenset)
    token_id: str | None = None
    """Which credential proved it, so that it can be revoked alone."""
    issued_at: datetime | None = None
    """When at the earliest."""
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
    """Finds out who is there. What proves nothing is a Disconnect; a store that is away is
    Unavailable.
    """

    @property
    def ambient(self) -> bool:
        """Whether browsers send what proves a user unasked, also for pages of others."""
        ...

    async def at_handshake(self, connection: HTTPConnection) -> Principal | None:
        """Who connects, by the handshake alone; None: expect an `auth` command."""
        ...

    async def by_token(self, token: str) -> Principal:
        """Whom the token of an `auth` or `refresh` command proves."""
        ...

    async def at_request(self, request: Request, bearer: str | None) -> Principal | None:
        """Who asks over HTTP, by the Bearer token or without one; None: nobody that we know."""
        ...
