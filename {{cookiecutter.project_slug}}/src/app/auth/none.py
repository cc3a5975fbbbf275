"""Everybody is a guest, who keeps one identity by the token that `welcome` carries."""

import hmac
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from secrets import token_hex

from fastapi import APIRouter
from starlette.requests import HTTPConnection, Request

from ..coordination.base import Coordination
from ..protocol.errors import CloseCode, Disconnect
from .base import Authenticator, Principal
from .secret import SecretSettings, signing_secret

auth_routes = APIRouter()


class GuestSettings(SecretSettings):
    """`APP_JWT_SECRET`, which whoever knows it can be any guest with."""

    def complaints(self) -> Iterator[str]:
        """Identities outlive a restart, and are the same on all nodes."""
        yield from self.missing()


class Guests:
    """Gives each connection an identity of its own, or an earlier one back."""

    ambient = False

    async def at_handshake(self, connection: HTTPConnection) -> Principal | None:
        """A new guest."""
        return _guest(f"guest-{token_hex(8)}")

    async def by_token(self, token: str) -> Principal:
        """The guest that a `guest_token` belongs to."""
        guest = _guest(token.partition(".")[0])
        if not hmac.compare_digest(str(guest.guest_token).encode(), token.encode()):
            raise Disconnect(CloseCode.UNAUTHENTICATED)
        return guest

    async def at_request(self, request: Request, bearer: str | None) -> Principal | None:
        """The guest that a `guest_token` belongs to; without one somebody new each time."""
        return await (self.at_handshake(request) if bearer is None else self.by_token(bearer))


AMBIENT = Guests.ambient


def _guest(user: str) -> Principal:
    signature = hmac.new(signing_secret().encode(), user.encode(), sha256).hexdigest()
    name = f"Guest {user.rpartition('-')[2][:4]}"
    return Principal(user=user, name=name, guest_token=f"{user}.{signature}")


@asynccontextmanager
async def open_authenticator(coordination: Coordination) -> AsyncIterator[Authenticator]:
    """The way in."""
    yield Guests()
