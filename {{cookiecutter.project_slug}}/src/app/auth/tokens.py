"""Signs and verifies the tokens that say who somebody is: HS256, by python-jose.

python-jose takes more than is safe, and raises more than it names; what that is, is closed here.
"""

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from jose import jwk, jwt
from jose.backends.base import Key
from jose.exceptions import ExpiredSignatureError

from ..protocol.errors import CloseCode, Disconnect
from .base import SERVER, Principal
from .secret import signing_secret

ALGORITHM = "HS256"
LONGEST = 4096
"""Characters of a token; it is not even decoded beyond that."""
LONGEST_USER = 256

# Three parts of base64 and nothing else: python-jose passes over what is not base64.
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

_OPTIONS = {"require_exp": True, "require_iat": True, "require_sub": True, "verify_aud": False}


def sign(user: str, *, name: str | None, scopes: frozenset[str], seconds: int) -> str:
    """A token for a user that is good for so many seconds."""
    now = round(time.time(), 3)
    claims: dict[str, Any] = {
        "sub": user,
        "iat": now,
        "exp": now + seconds,
        "jti": uuid4().hex,
        "scope": " ".join(sorted(scopes)),
    }
    return jwt.encode(claims | ({"name": name} if name else {}), _key(), ALGORITHM)


class Tokens:
    """Verifies tokens."""

    async def verify(self, token: str) -> Principal:
        """Whom a token proves; raises Disconnect with 4100 if it has expired, else with 4500."""
        return _verify(token)


@asynccontextmanager
async def open_tokens() -> AsyncIterator[Tokens]:
    """What verifies the tokens of this service."""
    yield Tokens()


def _verify(token: str) -> Principal:
    if len(token) > LONGEST or _TOKEN.fullmatch(token) is None:
        raise Disconnect(CloseCode.UNAUTHENTICATED)
    try:
        if "crit" in jwt.get_unverified_header(token):
            raise Disconnect(CloseCode.UNAUTHENTICATED)
        claims = jwt.decode(token, _key(), algorithms=[ALGORITHM], options=_OPTIONS)
        return _principal(claims)
    except ExpiredSignatureError:
        raise Disconnect(CloseCode.CREDENTIAL_EXPIRED) from None
    except Exception:  # noqa: BLE001 - RecursionError, OverflowError, TypeError: for tokens made to
        raise Disconnect(CloseCode.UNAUTHENTICATED) from None


def _key() -> Key:
    """The secret as a key: python-jose would read a secret that happens to be JSON as JSON."""
    return jwk.construct(signing_secret(), ALGORITHM)


def _principal(claims: dict[str, Any]) -> Principal:
    user, name = claims["sub"], claims.get("name")
    if not isinstance(user, str) or not 0 < len(user) <= LONGEST_USER or "\0" in user:
        raise ValueError("no usable subject")
    if user == SERVER.user:
        raise ValueError("the subject of servers that know the key")
    return Principal(
        user=user,
        name=name if isinstance(name, str) else None,
        scopes=frozenset(str(claims.get("scope", "")).split()),
        token_id=str(claims.get("jti")),
        issued_at=datetime.fromtimestamp(claims["iat"], UTC),
        expires_at=datetime.fromtimestamp(claims["exp"], UTC),
    )
