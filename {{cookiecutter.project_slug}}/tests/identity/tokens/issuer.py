"""An identity provider: signs what it is asked to, also what none should."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jose import jwk, jwt
from jose.backends.base import Key

ISSUER, AUDIENCE = "https://issuer.example", "the-service"


@dataclass(frozen=True)
class KeyPair:
    """A private key, and the public one, as PEM."""

    private: str
    public: str

    @classmethod
    @cache
    def named(cls, name: str) -> "KeyPair":
        """A key of one's own for each name."""
        key = generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return cls(private.decode(), public.decode())


@dataclass(frozen=True)
class Issuer:
    """Signs tokens with a key, for one service."""

    key: str
    algorithm: str = "HS256"
    header: Mapping[str, Any] = field(default_factory=dict)
    public: str = ""
    """What verifies them, where that is known to everybody."""

    def claims(self, user: str = "ann", seconds: float = 600, **more: Any) -> dict[str, Any]:
        """What a token says; None leaves out what it would say else."""
        now = time.time()
        claims = {
            "sub": user,
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + seconds,
            "jti": uuid4().hex,
        }
        return {name: each for name, each in (claims | more).items() if each is not None}

    def token(self, user: str = "ann", seconds: float = 600, **more: Any) -> str:
        """A token that is good for so many seconds, made as everybody makes them."""
        claims = self.claims(user, seconds, **more)
        key = signing_key(self.key, self.algorithm)
        return jwt.encode(claims, key, self.algorithm, headers=dict(self.header))

    def by_hand(self, header: Mapping[str, Any] | None = None, claims: object = ...) -> str:
        """A signed token with any header, and anything for claims."""
        head = {"alg": self.algorithm, "typ": "JWT", **self.header, **(header or {})}
        head = {name: each for name, each in head.items() if each is not None}
        body = f"{encoded(head)}.{encoded(self.claims() if claims is ... else claims)}"
        signature = signing_key(self.key, self.algorithm).sign(body.encode())
        return f"{body}.{encoded(signature)}"

    def but(self, **changes: Any) -> "Issuer":
        """Another one, which differs in something."""
        return replace(self, **changes)


@cache
def signing_key(key: str, algorithm: str) -> Key:
    """A key that is read once: to check a private one takes 0.1 s."""
    return jwk.construct(key, algorithm)


def hs256(secret: str, header: Mapping[str, Any], claims: object) -> str:
    """A token that is signed by whatever is taken for a secret, also where python-jose refuses."""
    body = f"{encoded(header)}.{encoded(claims)}"
    return f"{body}.{encoded(hmac.new(secret.encode(), body.encode(), sha256).digest())}"


def unsigned(header: object, claims: object, signature: str = "") -> str:
    """A token with no signature of anybody's."""
    return f"{encoded(header)}.{encoded(claims)}.{signature}"


def encoded(value: object) -> str:
    """One part of a token."""
    if not isinstance(value, (bytes, str)):
        value = json.dumps(value)
    data = value.encode() if isinstance(value, str) else value
    return urlsafe_b64encode(data).decode().rstrip("=")
