"""Signs and verifies the tokens that say who somebody is, by python-jose.

python-jose takes more than is safe, and raises more than it names; what that is, is closed here.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from uuid import uuid4

import structlog
from jose import jws
from jose.exceptions import JWSError

from ..protocol.errors import CloseCode, CommandError, Disconnect
from .base import LEEWAY, Principal
from .claims import Refused, read_claims, read_header
from .keys import Keys, TokenSettings, open_keys, secret_key
from .secret import signing_secret

log = structlog.stdlib.get_logger(__name__)

OWN = "own"
"""The key's name in tokens of this service, by whose own clock they were issued."""


def sign(
    user: str,
    *,
    name: str | None,
    scopes: frozenset[str],
    seconds: int,
    token_id: str | None = None,
) -> str:
    """A token for a user that is good for so many seconds, where the service signs by itself."""
    settings = TokenSettings()
    # With its fraction, since what was issued before a revocation and after it is told apart by it.
    now = datetime.now(UTC).timestamp()
    claims = {
        "sub": user,
        "name": name,
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
        "iat": now,
        "exp": now + seconds,
        "jti": token_id or uuid4().hex,
        "scope": " ".join(sorted(scopes)),
    }
    said = {claim: value for claim, value in claims.items() if value}
    header = {"typ": "at+jwt", "kid": OWN}
    return jws.sign(said, secret_key(signing_secret()), header, "HS256")


@dataclass(frozen=True)
class Tokens:
    """Verifies tokens: that they were signed by a key of ours, for this service, and for now."""

    keys: Keys
    issuer: str | None = None
    audience: str | None = None
    clock: Callable[[], float] = time.time

    async def verify(self, token: str) -> Principal:
        """Whom a token proves.

        Raises Disconnect, with 4100 if all is right but that it has expired, else with 4500, and
        Unavailable if its key cannot be had now.
        """
        try:
            return await self._prove(token)
        except CommandError:
            raise
        except Refused as refused:
            why, code = refused.why, refused.code
        except Exception:  # noqa: BLE001 - RecursionError, OverflowError, TypeError: for tokens made to
            why, code = "unreadable", CloseCode.UNAUTHENTICATED
        log.info("token refused", why=why)
        raise Disconnect(code)

    async def _prove(self, token: str) -> Principal:
        header = read_header(token)
        key = await self.keys.find(header.kid)
        if key is None:
            raise Refused("key")
        if header.alg != key.algorithm:
            raise Refused("algorithm")
        try:
            payload = jws.verify(token, key.key, [key.algorithm])
        except JWSError:
            raise Refused("signature") from None
        claims = read_claims(payload)
        claims.check(self.clock(), self.issuer, self.audience)
        # Not of the whole token: who has it can write the same signature in other ways.
        signed = token.rpartition(".")[0]
        own = header.kid == OWN and key.algorithm == "HS256"
        return claims.principal(sha256(signed.encode()).hexdigest(), 0 if own else LEEWAY)


@asynccontextmanager
async def open_tokens() -> AsyncIterator[Tokens]:
    """What verifies the tokens of this service."""
    settings = TokenSettings()
    async with open_keys(settings) as keys:
        yield Tokens(keys, settings.jwt_issuer or None, settings.jwt_audience or None)
