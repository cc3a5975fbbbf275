"""Tokens as the service signs them itself, for tests that need to be somebody, not to sign in."""

import base64
import hmac
import json
import time
from collections.abc import Mapping
from uuid import uuid4


def signed(
    secret: str,
    user: str,
    *,
    scopes: str = "",
    seconds: int = 3600,
    more: Mapping[str, str] | None = None,
) -> str:
    """A token for a user, by whoever knows the secret, with more claims."""
    now = time.time()
    claims = {"sub": user, "name": user, "iat": now, "exp": now + seconds, "jti": uuid4().hex}
    header = {"alg": "HS256", "typ": "at+jwt", "kid": "own"}
    said = ".".join(map(_encoded, (header, claims | dict(more or {}) | {"scope": scopes})))
    signature = hmac.digest(secret.encode(), said.encode(), "sha256")
    return f"{said}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def _encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
