"""An identity provider: signs what it is asked to, also what none should."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jose import jwk, jwt
from jose.backends.base import Key

from ...auth.provider import SigningKey, ec_key, encoded, rsa_key

ISSUER, AUDIENCE = "https://issuer.example", "the-service"


NAMES = "first", "second", "curve", "mallory"


@cache
def signing(kid: str, algorithm: str = "RS256") -> SigningKey:
    """A pair of keys of this name, out of four; the last is nobody's that we know."""
    number = NAMES.index(kid)
    return SigningKey(kid, ec_key() if algorithm == "ES256" else rsa_key(number=number))


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
        signature = signed(body.encode(), self.key, self.algorithm)
        return f"{body}.{encoded(signature)}"

    def but(self, **changes: Any) -> "Issuer":
        """Another one, which differs in something."""
        return replace(self, **changes)


def signed(body: bytes, key: str, algorithm: str) -> bytes:
    """A signature; also by SHA-512 on a short curve, which python-jose verifies but never makes."""
    if algorithm != "ES512":
        return bytes(signing_key(key, algorithm).sign(body))
    private = load_pem_private_key(key.encode(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    pair = decode_dss_signature(private.sign(body, ec.ECDSA(hashes.SHA512())))
    return b"".join(number.to_bytes(32, "big") for number in pair)


def signed_by(kid: str, algorithm: str = "RS256", *, named: str | None = None) -> str:
    """A token that is good, if the key of this name is; it may say that another one signed it."""
    return Issuer(signing(kid, algorithm).private, algorithm, {"kid": named or kid}).token()


@cache
def signing_key(key: str, algorithm: str) -> Key:
    """A key that is read once: to check a private one takes 0.1 s."""
    return jwk.construct(key, algorithm)


def unsigned(header: object, claims: object, signature: str = "") -> str:
    """A token with no signature of anybody's."""
    return f"{encoded(header)}.{encoded(claims)}.{signature}"
