"""One public key that verifies signatures, with exactly one algorithm: RSA, or EC on P-256."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from jose import jwk
from jose.backends.base import Key
from jose.utils import base64_to_long
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

SHORTEST_RSA = 2048
"""Bits; shorter keys have been broken, or will be."""

Algorithm = Literal["HS256", "RS256", "ES256"]


@dataclass(frozen=True, eq=False)
class VerifyingKey:
    """What verifies a signature, by this algorithm and no other."""

    algorithm: Algorithm
    key: Key
    kid: str | None = None


class _Published(BaseModel):
    """An entry of a key set that verifies tokens: what else a set may hold is none."""

    model_config = ConfigDict(strict=True)

    kid: str | None = None
    use: Literal["sig"] | None = None
    d: None = None
    """Only private keys have it: whoever could read this one can sign."""


class _Rsa(_Published):
    kty: Literal["RSA"]
    alg: Literal["RS256"] | None = None
    n: str
    e: str

    def public_key(self) -> RSAPublicKey:
        """The key of these numbers; ValueError if they make none."""
        return RSAPublicNumbers(base64_to_long(self.e), base64_to_long(self.n)).public_key()


class _Curve(_Published):
    kty: Literal["EC"]
    alg: Literal["ES256"] | None = None
    crv: Literal["P-256"]
    x: str
    y: str

    def public_key(self) -> EllipticCurvePublicKey:
        """The key of this point; ValueError if it is not on the curve."""
        x, y = base64_to_long(self.x), base64_to_long(self.y)
        return EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()


_JWK: TypeAdapter[_Rsa | _Curve] = TypeAdapter(Annotated[_Rsa | _Curve, Field(discriminator="kty")])


def from_jwk(entry: object) -> VerifyingKey:
    """The key of one entry of a key set; ValueError if it may not sign tokens."""
    published = _JWK.validate_python(entry)
    return _verifying(published.public_key(), published.kid)


def from_pem(text: str) -> VerifyingKey:
    r"""The key of a text in PEM form, in which a line break may be written `\n`."""
    if "PRIVATE KEY" in text:
        raise ValueError("is a private key: whoever has it can sign. Give the public one")
    try:
        key = load_pem_public_key(text.replace("\\n", "\n").encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is no public key in PEM form (-----BEGIN PUBLIC KEY-----)") from None
    return _verifying(key)


def _verifying(key: object, kid: str | None = None) -> VerifyingKey:
    algorithm: Algorithm
    if isinstance(key, RSAPublicKey) and key.key_size >= SHORTEST_RSA:
        algorithm = "RS256"
    elif isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        algorithm = "ES256"
    else:
        raise ValueError(f"is neither RSA of {SHORTEST_RSA} bits or more nor EC on P-256")
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return VerifyingKey(algorithm, jwk.construct(pem, algorithm), kid)
